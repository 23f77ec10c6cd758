"""Keep the test clips of every probe, and what is nearly the same, out of pretraining."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict

from audiotext.curate.entry import Entry, Removal

log = logging.getLogger(__name__)


def split_leaks(entries: list[Entry], probe_labels: tuple[str, ...]) -> tuple[list[Entry], list[Removal]]:
    """Clips that may be used for pretraining, and the others with evidence.

    A clip leaks when it is a test clip, or when its group (family within its source, or joined by a shared recording)
    holds one. Exact duplicates were merged before. A training clip of the very probes that the group's test clips
    belong to stays: the probe's own split calls it distinct, and whatever it gives away it gives to the probe of every
    model alike. How many such clips there are is logged.
    """
    tests: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda e: e.id):
        if is_test(entry):
            tests[entry.group].append(entry)
    kept, removed = [], []
    shared: Counter[str] = Counter()
    for entry in entries:
        alike = tests.get(entry.group, [])
        tested = {name for test in alike for name in test.probes(probe_labels)}
        if is_test(entry):
            names = ", ".join(entry.probes(probe_labels)) or "an evaluation"
            removed.append(Removal(entry.id, entry.source, "leaks", f"test clip of {names}"))
        elif alike and not (tested and tested <= set(entry.probes(probe_labels))):
            reason = f"family {entry.group} of the test clip {alike[0].id}"
            removed.append(Removal(entry.id, entry.source, "leaks", reason))
        else:
            shared.update(tested)
            kept.append(entry)
    for name, count in sorted(shared.items()):
        log.warning("probe %s: %d training clips share a family with its test clips", name, count)
    return kept, removed


def is_test(entry: Entry) -> bool:
    """A clip marked for testing; it stays one if its probe label was dropped."""
    return entry.split != "train"
