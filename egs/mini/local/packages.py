"""Which Debian packages hold the recordings, and where they lie once extracted."""

from __future__ import annotations

import re
from pathlib import Path

TELEPHONE = ("en", "es", "fr", "it", "ru")
# corpus -> packages; a name that ends in * stands for the newest package of that pattern
PACKAGES: dict[str, list[str]] = {
    "hedgewars": ["hedgewars-data"],
    "hydrogen": ["hydrogen-drumkits"],
    "soundfont": ["fluid-soundfont-gm", "timgm6mb-soundfont"],
    "ufoai": ["ufoai-sound"],
    "asterisk": [f"asterisk-core-sounds-{code}{kind}" for code in TELEPHONE for kind in ("", "-wav")],
    "fillets": ["fillets-ng-data", "fillets-ng-data-cs", "fillets-ng-data-nl"],
    "tuxpaint": ["tuxpaint-stamps-default"],
    "sonic_pi": ["sonic-pi-samples"],
    "scratch": ["scratch"],
    "gcompris": ["gcompris-qt-data"],
    "opensfx": ["openttd-opensfx"],
    "minetest": ["minetest-data"],
    "lincity": ["lincity-ng-data"],
    "lugaru": ["lugaru-data"],
    "bucklespring": ["bucklespring-data"],
    "wesnoth": ["wesnoth-1.*-data"],
}


def version_key(name: str) -> list[int]:
    """Orders names by the numbers in them: 1.9 before 1.16."""
    return [int(n) for n in re.findall(r"\d+", name)]


def folder(download: Path, package: str, inside: str = "") -> Path:
    """Where ``inside`` of an extracted package lies. Raises DataError where the package is not there."""
    from audiotext.data.corpus import DataError  # here, so that fetch.py runs where audiotext is not installed yet

    found = sorted((download / "root").glob(package), key=lambda p: version_key(p.name))
    if not found:
        raise DataError(f"{download / 'root' / package}: package not extracted; run fetch.py (stage 0) first")
    places = sorted(found[-1].glob(inside)) if inside else found[-1:]
    if not places:
        raise DataError(f"{found[-1] / inside}: not found; has the package's layout changed?")
    return places[0]
