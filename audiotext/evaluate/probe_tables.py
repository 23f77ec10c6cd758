"""Tables of probes: by task, by domain, and by how much of the training data they saw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from audiotext.evaluate.findings import probe_metric, probe_scores, short
from audiotext.evaluate.results import SHARE, Result, models, part_of, share_of
from audiotext.evaluate.table import Column, Row, Score, Table, average

POOLINGS = ("attention", "mean")
DOMAINS = ("speech", "music", "sound")
GUESSING = "majority class"


def probe_parts(results: Sequence[Result]) -> list[str]:
    """The poolings (and kinds of probe) that results have, the usual two first; parts of the training data left out."""
    found = {part for r in results if r.kind == "probe" for part in r.scores if SHARE not in part}
    return [*(p for p in POOLINGS if p in found), *sorted(found - {*POOLINGS})]


def probe_table(results: Sequence[Result], pooling: str) -> Table:
    """The task's own score (accuracy where it says nothing else) by probe, and what guessing gives."""
    probes = [r for r in results if r.kind == "probe" and pooling in r.scores]
    tasks = sorted({r.task for r in probes})
    metric = {r.task: probe_metric(r) for r in probes}
    titles = {t: short(t) if metric[t] == "accuracy" else f"{short(t)}, {metric[t]}" for t in tasks}
    columns = [Column(t, titles[t], best="low" if metric[t] == "EER" else "high") for t in tasks]
    columns.append(Column("average", "average"))
    rows = [Row(GUESSING, with_average({r.task: detail(r, "majority") for r in probes}, tasks), False)]
    for name in models(probes):
        rows.append(Row(name, with_average(dict(probe_scores(probes, name, pooling)), tasks)))
    notes = [f"Accuracy unless said. An average is given where every probe was measured{_mixes(metric.values())}."]
    named = f"{pooling} pooling" if pooling in POOLINGS else pooling
    return Table(f"Linear probes, {named}" if "," not in named else named, columns, rows if probes else [], notes)


def domain_table(results: Sequence[Result]) -> Table:
    """Averages over the probes of each domain, for every model that was measured on all of them."""
    probes = [r for r in results if r.kind == "probe" and r.details.get("domain")]
    columns, metrics, members = [], set(), {}
    rows = {name: Row(name, {}, ranked=name != GUESSING) for name in (GUESSING, *models(probes))}
    for pooling in probe_parts(probes):
        for domain in domains(probes):
            mine = [r for r in probes if r.details["domain"] == domain and pooling in r.scores]
            tasks = sorted({r.task for r in mine})
            if not tasks:
                continue
            members.setdefault(domain, dict.fromkeys(map(short, tasks)))
            metrics |= {probe_metric(r) for r in mine}
            columns.append(Column(f"{domain} {pooling}", f"{domain}, {pooling}"))
            guessing = {r.task: detail(r, "majority") for r in mine}
            for name, row in rows.items():
                cells = guessing if name == GUESSING else probe_scores(mine, name, pooling)
                row.cells[columns[-1].key] = with_average(dict(cells), tasks)["average"]
    note = "; ".join(f"{domain}: {', '.join(tasks)}" for domain, tasks in members.items())
    notes = [f"Averages over the probes of a domain, where every one was measured{_mixes(metrics)}. {note}."]
    return Table("Probes by domain", columns, list(rows.values()) if columns else [], notes)


def domains(results: Sequence[Result]) -> list[str]:
    """The domains that results name, the usual three first."""
    found = {domain for r in results if (domain := r.details.get("domain"))}
    return [*(d for d in DOMAINS if d in found), *sorted(found - {*DOMAINS})]


def low_resource_tables(results: Sequence[Result]) -> list[Table]:
    """For every probe that was also trained on parts of its training data: a column per part."""
    found = []
    for (task, pooling), mine in low_resource(results).items():
        parts = {share_of(part) for r in mine for part in r.scores}
        shares = sorted(share for name, share in parts if name == pooling)
        metric = probe_metric(mine[0])
        columns = [Column(part_of(pooling, s), _share_title(mine, s)) for s in shares]
        rows = [Row(r.model, {c.key: r.score(c.key, metric) for c in columns}) for r in mine]
        note = f"Scores ({metric}) by part of the training data; the parts are nested."
        if any("shares" in r.details for r in mine):
            note += f" In brackets: clips; a class keeps two, even where that is more than its share.{_lacks(mine)}"
        found.append(Table(f"Low resource: {short(task)}, {pooling}", columns, rows, [note]))
    return found


def low_resource(results: Sequence[Result]) -> dict[tuple[str, str], list[Result]]:
    """The results of every task and probe that was also trained on parts of its training data."""
    found: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        if result.kind == "probe":
            for name in dict.fromkeys(share_of(part)[0] for part in result.scores if SHARE in part):
                found.setdefault((result.task, name), []).append(result)
    return dict(sorted(found.items()))


def share_clips(results: Sequence[Result], share: float) -> float | None:
    """How many training clips ``share`` per cent came to, where a result says so."""
    facts = (r.details.get("shares", {}).get(f"{share:g}") for r in results)
    return next((found["clips"] for found in facts if found), None)


def _share_title(results: Sequence[Result], share: float) -> str:
    clips = share_clips(results, share)
    return f"{share:g} %" if clips is None else f"{share:g} % ({clips:.0f})"


def _lacks(results: Sequence[Result]) -> str:
    """Which parts of the training data lack classes (of clips with several labels, which nothing stratifies)."""
    facts = next((found for r in results if (found := r.details.get("shares"))), {})
    every = facts["100"]["classes"]
    some = [f"{share} % holds {one['classes']:.0f} of {every:.0f} classes"
            for share, one in facts.items() if one["classes"] < every]  # fmt: skip
    return f" {'; '.join(some)}." if some else ""


def detail(result: Result, key: str) -> Score | None:
    return Score.of(result.details[key]) if key in result.details else None


def with_average(cells: dict[str, Score | None], tasks: Sequence[str]) -> dict[str, Score | None]:
    """The cells and, where every one of ``tasks`` has a score, their average."""
    found = [cells.get(task) for task in tasks]
    return cells | {"average": average(found) if tasks and None not in found else None}


def _mixes(metrics: Iterable[str]) -> str:
    different = sorted(set(metrics))
    return f"; it mixes {' and '.join(different)}" if len(different) > 1 else ""
