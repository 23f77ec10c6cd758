"""METEOR 1.5 and SPICE 1.0 by the jars of the package `pycocoevalcap`, the COCO caption tools for Python 3.

The jars are run here and not by that package's wrappers, which fetch hundreds of megabytes unasked, write into the
installed package, and wait for ever for a Java that died. Java is that of ``JAVA_HOME``, else the one on the path.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from audiotext.metric.meteor import meteor_counts

PACKAGE, MODULE = "pycocoevalcap", "pycocoevalcap.meteor.meteor"
INSTALL = "pip install 'audiotext[coco]'"
METEOR_JAR, PARAPHRASES = "meteor/meteor-1.5.jar", "meteor/data/paraphrase-en.gz"
SPICE_JAR = "spice/spice-1.0.jar"
PARSER_JARS = ("spice/lib/stanford-corenlp-3.6.0.jar", "spice/lib/stanford-corenlp-3.6.0-models.jar")
PARSER_FETCH = f"python -m {PACKAGE}.spice.get_stanford_models"
LAST_JAVA_FOR_SPICE = 14  # it writes its result by Java's own JavaScript engine, which later ones do not have
Texts = Sequence[str]


def meteor(candidates: Texts, references: Sequence[Texts]) -> np.ndarray:
    """``meteor.meteor_counts`` of N captions, each against its best reference: (N, 23) float32.

    The jar is told to normalise (``-norm``), as the COCO tools do. Raises RuntimeError where it fails.
    """
    command = [_java(), "-Xmx2G", "-Dfile.encoding=UTF-8", "-jar", str(_file(METEOR_JAR))]
    pairs = zip(candidates, references, strict=True)
    asked = "".join(" ||| ".join(["SCORE", *map(_line, texts), _line(said)]) + "\n" for said, texts in pairs)
    told = _run([*command, "-", "-", "-stdio", "-l", "en", "-norm"], asked).splitlines()
    if len(told) != len(candidates):
        raise RuntimeError(f"the jar answered {len(told)} of {len(candidates)} captions, the last with {told[-1:]}")
    return meteor_counts(np.array([line.split() for line in told], dtype=np.float64)).astype(np.float32)


def spice(candidates: Texts, references: Sequence[Texts]) -> np.ndarray:
    """F measure of N captions over propositions, 0..1: (N,) float32.

    An empty caption proposes nothing: it gets 0 and is not sent to the parser. Raises RuntimeError where the jar fails.
    """
    scores = np.zeros(len(candidates), np.float32)
    said = [i for i, text in enumerate(candidates) if text.strip()]
    entries = [{"image_id": i, "test": candidates[i], "refs": list(references[i])} for i in said]
    if not entries:
        return scores
    with tempfile.TemporaryDirectory() as folder:
        asked, told = Path(folder, "in.json"), Path(folder, "out.json")
        asked.write_text(json.dumps(entries), encoding="utf-8")
        command = [_java(), "-Xmx8G", "-Dfile.encoding=UTF-8", "-jar", str(_file(SPICE_JAR)), str(asked)]
        _run([*command, "-out", str(told), "-silent"])
        found = json.loads(told.read_text(encoding="utf-8"))
    for entry in found:
        scores[entry["image_id"]] = entry["scores"]["All"]["f"]
    if len(found) != len(said):
        raise RuntimeError(f"the jar scored {len(found)} of {len(said)} captions")
    return scores


def meteor_missing() -> list[str]:
    """What METEOR lacks here and how to get it; nothing where it can be run."""
    return _package_missing() or _java_missing() + _files_missing((METEOR_JAR, PARAPHRASES), f"{INSTALL} again")


def spice_missing() -> list[str]:
    """What SPICE lacks here and how to get it; nothing where it can be run."""
    if lacking := _package_missing():
        return lacking
    lacking = _java_missing()
    if not lacking and _java_major() > LAST_JAVA_FOR_SPICE:
        lacking.append(
            f"a Java of version 8 to {LAST_JAVA_FOR_SPICE} (this is {java_version()}), for later ones lack the engine "
            "that writes its result: install one, such as 11, beside it and name its folder by JAVA_HOME"
        )
    fetch = f"`{PARSER_FETCH}` fetches the Stanford parser 3.6.0 (or put its two jars there)"
    return lacking + _files_missing((SPICE_JAR,), f"{INSTALL} again") + _files_missing(PARSER_JARS, fetch)


def versions() -> dict[str, str]:
    """Of the package and of Java."""
    return {PACKAGE: importlib.metadata.version(PACKAGE), "java": java_version()}


def java_version() -> str:
    """As Java tells it, such as 17.0.15 or 1.8.0_402. Raises RuntimeError where it does not, OSError for none."""
    told = subprocess.run([_java(), "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "([^"]+)"', told.stderr + told.stdout)
    if told.returncode or not found:
        raise RuntimeError(f"{_java()} -version says {(told.stderr + told.stdout).strip()[-200:]!r}")
    return found[1]


def _java_major() -> int:
    numbers = [int(n) for n in re.findall(r"\d+", java_version())]
    return numbers[1] if numbers[0] == 1 and len(numbers) > 1 else numbers[0]


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home, "bin", "java")) if home else "java"


def _java_missing() -> list[str]:
    try:
        java_version()
    except (OSError, RuntimeError) as error:
        return [f"Java ({error}): install a Java runtime, such as default-jre-headless of Debian, or set JAVA_HOME"]
    return []


def _package_missing() -> list[str]:
    try:
        importlib.metadata.version(PACKAGE)
        found = importlib.util.find_spec(MODULE)
    except ModuleNotFoundError:  # PackageNotFoundError is one
        found = None
    return [] if found else [f"the package {PACKAGE}: {INSTALL}"]


def _files_missing(names: Sequence[str], remedy: str) -> list[str]:
    lacking = [str(_file(name)) for name in names if not _file(name).is_file()]
    return [f"{' and '.join(lacking)}: {remedy}"] if lacking else []


def _file(name: str) -> Path:
    """A file of the package, by its place there."""
    return Path(importlib.util.find_spec(MODULE).origin).parent.parent / name


def _line(text: str) -> str:
    """In one line, without what parts the texts."""
    return " ".join(text.replace("|||", " ").split())


def _run(command: Sequence[str], told: str | None = None) -> str:
    """What a command writes. Raises RuntimeError with the end of what it complains about where it fails."""
    done = subprocess.run(command, input=told, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        said = " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {said}")
    return done.stdout
