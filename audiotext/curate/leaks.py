"""Keep the test clips of every probe, and what is nearly the same, out of pretraining."""

from __future__ import annotations

from audiotext.curate.entry import Entry, Removal


def split_leaks(entries: list[Entry], probe_labels: tuple[str, ...]) -> tuple[list[Entry], list[Removal]]:
    """Clips that may be used for pretraining, and the others with evidence.

    A clip leaks when it is a test clip of a probe, or when a test clip of the same group (family within its source, or
    joined by a shared recording) exists. Families tell near-duplicates; exact ones were merged before.
    """
    tests: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda e: e.id):
        if is_test(entry):
            tests.setdefault(entry.group, entry)
    kept, removed = [], []
    for entry in entries:
        if is_test(entry):
            names = ", ".join(entry.probes(probe_labels)) or "an evaluation"
            removed.append(Removal(entry.id, entry.source, "leaks", f"test clip of {names}"))
        elif entry.group in tests:
            test = tests[entry.group]
            removed.append(Removal(entry.id, entry.source, "leaks", f"family {entry.group} of the test clip {test.id}"))
        else:
            kept.append(entry)
    return kept, removed


def is_test(entry: Entry) -> bool:
    """A clip marked for testing; it stays one if its probe label was dropped."""
    return entry.split != "train"
