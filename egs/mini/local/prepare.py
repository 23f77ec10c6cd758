"""The mini corpus: real recordings from packages of the Debian archive, one small file per source beside this one.

`audiotext prepare --recipe egs/mini/local/prepare.py --download DIR --out DIR` after `fetch.py DIR`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # the sources are plain files beside this one

from packages import PACKAGES  # noqa: E402

from audiotext.data.corpus import Clip  # noqa: E402

MODULES = {name: importlib.import_module(name) for name in PACKAGES}
EXPECTED = {name: module.EXPECTED for name, module in MODULES.items()}


def sources(download: Path) -> dict[str, Callable[[], Iterable[Clip]]]:
    """Name of a source -> what makes its clips from the extracted packages in ``download``/root."""
    return {name: partial(module.clips, download) for name, module in MODULES.items()}


def inputs(download: Path) -> list[Path]:
    """The files the clips depend on: the packages."""
    return sorted((download / "debs").glob("*.deb"))
