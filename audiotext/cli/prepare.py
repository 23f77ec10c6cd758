"""Prepare a corpus: read what is in a download folder, check every recording, write manifests and coverage.

The recipe is a Python file that yields clips, in one of two forms:

  clips(root) -> clips                       one corpus, from --root into OUT/
  sources(download) -> {name: () -> clips}   several corpora, from --download into OUT/<name>/

It may also hold EXPECTED, the known counts (split -> clips, or name -> split -> clips), and inputs(folder), the files
that the result depends on. What is prepared already, from the same inputs and by the same recipe, is skipped.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

from audiotext.config import nearest
from audiotext.data import corpus, prepare
from audiotext.data.corpus import Clip, DataError
from audiotext.data.prepare import Coverage

HELP = "check a corpus and write its manifests, rejected files and coverage"
MARKER = ".prepared.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recipe", type=Path, required=True, metavar="FILE", help="such as egs/mini/local/prepare.py")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--download", type=Path, metavar="DIR", help="download folder, for a recipe with sources()")
    where.add_argument("--root", type=Path, metavar="DIR", help="corpus folder, for a recipe with clips()")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where manifests go")
    parser.add_argument("--sources", default="", metavar="NAMES", help='only these, such as "asterisk wesnoth"')
    parser.add_argument("--nj", type=int, default=1, help="processes that decode (default 1)")


def run(args: argparse.Namespace) -> int:
    recipe = load_recipe(args.recipe)
    folder = args.root or args.download
    if not folder.is_dir():
        raise DataError(f"{folder}: no such corpus folder; download the corpus first (stage 0 of the recipe)")
    wanted = args.sources.split()
    if args.download:
        makers = _function(recipe, "sources")(folder)
        for name in wanted:
            if name not in makers:
                raise DataError(f"--sources {name}: {nearest(name, makers)}")
        jobs = {name: (args.out / name, maker) for name, maker in makers.items() if not wanted or name in wanted}
    else:
        clips = _function(recipe, "clips")
        jobs = {"": (args.out, lambda: clips(folder))}
    state = fingerprint(recipe, folder)
    rows, failed = [], []
    for name, (out, maker) in jobs.items():
        try:
            rows.append(_prepare_one(name, out, maker, _expected(recipe, name), state, args.nj))
        except (DataError, OSError) as error:
            logging.error("%s: %s", name or folder, error)
            failed.append(name or str(folder))
    table = prepare.coverage_table(rows)
    if failed:
        table += f"\n\nFailed: {', '.join(failed)}."
    corpus.write_lines(args.out / "coverage.md", [table])
    print(table)
    return 1 if failed else 0


def _prepare_one(
    name: str, out: Path, maker: Callable[[], Iterable[Clip]], expected: dict[str, int], state: str, nj: int
) -> Coverage:
    marker = out / MARKER
    if marker.is_file() and json.loads(marker.read_text(encoding="utf-8")).get("state") == state:
        coverage = prepare.read_coverage(out)
        logging.info("%s: prepared already, skipped", coverage.source)
        return coverage
    marker.unlink(missing_ok=True)
    begun = time.monotonic()
    coverage = prepare.prepare(maker(), out, name, expected, nj)
    prepare.warn(coverage)
    kept = sum(row["kept"] for row in coverage.splits.values())
    logging.info("%s: %d clips, %.1f minutes, in %.1f s", coverage.source, kept, coverage.seconds / 60,
                 time.monotonic() - begun)
    corpus.write_lines(marker, [json.dumps({"state": state})])
    return coverage


def load_recipe(path: Path) -> ModuleType:
    """Import a recipe file by its path; the files beside it may be imported by it."""
    if not path.is_file():
        raise DataError(f"{path}: no such recipe file")
    folder = str(path.resolve().parent)
    spec = importlib.util.spec_from_file_location(f"recipe_{path.resolve().parent.parent.name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


def fingerprint(recipe: ModuleType, folder: Path) -> str:
    """A hash of the recipe's code, of the checks, and of the names and sizes of its input files."""
    state = hashlib.sha256()
    for code in [*sorted(Path(recipe.__file__).parent.glob("*.py")), Path(corpus.__file__), Path(prepare.__file__)]:
        state.update(code.read_bytes())
    named = getattr(recipe, "inputs", None)
    files = named(folder) if named else (f for f in folder.rglob("*") if f.is_file())
    for file in sorted(files):
        state.update(f"{file.relative_to(folder)} {file.stat().st_size}\n".encode())
    return state.hexdigest()


def _function(recipe: ModuleType, name: str) -> Callable:
    function = getattr(recipe, name, None)
    if not callable(function):
        option = "--download" if name == "sources" else "--root"
        raise DataError(f"{recipe.__file__}: no function {name}(), which a recipe run with {option} must have")
    return function


def _expected(recipe: ModuleType, name: str) -> dict[str, int]:
    expected = getattr(recipe, "EXPECTED", {})
    return expected.get(name, {}) if name else expected
