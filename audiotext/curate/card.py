"""DATACARD.md: what a curated corpus holds, how it was made, what its licences ask, what it is good for."""

from __future__ import annotations

import csv
import hashlib
import json
import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import audiotext
from audiotext.atomic import replacing
from audiotext.curate import statistics
from audiotext.curate.about import About, read_about
from audiotext.curate.advice import by_licence, limits, uses
from audiotext.curate.diversity import SAMPLE, diversity
from audiotext.curate.inventory import VIEWS, Amount, Inventory, read_cuts
from audiotext.curate.licences import obligations
from audiotext.curate.plots import draw_all
from audiotext.data.corpus import DataError, write_lines
from audiotext.data.licence import UNKNOWN
from audiotext.data.progress import progress

MAIN = "pretrain"
COMPARED = ("evaluation", "audio_matches")
"""Settings of curation that name lists of evaluation clips."""
PATHS = (*COMPARED, "audio_duplicates")
ATTRIBUTION = ("clip", "source", "origin", "licence", "manifest")


@dataclass
class Material:
    """What a card is written from. manifests: name -> inventory, hash; tables: statistics by manifest; steps: the table
    of report.md; leaks: clips by (set, kind), None where no list was kept; plots: paths relative to the card."""

    manifests: dict[str, Inventory]
    hashes: dict[str, str]
    tables: dict[str, dict]
    steps: str
    config: dict[str, Any]
    leaks: Counter[tuple[str, str]] | None
    owed: int
    about: Sequence[About] = ()
    plots: Sequence[str] = field(default_factory=list)

    @property
    def main(self) -> Inventory:
        return self.manifests[MAIN]


def write_card(curated: Path, name: str = "", about: Sequence[Path] = (), seed: int = 0) -> Path:
    """Write DATACARD.md, ATTRIBUTION.tsv and plots/ into ``curated``, a folder that `audiotext curate` wrote.

    Every manifest is read once, line by line. about: READMEs of the corpora, to be quoted. seed: draw of the captions
    whose diversity is measured and which are mapped. Raises DataError for a folder without statistics or manifests.
    """
    curated = Path(curated)
    tables = _json(curated / "statistics.json")
    if MAIN not in tables:
        raise DataError(f"{curated}/statistics.json: says nothing of {MAIN!r}; is this what `audiotext curate` wrote?")
    said, leaks = [read_about(path) for path in about], _leaks(curated / "leaks.tsv")
    config = _json(curated / "curate.json") if (curated / "curate.json").is_file() else {}
    found, hashes, owed = _take(curated, {name: tree["total"]["clips"] for name, tree in tables.items()}, seed)
    plots = draw_all(found[MAIN], curated / "plots")
    names = [str(path.relative_to(curated)) for path in plots]
    material = Material(found, hashes, tables, _steps(curated / "report.md"), config, leaks, owed, said, names)
    write_lines(curated / "DATACARD.md", [markdown(material, name or curated.resolve().parent.name)])
    return curated / "DATACARD.md"


def _take(curated: Path, manifests: dict[str, int], seed: int) -> tuple[dict[str, Inventory], dict[str, str], int]:
    """Inventories and hashes of manifests, given with their clips, and how many lines ATTRIBUTION.tsv got."""
    found: dict[str, Inventory] = {}
    hashes: dict[str, str] = {}
    owed = 0
    with replacing(curated / "ATTRIBUTION.tsv") as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write("\t".join(ATTRIBUTION) + "\n")
        for name, clips in manifests.items():
            digest = hashlib.sha256()
            found[name] = Inventory(seed, SAMPLE if name == MAIN else 0)
            for cut in progress(read_cuts(curated / f"{name}.jsonl", digest), clips, name):
                found[name].add(cut)
                if not _nested(name) and (line := attribution(cut, name)):
                    owed += 1
                    file.write(line + "\n")
            hashes[name] = digest.hexdigest()
    return found, hashes, owed


def attribution(cut: dict[str, Any], manifest: str) -> str:
    """The clip's line of ATTRIBUTION.tsv, empty where its licence asks for no attribution that we know of."""
    custom = cut["supervisions"][0]["custom"]
    licence = custom.get("licence", UNKNOWN)
    if not obligations(licence).attribution:
        return ""
    source = custom.get("source", UNKNOWN)
    sources = dict.fromkeys([source, *custom.get("caption_source", ())])
    values = (cut["id"], ",".join(sources), custom.get("origin", ""), licence, manifest)
    return "\t".join(" ".join(value.split()) for value in values)


def markdown(material: Material, name: str) -> str:
    """The whole card."""
    parts = [
        f"# Data card: {name}",
        _summary(material.main),
        *_content(material),
        *_making(material),
        *_sources(material),
        *_licences(material),
        *_leaked(material),
        *_diversity(material.main),
        *_figures(material.plots),
        "## Known limits",
        "\n".join(f"* {limit}" for limit in limits(material.main)),
        "## Uses",
        "\n".join(f"* {use}" for use in uses(material.main)),
    ]
    return "\n\n".join(part for part in parts if part)


def table(header: Sequence[str], rows: Sequence[Sequence[object]], left: int = 1) -> str:
    """A Markdown table; the first ``left`` columns are text, the others numbers."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * left + "---:|" * (len(header) - left)]
    shown = ([f"{v:,}" if isinstance(v, int) else str(v).replace("|", r"\|") for v in row] for row in rows)
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in shown)])


def _summary(main: Inventory) -> str:
    total, sources = main.total, len(main.sources())
    return (
        f"{total.clips:,} clips, {_hours(total)} hours and {total.captions:,} captions from {sources} "
        f"source{'s' if sources > 1 else ''}, curated to pretrain audio encoders from captions. Tables of every "
        "manifest are in [statistics.md](statistics.md); what curation removed, with examples, in "
        "[report.md](report.md) and removed.jsonl."
    )


def _content(material: Material) -> Iterator[str]:
    yield "## What is in it"
    totals = {name: inventory.total for name, inventory in material.manifests.items()}
    yield table(
        ("manifest", "clips", "hours", "captions", "SHA-256"),
        [(f"{n}.jsonl", t.clips, _hours(t), t.captions, f"`{material.hashes[n]}`") for n, t in totals.items()],
    )
    yield f"Of {MAIN}.jsonl; a style's clips are those that have such a caption:"
    for view in ("domain", "style", "source"):
        if rows := material.tables[MAIN].get(view):
            yield statistics.table(rows, view)


def _making(material: Material) -> Iterator[str]:
    yield "## How it was made"
    made = [f"audiotext {material.config.get('audiotext', audiotext.__version__)}, Python {platform.python_version()}"]
    if settings := dict(material.config.get("config", {})):
        settings |= {n: [Path(path).name for path in _paths(material, n)] for n in PATHS if n in settings}
        made.append(f"settings `{json.dumps(settings, ensure_ascii=False)}`")
    yield "By `audiotext curate`: " + ", ".join(made) + ". What each rule of each step did:"
    yield material.steps or "(no report.md lies beside this card)"


def _sources(material: Material) -> Iterator[str]:
    if not material.about:
        return
    yield "## Source corpora"
    yield "Whoever publishes work with this data cites the corpora it comes from."
    yield from (corpus.markdown() for corpus in material.about)


def _licences(material: Material) -> Iterator[str]:
    yield "## Licences and attribution"
    others = [inventory for name, inventory in material.manifests.items() if name != MAIN and not _nested(name)]
    rows = []
    for licence, (amount, sources) in by_licence(material.main, *others).items():
        mine = sum((a for (n, _), a in material.main.licences.items() if n == licence), Amount())
        asked = obligations(licence).words()
        rows.append((licence, asked, ", ".join(sources), mine.clips, _hours(mine), amount.clips - mine.clips))
    header = ("licence", "asks for", "sources", "clips to pretrain on", "hours", "clips of other manifests")
    yield table(header, rows, left=3)
    yield (
        f"[ATTRIBUTION.tsv](ATTRIBUTION.tsv) names {material.owed:,} clips that owe attribution, with source, licence, "
        "manifest, and where that is known the place of publication; pass it on with the data. A clip of two manifests "
        "is named twice. Licences are what each source says of its clips. None of this is legal advice."
    )
    if merged := material.main.merged:
        yield (
            f"{merged:,} clips to pretrain on stand in several sources and have captions of all of them. The licence "
            "is that of the clip that was kept; captions of another source owe what that source asks, too."
        )


def _leaked(material: Material) -> Iterator[str]:
    yield "## Evaluation leaks removed"
    lists = [f"`{Path(path).name}`" for name in COMPARED for path in _paths(material, name)]
    if lists:
        yield f"Curation compared the clips with those that {', '.join(lists)} list."
    elif material.config or material.leaks is None:
        yield "No list of evaluation clips was given to curation: only test clips of the manifests are known."
    if material.leaks:
        yield "Clips kept out because they are, or share sound with, clips of evaluation sets (leaks.tsv names them):"
        yield table(("evaluation set", "told by", "matches"), [(*k, n) for k, n in sorted(material.leaks.items())], 2)
    elif material.leaks is not None:
        yield "No clip was found to be a copy of one of them."


def _diversity(main: Inventory) -> Iterator[str]:
    yield "## Diversity of the captions"
    rows = []
    for view in ("all", *VIEWS):
        for (kind, name), sample in sorted(main.samples.items()):
            if kind == view:
                d = diversity(sample.texts())
                values = (d.captions, f"{d.self_bleu:.2f}", f"{d.compression:.1f}", f"{d.ngrams:.2f}")
                rows.append((view, name, *values))
    yield table(("view", "", "captions", "self-BLEU", "compression", "n-gram diversity"), rows, left=2)
    yield (
        f"Of {SAMPLE} captions drawn at random (seed {main.seed}), at most one of a clip; where a view has fewer, "
        "of one of each. All three hang on the number of captions: compare rows of one number only. Self-BLEU (Zhu et "
        "al. 2018): corpus BLEU-4 of each caption against all others, high where they repeat each other. Compression "
        "(Shaib et al. 2024): how many times smaller deflate makes them, likewise. n-gram diversity (Padmakumar and He "
        "2023): different n-grams over n-grams, summed over n = 1 to 4, low where they repeat each other. All after "
        "normalisation."
    )


def _figures(plots: Sequence[str]) -> Iterator[str]:
    yield "## Plots"
    for path in plots:
        yield f"![{Path(path).stem}]({path})"


def _hours(amount: Amount) -> str:
    return f"{amount.hours:,.1f}" if amount.hours >= 10 else f"{amount.hours:.2f}"


def _paths(material: Material, name: str) -> list[str]:
    """The files that a setting of curation names: none, one or several."""
    value = material.config.get("config", {}).get(name) or []
    return [value] if isinstance(value, str) else list(value)


def _nested(manifest: str) -> bool:
    """Whether all its clips are in the main manifest too."""
    return manifest.startswith(f"{MAIN}-")


def _json(path: Path) -> dict:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; a card is written of a folder that `audiotext curate` wrote") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}; run `audiotext curate` again") from None
    if not isinstance(tree, dict):
        raise DataError(f"{path}: expected an object of keys and values; run `audiotext curate` again")
    return tree


def _steps(path: Path) -> str:
    """The table at the beginning of curation's report, without its examples."""
    if not path.is_file():
        return ""
    lines: list[str] = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.startswith("## "):
                break
            if line.startswith("|"):
                lines.append(line.rstrip("\n"))
    return "\n".join(lines)


def _leaks(path: Path) -> Counter[tuple[str, str]] | None:
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        missing = {"set", "kind"} - set(rows.fieldnames or ())
        if missing:
            raise DataError(f"{path}: no column {' and '.join(sorted(missing))} in its first line; curate again")
        return Counter((row["set"] or "", row["kind"] or "") for row in rows)
