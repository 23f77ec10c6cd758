"""All of curation: manifests in, curated subsets, statistics and a tokenizer out.

Four passes over pieces of bounded size, in up to ``nj`` processes: ingest (clean each clip), gather (order clips by id,
look for evaluation leaks), decide (on numbers: duplicates, families, subsets), emit (write). Finished pieces lie in
OUT/work until all is done, so that a run that was killed goes on where it was. The outputs depend on the clips and the
configuration, not on the order of files or lines, nor on the number of processes.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import audiotext
from audiotext.config import ConfigError
from audiotext.curate import statistics
from audiotext.curate.audio_matches import read_alike, read_matches
from audiotext.curate.census import LEVELS
from audiotext.curate.decide import Decide, Lines, Table
from audiotext.curate.emit import OUTPUTS, STEPS, Emit
from audiotext.curate.entry import PROBE_LABELS
from audiotext.curate.evaluation_keys import SHA256, EvaluationKeys
from audiotext.curate.gather import Gather, Pieces
from audiotext.curate.ingest import Ingest
from audiotext.curate.joined import Joined
from audiotext.curate.licences import LicenceFilter
from audiotext.curate.nested import check_sizes, parse_sizes
from audiotext.curate.ranges import Manifest, find_manifests, ranges, splitters, unpack
from audiotext.curate.subsets import SubsetConfig
from audiotext.curate.tally import Tally
from audiotext.curate.work import Work
from audiotext.data.columns import open_columns, write_columns
from audiotext.data.corpus import DataError, write_lines

log = logging.getLogger(__name__)
FORMAT = 2  # raise when work of older code must not be gone on with
TEXTS = 200_000  # captions that a tokenizer is trained on at most; sentencepiece takes 4 kB for each


@dataclass
class CurateConfig:
    """What curation is told."""

    vocab_size: int = 1000
    """Pieces of the tokenizer, special ones included."""
    seed: int = 0
    probe_labels: tuple[str, ...] = PROBE_LABELS
    """Label names that belong to probes."""
    subsets: SubsetConfig = field(default_factory=SubsetConfig)
    nested: tuple[str, ...] = ()
    """Sizes of further subsets of the clips to pretrain on, such as 400k, 1m or 25%."""
    evaluation: tuple[str, ...] = ()
    """Files of keys of evaluation clips; the clips of the manifests that are for testing count anyway."""
    audio_matches: str = ""
    """A file of clips that sound like evaluation clips."""
    audio_duplicates: str = ""
    """A file of pairs of clips that share audio, whose families become one."""
    licences: str = ""
    """Those that a training clip may have, such as "CC0 CC-BY"; empty lets all in."""
    piece: int = 64 << 20
    """Bytes of manifests that are worked on together, which is what bounds the memory."""

    def __post_init__(self) -> None:
        for name, value in (("heldout", self.subsets.heldout), ("valid", self.subsets.valid)):
            if value < 0:
                raise ConfigError(f"{name}: expected 0 or more clips, got {value}")
        if self.vocab_size < 6:
            raise ConfigError(f"vocab_size: expected more than the 5 special pieces, got {self.vocab_size}")
        if len(self.probe_labels) > 64:
            raise ConfigError(f"probe_labels: at most 64 names, got {len(self.probe_labels)}")
        check_sizes(self.nested)


@dataclass
class Summary:
    """What curation did: clips in, clips per subset, what each step did, and the tables."""

    found: int
    subsets: dict[str, int]
    tally: Tally
    statistics: dict[str, dict]
    vocab_size: int

    def __str__(self) -> str:
        lines = [f"{self.found} clips read"]
        for (step, kind), sources in sorted(self.tally.counts.items()):
            if step in STEPS:
                each = ", ".join(f"{name} {count}" for name, count in sources.most_common())
                lines.append(f"  {step}: {sources.total()} {kind} ({each})")
        lines += [f"tokenizer: {self.vocab_size} pieces", "", statistics.report(self.statistics, views=False)]
        for view in ("domain", "style", "licence"):
            lines += [statistics.table(self.statistics["pretrain"][view], f"pretrain, by {view}"), ""]
        return "\n".join(lines)


def run(manifests: Iterable[str | Path], out: str | Path, config: CurateConfig | None = None, nj: int = 1) -> Summary:
    """Curate ``manifests`` into ``out``/{pretrain,valid,heldout,probe,removed}.jsonl, leaks.tsv, statistics.{md,json},
    report.md, tokenizer/, and pretrain-SIZE.jsonl for each size of ``config.nested``.

    A manifest is a file, a folder with cuts.jsonl, or a folder of such folders. A tokenizer is trained on all captions
    to pretrain on, or those of clips drawn by a seeded hash where there are more than TEXTS. Raises DataError or
    ConfigError for missing or wrong input, before any output is written.
    """
    config, out = config or CurateConfig(), Path(out)
    licences = LicenceFilter.parse(config.licences)
    paths = find_manifests(manifests)
    keys = EvaluationKeys.load(config.evaluation)
    matches = read_matches(config.audio_matches) if config.audio_matches else {}
    alike = read_alike(config.audio_duplicates) if config.audio_duplicates else {}
    used = [*paths, *map(Path, filter(None, (*config.evaluation, config.audio_matches, config.audio_duplicates)))]
    stamps = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in used]
    work = Work(out / "work", [FORMAT, asdict(config), stamps], nj)
    return _Run(out, config, work).run(paths, licences, keys, matches, alike)


@dataclass
class _Run:
    out: Path
    config: CurateConfig
    work: Work

    def run(
        self, paths: list[Path], licences: LicenceFilter, keys: EvaluationKeys, matches: dict, alike: dict
    ) -> Summary:
        pieces, notes, buckets = self._ingest(paths, licences)
        if not any(note["found"] for note in notes):
            raise DataError(f"no clips in {', '.join(map(str, paths))}")
        names = share_names(pieces, notes)
        add_tests(keys, notes)
        task = Gather(pieces, keys, matches, alike, names["source"])
        gathered = list(self.work.stage("gather", task, range(buckets), "curate 2 of 4, ordering by id"))
        counts = self._decide(gathered, pieces)
        nested = self._nested(counts["pretrain"])
        emit = Emit(
            pieces, gathered, Table(gathered).starts, self.work.folder / "decided", nested, names["source"],
            self.config.probe_labels, min(2**64, 2**64 * TEXTS // max(1, counts["captions"])), self.config.seed,
        )  # fmt: skip
        joined = Joined(self.work.folder / "joined", [*OUTPUTS, *nested])
        folders = []
        for folder in self.work.stage("emit", emit, range(buckets), "curate 4 of 4, writing"):
            joined.add(len(folders), folder)
            folders.append(folder)
        return self._finish(notes, folders, nested, joined)

    def _ingest(self, paths: list[Path], licences: LicenceFilter) -> tuple[Pieces, list[dict], int]:
        """The first pass; what it noted of each piece; how many buckets there are."""
        config, work = self.config, self.work
        zipped = [path for path in paths if path.suffix == ".gz"]
        plain = dict(zip(zipped, work.stage("unpack", unpack, zipped, "unpacking"), strict=True))
        manifests = [Manifest(str(path), plain[path] / "lines" if path in plain else path) for path in paths]
        ids = splitters(manifests, config.piece)
        task = Ingest(ids, config.probe_labels, config.subsets.label_styles, licences, config.seed)
        jobs = ranges(manifests, config.piece)
        folders = list(work.stage("ingest", task, jobs, "curate 1 of 4, cleaning"))
        bounds = [np.load(folder / "bounds.npy") for folder in folders]
        pieces = Pieces(folders, np.stack(bounds) if bounds else np.empty((0, 4, 2), np.int64), manifests)
        return pieces, _summaries(folders), len(ids) + 1

    def _decide(self, gathered: list[Path], pieces: Pieces) -> dict[str, int]:
        path = self.work.folder / "decided"
        if not path.is_file():
            log.info("curate 3 of 4, deciding")
            table = Table(gathered)
            if not table.starts[-1]:
                raise DataError("no clip has a usable caption; look at the manifests")
            where = {name: table.column(name) for name in ("unit", "at", "length")}
            lines, config = Lines(pieces.folders, **where), self.config
            columns, counts = Decide(table.column, lines, config.probe_labels, config.subsets, config.nested)()
            write_columns(path, columns | where, counts)
        return open_columns(path)[1]

    def _nested(self, clips: int) -> dict[str, int]:
        """Name of a nested subset -> the last level of its clips."""
        sizes = parse_sizes(self.config.nested, clips)
        return {f"pretrain-{name}": sum(each < size for each in sizes.values()) for name, size in sizes.items()}

    def _finish(self, notes: list[dict], folders: list[Path], nested: dict[str, int], joined: Joined) -> Summary:
        from audiotext.text.tokenizer import Tokenizer  # brings torch, which the processes of the passes go without

        config, out = self.config, self.out
        written = _summaries(folders)
        tables = self._statistics(written, folders, nested)
        tally = Tally(config.seed)
        for note in (*notes, *written):
            tally.take(note["tally"])
        with (joined.folder / "texts").open(encoding="utf-8") as texts:
            tokenizer = Tokenizer.train(texts, config.vocab_size, out / "tokenizer", config.seed)
        found = sum(note["found"] for note in notes)
        write_lines(out / "report.md", [f"# What curation did to {found} clips\n", tally.markdown()])
        told = {name: value for name, value in asdict(config).items() if name != "piece"}  # which changes no output
        settings = {"audiotext": audiotext.__version__, "config": told}
        write_lines(out / "curate.json", [json.dumps(settings, indent=1, ensure_ascii=False)])
        write_lines(out / "statistics.json", [json.dumps(tables, indent=1, ensure_ascii=False)])
        write_lines(out / "statistics.md", ["# Statistics of the curated corpus\n", statistics.report(tables)])
        joined.concatenate([f"removed-{step}" for step in STEPS], out / "removed.jsonl")
        joined.concatenate(["leaks"], out / "leaks.tsv", "clip\tsource\tset\titem\tkind\tdetail\n")
        sizes = {name: sum(note["sizes"][name] for note in written) for name in (*tables,)}
        for name in sizes:
            joined.move(name, out / f"{name}.jsonl")
        self.work.finish()
        return Summary(found, sizes, tally, tables, tokenizer.vocab_size)

    def _statistics(self, written: list[dict], folders: list[Path], nested: dict[str, int]) -> dict[str, dict]:
        counts: dict[tuple, np.ndarray] = defaultdict(lambda: np.zeros(5, np.int64))
        for note in written:
            for cell, level, row in note["counts"]:
                counts[tuple(cell), level] += row
        task = statistics.Distinct.plan(folders)
        distinct = self.work.stage("distinct", task, range(task.parts), "statistics")
        rows = ((tuple(row), *rest) for f in distinct for row, *rest in json.loads((f / "counts.json").read_text()))
        levels = {name: (name, LEVELS - 1) for name in ("pretrain", "valid", "heldout", "probe")}
        return statistics.describe(counts, rows, levels | {name: ("pretrain", n) for name, n in nested.items()})


def _summaries(folders: list[Path]) -> list[dict[str, Any]]:
    return [json.loads((folder / "summary.json").read_text(encoding="utf-8")) for folder in folders]


def share_names(pieces: Pieces, notes: list[dict]) -> dict[str, list[str]]:
    """All domains and sources, in order; the pieces learn what number each of theirs has there."""
    shared = {}
    for name in ("domain", "source"):
        shared[name] = sorted({each for note in notes for each in note["names"][name]})
        place = {each: i for i, each in enumerate(shared[name])}
        pieces.codes[name] = [np.array([place[each] for each in note["names"][name]], np.uint16) for note in notes]
    return shared


def add_tests(keys: EvaluationKeys, notes: list[dict]) -> None:
    """Add the origins and hashes of the clips that are for testing; those whose origin cannot be read are counted."""
    unreadable = 0
    for source, id, origin, sha256 in (test for note in notes for test in note["tests"]):
        keys.add(f"{SHA256}{sha256}", source, id)
        try:
            if origin:
                keys.add(origin, source, id)
        except DataError:
            unreadable += 1
    if unreadable:
        log.warning("%d test clips have an origin that cannot be read; only their files are looked for", unreadable)
