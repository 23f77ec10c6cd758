"""One report over any set of models: tables, what they show, and the protocol behind every number."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audiotext.atomic import replacing
from audiotext.evaluate.answer_tables import ANSWERED, by_task, choice_tables, judge_tables
from audiotext.evaluate.bootstrap import LEVEL
from audiotext.evaluate.caption_scoring import fewer_references
from audiotext.evaluate.findings import findings, findings_lines, probe_metric, short
from audiotext.evaluate.plain_tables import PLAIN, plain_tables
from audiotext.evaluate.probe_tables import (
    detail,
    domain_table,
    low_resource_tables,
    probe_parts,
    probe_table,
    with_average,
)
from audiotext.evaluate.results import Result, check_models, check_protocols, models
from audiotext.evaluate.table import NOISE, Column, Row, Score, Table, average, grid
from audiotext.metric.caption_tools import TITLES

WAYS = {"text_to_audio": "T→A", "audio_to_text": "A→T"}
SPACES = {"direct": "own text side", "lit": "text side trained here"}
BASELINES = {"most_frequent": "most frequent training caption", "nearest_log_mel": "nearest training clip by log-mel"}
CAPTION_COLUMNS = [
    *(Column(f"bleu{n}", f"BLEU-{n}") for n in (1, 2, 3, 4)),
    Column("rouge_l", "ROUGE-L"),
    Column("meteor_exact_stem", "METEOR (exact+stem)"),
    Column("cider_d", "CIDEr-D", scale=1, digits=3),
    Column("meteor", TITLES["meteor"]),
    Column("spice", TITLES["spice"]),
    Column("spider", TITLES["spider"], scale=1, digits=3),
    Column("fense", TITLES["fense"]),
    Column("distinct1", "distinct-1", best=""),
    Column("distinct2", "distinct-2", best=""),
    Column("vocabulary", "vocabulary", scale=1, digits=0, best=""),
    Column("words", "words", scale=1, best=""),
]
MOST_KINDS = 8
NOISE_NOTE = (
    f"Models whose difference from the best (from the second best) is within noise share its mark, and where all are "
    f"within noise none is marked: paired bootstrap over items and seeds, p >= {NOISE:.2f}."
)
QUESTION_NOTE = (
    f"By kind of question (number of questions): exact match. The {MOST_KINDS} commonest kinds are shown, by the first "
    "words of the question; the result files have all of them."
)


def build_report(
    results: Sequence[Result], command: str = "", page: str = "", mix: bool = False, intervals: bool = False
) -> str:
    """The whole report as Markdown. ``page`` is the path of the plots' page as the report should link it.

    Raises ReportError where scores of different protocols (unless ``mix``) or weights would share a column.
    ``intervals``: show them in the place of deviations over seeds.
    """
    mixed = check_protocols(results, mix)
    check_models(results)
    synthetic = any(r.synthetic for r in results)
    title = "What each encoder is worth"
    lines = [f"# {'SYNTHETIC DATA: ' if synthetic else ''}{title}", ""]
    if synthetic:
        lines += ["This audio was synthesised by the project: the numbers test the code, not the encoders.", ""]
    shown = f"[{LEVEL:.0%} interval, bootstrap]" if intervals else "± standard deviation over seeds"
    lines += [f"In percent unless said otherwise; mean {shown}; the best model in bold, the second best in italics."]
    if any(r.resampled for r in results):
        lines += [NOISE_NOTE]
    lines += [""]
    if mixed:
        lines += ["**Mixed protocols**, as asked for; these scores were not taken alike:", ""]
        lines += [*(f"* {note}" for note in mixed), ""]
    for table in tables(results, intervals):
        lines += table.lines()
    lines += [f"## {'SYNTHETIC: ' if synthetic else ''}What it shows", "", *findings_lines(findings(results)), ""]
    if page:
        lines += ["## Plots", "", f"![learning curves, probes, domains, retrieval, embeddings]({page})", ""]
    return "\n".join(lines + protocol_lines(results, command)).rstrip() + "\n"


def tables(results: Sequence[Result], intervals: bool = False) -> list[Table]:
    """Every table for which there are results, the summary first; a title says where the data is synthetic."""
    parts = [summary(results), domain_table(results)]
    parts += [probe_table(results, part) for part in probe_parts(results)]
    parts += [*low_resource_tables(results), *retrieval_tables(results), *compat_tables(results)]
    parts += [*plain_tables(results), zero_shot_table(results), *captioning_tables(results), *question_tables(results)]
    parts += [*choice_tables(results), *judge_tables(results)]
    found = [table for table in parts if table.rows and table.columns]
    for table in found:
        table.intervals = intervals
        if any(r.synthetic for r in results):
            table.title = f"SYNTHETIC: {table.title}"
    return found


def summary(results: Sequence[Result]) -> Table:
    """One row per model, one column per question a reader asks first; a column that nobody fills is left out."""
    columns: list[tuple[Column, dict[str, Score]]] = []

    def add(title: str, kind: str, *keys: str, **shown: Any) -> None:
        columns.append((Column(title, title, **shown), _over_tasks(results, kind, *keys)))

    for pooling in probe_parts(results):
        add(f"probes, {pooling}", "probe", pooling)
    for space in SPACES:
        for way, arrow in WAYS.items():
            add(f"{arrow} R@10, {'own' if space == 'direct' else 'trained'} text", "retrieval", space, way, "R@10")
    for space in SPACES:
        add(f"zero-shot, {'own' if space == 'direct' else 'trained'} text", "zero_shot", space, "accuracy")
    for part, label in (("trained", "CIDEr-D, trained"), ("direct", "CIDEr-D, own")):
        add(label, "captioning", part, "beam", "cider_d", scale=1, digits=3)
    add("questions, exact", "question", "trained", "all", "exact_match")
    for way in ("trained", "likelihood"):
        add(f"choice, {ANSWERED[way]}", "choice", way, "all", "choice_accuracy")
    for kind, plain in PLAIN.items():
        for part in sorted({part for r in results if r.kind == kind for part in r.scores}):
            add(f"{plain.title.lower()}, {part}, {plain.score}", kind, part, plain.score, best=plain.best)
    rows = [Row(name, {c.key: found.get(name) for c, found in columns}) for name in models(results)]
    note = (
        "Averages are over the tasks of the tables below, for the models that were measured on every one of them. "
        "CIDEr-D is 0 to 10."
    )
    return Table("At a glance", [c for c, found in columns if found], rows, [note])


def _over_tasks(results: Sequence[Result], kind: str, *keys: str) -> dict[str, Score]:
    """By model the score under ``keys``, averaged over the tasks of that kind; only of models that did all of them."""
    found: dict[str, dict[str, Score]] = {}
    for result in (r for r in results if r.kind == kind):
        path = (*keys, probe_metric(result)) if kind == "probe" else keys
        if (score := result.score(*path)) is not None:
            found.setdefault(result.model, {})[result.task] = score
    every = {task for scores in found.values() for task in scores}
    return {
        model: average(list(scores.values())) if len(scores) > 1 else next(iter(scores.values()))
        for model, scores in found.items()
        if scores.keys() == every
    }


def compat_tables(results: Sequence[Result]) -> list[Table]:
    """What other code bases would have reported for a retrieval set, with how they differ."""
    found = []
    with_compat = [r for r in results if r.kind == "retrieval" and r.details.get("compat")]
    for task, mode in sorted({(r.task, mode) for r in with_compat for mode in r.details["compat"]}):
        mine = [r for r in with_compat if r.task == task and mode in r.details["compat"]]
        names = ("R@1", "R@5", "R@10", "mAP@10")
        columns = [Column(f"{way} {k}", f"{arrow} {k}", best="") for way, arrow in WAYS.items() for k in names]
        rows = []
        for result in mine:
            tree = result.details["compat"][mode]
            for space in (s for s in SPACES if s in tree):
                cells = {f"{w} {k}": Score.of(tree[space][w][k]) for w in WAYS for k in names}
                rows.append(Row(f"{result.model}, {SPACES[space]}", cells))
        differs = mine[0].details["compat"][mode]["differs"]
        note = f"To compare with numbers published with {mode}, and with nothing else: {differs}."
        found.append(Table(f"Retrieval as {mode} computes it: {task}", columns, rows, [note]))
    return found


def retrieval_tables(results: Sequence[Result]) -> list[Table]:
    """One table per retrieval set: a row per model and text side."""
    tables = []
    for task in sorted({r.task for r in results if r.kind == "retrieval"}):
        found = [r for r in results if r.task == task]
        columns = []
        for way, arrow in WAYS.items():
            names = [k for k in ("R@1", "R@5", "R@10", "mAP@10", "MRR@10") if any(_has(r, way, k) for r in found)]
            columns += [Column(f"{way} {k}", f"{arrow} {k}") for k in names]
            columns.append(Column(f"{way} median_rank", f"{arrow} MedR", scale=1, best="low"))
        rows: dict[str, Row] = {}
        for result in found:
            for space in (s for s in SPACES if s in result.scores):
                cells = {f"{w} {k}": v for w in WAYS for k, v in result.scores_below(space, w).items()}
                label = f"{result.model}, {SPACES[space]}"
                rows[label] = Row(label, cells)
                chance = {f"{w} {k}": cells.get(f"{w} chance_{k}") for w in WAYS for k in ("R@1", "R@5", "R@10")}
        size = next(iter(found[0].scores.values()))
        notes = [
            f"{size[way]['queries']:.0f} queries over {size[way]['items']:.0f} {items}, {arrow}."
            for (way, arrow), items in zip(WAYS.items(), ("clips", "captions"), strict=True)
        ]
        notes += ["T→A finds clips by text, A→T texts by clip; MedR is the median rank (low is good)."]
        every = [Row("chance", chance, ranked=False), *rows.values()]
        tables.append(Table(f"Retrieval: {task}", columns, every, [" ".join(notes)]))
    return tables


def _has(result: Result, way: str, name: str) -> bool:
    return any(name in space[way] for space in result.scores.values())


def zero_shot_table(results: Sequence[Result]) -> Table:
    """Accuracy by prompts, a row per model and text side."""
    found = [r for r in results if r.kind == "zero_shot"]
    tasks = sorted({r.task for r in found})
    columns = [Column(task, short(task)) for task in tasks] + [Column("average", "average")]
    rows = [Row("majority class", with_average({r.task: detail(r, "majority") for r in found}, tasks), False)]
    for name in models(found):
        for space, words in SPACES.items():
            mine = [r for r in found if r.model == name and space in r.scores]
            if mine:
                cells = {r.task: r.score(space, "accuracy") for r in mine}
                rows.append(Row(f"{name}, {words}", with_average(cells, tasks)))
    return Table("Zero-shot classification", columns, rows if found else [], ["Accuracy by prompts, no labelled clip."])


def captioning_tables(results: Sequence[Result]) -> list[Table]:
    """One table per captioning task: a row per model, decoder and search; the baselines first. Scores of tools have a
    column where some result has them; the note names the others."""
    return [_captioning_table(task, mine) for task, mine in by_task(results, "captioning").items()]


def _captioning_table(task: str, found: Sequence[Result]) -> Table:
    rows = []
    for name, words in BASELINES.items():
        rows.append(Row(words, found[0].scores_below("baseline", name), ranked=False))
    for result in found:
        for part, words in (("trained", "decoder trained here"), ("direct", "own decoder")):
            for search in result.scores.get(part, {}):
                shown = f"{search} {result.details.get(search, '')}".strip()  # beam 4, nucleus 0.9
                rows.append(Row(f"{result.model}, {words}, {shown}", result.scores_below(part, search)))
    absent = [name for name in TITLES if not any(row.cells.get(name) for row in rows)]
    notes = [
        "CIDEr-D is 0 to 10, SPIDEr 0 to 5.5. METEOR (exact+stem) knows no synonyms or paraphrases: compare it within "
        "this table only. distinct, vocabulary and words describe the captions and are not marked."
    ]
    if absent:
        names = ", ".join(TITLES[name] for name in absent)
        notes[0] += f" Not computed: {names}; each is of its own program, which a task asks for by `tools`."
    told = {f"{r.task}: {words}." for r in found if (words := fewer_references(r.details.get("references", {})))}
    columns = [column for column in CAPTION_COLUMNS if column.key not in absent]
    return Table(f"Captioning: {task}", columns, rows, notes + sorted(told), corner="captions by")


def question_tables(results: Sequence[Result]) -> list[Table]:
    """One table per task: exact match and token F1 over all questions, exact match by kind of question; the blind
    baseline first."""
    found = []
    for task, mine in by_task(results, "question").items():
        counts = mine[0].details.get("questions", {})
        kinds = {kind: counts.get(kind, 0) for kind in mine[0].scores["blind"] if kind != "all"}
        kinds = dict(sorted(kinds.items(), key=lambda item: (-item[1], item[0]))[:MOST_KINDS])
        columns = [Column("all exact_match", "exact match"), Column("all token_f1", "token F1")]
        columns += [Column(f"{kind} exact_match", f"{kind} ({count})") for kind, count in kinds.items()]
        rows = [Row("blind: commonest answer", _answers(mine[0], "blind"), ranked=False)]
        rows += [Row(r.model, _answers(r, "trained")) for r in mine]
        found.append(Table(f"Question answering: {task}", columns, rows, [QUESTION_NOTE]))
    return found


def _answers(result: Result, part: str) -> dict[str, Score | None]:
    kinds = result.scores[part]
    return {f"{kind} {name}": score for kind in kinds for name, score in result.scores_below(part, kind).items()}


def protocol_lines(results: Sequence[Result], command: str) -> list[str]:
    """What stands behind the numbers: tasks, models, software, commands."""
    lines = ["## Protocol", "", *_task_grid(results), ""]
    crops = sorted({str(r.tree["crop"]) for r in results if r.tree.get("crop")})
    lines += ["Found/expected: clips scored, of the published test set; of those here where its size is unknown. "
              f"Clips are heard as: {'; '.join(crops) or 'not recorded'}.", ""]  # fmt: skip
    seen: dict[tuple[str, str], list[str]] = {}
    for r in results:
        seen.setdefault((r.kind, r.tree["protocol"].get("description", "")), []).append(r.task)
    for (kind, text), tasks in sorted(seen.items()):
        lines += [f"**{kind}** ({', '.join(sorted(set(tasks)))}): {text}", ""]
    lines += [*_model_grid(results), ""]
    versions = sorted({", ".join(f"{k} {v}" for k, v in r.tree.get("versions", {}).items()) for r in results})
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    lines += [f"Versions: {'; '.join(versions)}. Reported on a machine with {cores} processor cores.", ""]
    commands = list(dict.fromkeys(c for r in results if (c := r.tree.get("command"))))
    commands += [command] if command else []
    return lines + ["Commands:", "", "```", *map(shown_command, commands), "```", ""]


def shown_command(command: str) -> str:
    """A recorded command as one would type it here: the program by its name, paths relative where that is shorter."""
    program, *words = shlex.split(command)
    program = "audiotext" if Path(program).name in ("main.py", "audiotext") else program
    return shlex.join([program, *map(_shorter, words)])


def _shorter(word: str) -> str:
    """An absolute path seen from the current folder, if that is shorter; any other word as it is."""
    return min(word, os.path.relpath(word), key=len) if os.path.isabs(word) else word


def _task_grid(results: Sequence[Result]) -> list[str]:
    rows = [["task", "found/expected", "id list", "selected on", "protocol", "layer", "seeds"]]
    for task in sorted({r.task for r in results}):
        mine = [r for r in results if r.task == task]
        clips = _counts(mine)
        chosen = sorted({_selected(r) for r in mine})
        ids = sorted({r.tree["ids_hash"][:12] for r in mine})
        protocols = sorted({r.protocol_id for r in mine})
        seeds = sorted({" ".join(map(str, r.tree.get("seeds", []))) for r in mine})
        layers = sorted({str(r.tree.get("layer", "last")) for r in mine})
        rows.append([task, *(", ".join(cell) for cell in (clips, ids, chosen, protocols, layers, seeds))])
    return grid(rows, left=len(rows[0]))


def _selected(result: Result) -> str:
    """How many clips could decide anything; of those that were to, where a probe lacked some."""
    expected, found = result.tree["protocol"].get("select_on", {}).get("clips", "?"), result.details.get("train_found")
    return f"{expected}" if found in (None, expected) or not expected else f"{found}/{expected}"


def _counts(results: Sequence[Result]) -> list[str]:
    """``found/expected`` clips; where models differ, which of them lack some."""
    by_count: dict[tuple[int, int], list[str]] = {}
    for r in results:
        by_count.setdefault((r.tree["clips"]["found"], r.tree["clips"]["expected"]), []).append(r.model)
    return [
        f"{found}/{expected}" + (f" ({', '.join(names)})" if len(by_count) > 1 and found != expected else "")
        for (found, expected), names in sorted(by_count.items(), reverse=True)
    ]


def _model_grid(results: Sequence[Result]) -> list[str]:
    rows = [["model", "encoder", "hears", "weights", "code", "tasks", "seconds", "peak MB"]]
    for name in models(results):
        mine = [r for r in results if r.model == name]
        code = sorted({str(r.tree.get("git_revision") or "-") for r in mine})
        seconds = sum(float(r.tree.get("seconds", 0)) for r in mine)
        first = mine[0].tree
        hears = f"{first['frontend']}, {first['sample_rate']} Hz" if "frontend" in first else "-"
        encoder = str(first.get("encoder_of") or first.get("encoder", "-"))
        memory = max((m for r in mine for m in r.tree.get("peak_memory_mb", {}).values()), default=0)
        what = [name, encoder, hears, first["model_hash"][:16], ", ".join(code)]
        rows.append([*what, str(len(mine)), f"{seconds:.0f}", str(memory or "-")])
    return grid(rows, left=5)


def tables_text(report: str) -> str:
    """The part of a report that is worth printing: everything before the protocol, without the plots."""
    text = report.split("\n## Protocol\n")[0]
    return text.split("\n## Plots\n")[0].rstrip() + "\n"


def write_text(path: Path, text: str) -> None:
    """By atomic rename."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
