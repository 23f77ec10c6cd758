"""Prepare a corpus: read what is in a download folder, check every recording, write manifests and coverage.

  audiotext prepare --from-csv mine/files.csv --out data/mine
  audiotext prepare --recipe egs/clotho/local/prepare.py --root CLOTHO --out data/clotho

The table of --from-csv has a caption a row: columns audio (counted from the folder of the table, or from --root) and
caption, and where they are wanted split, label, start, duration, id, domain, source, licence, style, family. Rows of
one recording and span are one clip with several captions. egs/my_data/README.md says more.

A recipe is a Python file that yields clips, in one of two forms:

  clips(root) -> clips                       one corpus, from --root into OUT/, or from --download: DIR/<corpus>, which
                                             may be a link, into OUT/<corpus>/, where egs/<corpus> holds the recipe
  sources(download) -> {name: () -> clips}   several corpora, from --download into OUT/<name>/

It may also hold EXPECTED, the known counts (split -> clips, or name -> split -> clips), LENGTHS, the seconds of the
shortest and the longest clip that is kept (0.1, 30), and inputs(folder), the files that the result depends on. What is
prepared already, from the same inputs and by the same recipe, is skipped.
Missing files and bad rows never end a preparation: they are counted in coverage.md and written to missing.tsv and
rejected.jsonl. With --strict-coverage 0.99 it fails where less than that share of a split can be read. Clips are
checked in shards of 50,000, and a run that was stopped goes on with the first shard that was not finished.

A manifest is portable where corpora.yaml (in the working folder, or the file that AUDIOTEXT_CORPORA names) has the
folder of the corpus under a name, such as `clotho: /corpora/clotho`: it then says clotho://development/x.wav, and every
machine finds that by its own corpora.yaml. Without one it has absolute paths.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

from audiotext.config import nearest
from audiotext.data import (
    checked,
    corpus,
    from_csv,
    lines,
    locate,
    origin,
    prepare,
    records,
    row,
    synthetic,
    table,
    youtube,
)
from audiotext.data.corpus import Clip, DataError
from audiotext.data.locate import files_in
from audiotext.data.prepare import Coverage
from audiotext.data.roots import roots_about

HELP = "check a corpus and write its manifests, rejected files and coverage"
MARKER = ".prepared.json"
TABLES = (".csv", ".tsv", ".json", ".jsonl")  # someone mends a word of them and the size stays


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--recipe", type=Path, metavar="FILE", help="such as egs/mini/local/prepare.py")
    what.add_argument("--from-csv", type=Path, metavar="FILE", help="a table of your own files")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--download", type=Path, metavar="DIR", help="download folder; a corpus lies in DIR/<corpus>")
    where.add_argument("--root", type=Path, metavar="DIR",
                       help="corpus folder, for a recipe with clips() or a table (default: the folder of the table)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where manifests go")
    parser.add_argument("--sources", default="", metavar="NAMES", help='only these, such as "asterisk wesnoth"')
    parser.add_argument("--strict-coverage", type=float, default=0.0, metavar="SHARE",
                        help="fail where less of a split than this share can be read (default 0: report it)")
    parser.add_argument("--nj", type=int, default=1, help="processes that decode (default 1)")
    parser.set_defaults(misuse=parser.error)


def run(args: argparse.Namespace) -> int:
    if args.from_csv:
        args.root = args.root or args.from_csv.parent
        if args.download:
            args.misuse("--from-csv goes with --root, not with --download")
        recipe = table_recipe(args.from_csv)
    elif not (args.root or args.download):
        args.misuse("one of --root and --download is needed with --recipe")
    else:
        recipe = load_recipe(args.recipe)
    folder = args.root or args.download
    if not 0 <= args.strict_coverage <= 1:
        raise DataError(f"--strict-coverage {args.strict_coverage}: give a share from 0 to 1, such as 0.99")
    if not folder.is_dir():
        raise DataError(f"{folder}: no such corpus folder; download the corpus first (stage 0 of the recipe)")
    wanted = args.sources.split()
    if args.download:
        known = makers(recipe, folder)
        for name in wanted:
            if name not in known:
                raise DataError(f"--sources {name}: {nearest(name, known)}")
        jobs = {name: (args.out / name, maker) for name, maker in known.items() if not wanted or name in wanted}
    else:
        clips = _function(recipe, "clips")
        jobs = {"": (args.out, lambda: clips(folder))}
    place = args.root or folder / _name(recipe)
    if named := roots_about(folder):
        logging.info("paths in manifests count from %s", ", ".join(f"{n}: {root}" for n, root in named.items()))
    several = not args.root and hasattr(recipe, "sources")
    whole = several and (hasattr(recipe, "inputs") or not place.is_dir())
    state = fingerprint(recipe, folder if whole else place)
    expected = {name: {} if (place / synthetic.MARK).is_file() else _expected(recipe, name) for name in jobs}
    seconds = getattr(recipe, "LENGTHS", prepare.LENGTHS)
    rows, failed = [], []
    for name, (out, maker) in jobs.items():
        try:
            rows.append(_prepare_one(name, out, partial(_told, maker, place), expected[name], state, args.nj, seconds))
            if short := rows[-1].lacking(args.strict_coverage):
                raise DataError(f"--strict-coverage {args.strict_coverage}: {'; '.join(short)}; see {out}/missing.tsv")
        except (DataError, OSError) as error:
            logging.error("%s: %s", name or folder, error)
            failed.append(name or str(folder))
    shown = prepare.coverage_table(rows)
    if failed:
        shown += f"\n\nFailed: {', '.join(failed)}."
    corpus.write_lines(args.out / "coverage.md", [shown])
    print(shown)
    return 1 if failed else 0


def _prepare_one(
    name: str,
    out: Path,
    maker: Callable[[], Iterable[Clip]],
    expected: dict[str, int],
    state: str,
    nj: int,
    seconds: tuple[float, float],
) -> Coverage:
    marker = out / MARKER
    if marker.is_file() and json.loads(marker.read_text(encoding="utf-8")).get("state") == state:
        coverage = prepare.read_coverage(out)
        logging.info("%s: prepared already, skipped", coverage.source)
        return coverage
    marker.unlink(missing_ok=True)
    begun = time.monotonic()
    coverage = prepare.prepare(maker(), out, name, expected, nj, seconds)
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
    sys.modules[spec.name] = module  # dataclasses look there
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


def table_recipe(path: Path) -> SimpleNamespace:
    """What `load_recipe` gives, for a table of someone's own files."""
    clips, inputs = partial(from_csv.clips_of_csv, path), partial(from_csv.inputs_of_csv, path)
    return SimpleNamespace(__file__=from_csv.__file__, clips=clips, inputs=inputs)


def fingerprint(recipe: ModuleType | SimpleNamespace, folder: Path) -> str:
    """A hash of the recipe's code, of the checks, of the roots that paths count from, of its tables, and of the names
    and sizes of its other inputs."""
    state = hashlib.sha256(repr(sorted(roots_about(folder).items())).encode())
    checks = (corpus, prepare, checked, lines, locate, origin, records, row, table, youtube)
    for code in [*sorted(Path(recipe.__file__).parent.glob("*.py")), *(Path(module.__file__) for module in checks)]:
        state.update(code.read_bytes())
    for file in sorted(getattr(recipe, "inputs", files_in)(folder)):
        state.update(f"{os.path.relpath(file, folder)} {file.stat().st_size}\n".encode())
        if file.suffix in TABLES:
            with file.open("rb") as content:
                while block := content.read(1 << 20):
                    state.update(block)
    return state.hexdigest()


def _name(recipe: ModuleType) -> str:
    return Path(recipe.__file__).resolve().parent.parent.name


def makers(recipe: ModuleType, download: Path) -> dict[str, Callable[[], Iterable[Clip]]]:
    """Name of a source -> what makes its clips, from what lies in ``download``."""
    if hasattr(recipe, "sources"):
        return recipe.sources(download)
    return {_name(recipe): partial(_in_folder, _function(recipe, "clips"), download / _name(recipe))}


def _in_folder(clips: Callable[[Path], Iterable[Clip]], root: Path) -> Iterable[Clip]:
    if not root.is_dir():
        raise DataError(f"{root}: no such corpus folder; put or link the corpus there, as its README.md says")
    return clips(root)


def _told(maker: Callable[[], Iterable[Clip]], place: Path) -> Iterable[Clip]:
    return synthetic.told(maker(), place)


def _function(recipe: ModuleType, name: str) -> Callable:
    function = getattr(recipe, name, None)
    if not callable(function):
        option = "--download" if name == "sources" else "--root"
        raise DataError(f"{recipe.__file__}: no function {name}(), which a recipe run with {option} must have")
    return function


def _expected(recipe: ModuleType, name: str) -> dict[str, int]:
    expected = getattr(recipe, "EXPECTED", {})
    return expected.get(name, {}) if hasattr(recipe, "sources") and name else expected
