"""Hold out whole families: which clips train, which validate, which test retrieval, captions and answers."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field

from audiotext.curate.entry import Entry, Removal, seeded

log = logging.getLogger(__name__)


@dataclass
class SubsetConfig:
    """How many clips to hold out."""

    heldout: int = 330
    """Clips to test on, spread evenly over the domains as far as their families allow."""
    valid: int = 150
    """Clips to validate on while training, chosen alike from other families."""
    share: float = 0.25
    """Most of a domain's clips that either subset may take; a small corpus then gets smaller subsets, and a warning."""
    largest_family: int = 20
    """Larger families stay in training: few of them would fill a subset with near-duplicates."""
    label_styles: tuple[str, ...] = ("filename", "unknown")
    """Styles that do not describe; a held-out clip has a caption of some other style."""


@dataclass
class Subsets:
    """The clips of each subset, and those of held-out families that do not describe."""

    pretrain: list[Entry] = field(default_factory=list)
    valid: list[Entry] = field(default_factory=list)
    heldout: list[Entry] = field(default_factory=list)
    removed: list[Removal] = field(default_factory=list)


def split_subsets(entries: list[Entry], config: SubsetConfig, seed: int, probe_labels: tuple[str, ...]) -> Subsets:
    """Split by a seeded hash of each family's name; clips with probe labels always train.

    The order in which families are taken depends on nothing but the seed and their names.
    """
    families: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        families[entry.group].append(entry)
    free: dict[str, list[str]] = defaultdict(list)
    totals: dict[str, int] = defaultdict(int)
    for entry in entries:
        totals[entry.domain] += 1
    for name in sorted(families, key=lambda name: seeded(seed, name)):
        if holdable(families[name], config, probe_labels):
            free[min(entry.domain for entry in families[name])].append(name)
    counts = {name: sum(describes(e, config) for e in members) for name, members in families.items()}
    result = Subsets()
    taken: dict[str, str] = {}
    for subset, wanted in (("heldout", config.heldout), ("valid", config.valid)):
        room = {d: int(min(sum(counts[n] for n in names), config.share * totals[d])) for d, names in free.items()}
        targets = water_fill(room, wanted)
        possible = sum(targets.values())
        if possible < wanted:
            log.warning("%s: %d clips asked for, but families allow only %d", subset, wanted, possible)
        for domain, target in sorted(targets.items()):
            free[domain] = _take(free[domain], counts, target, subset, taken)
    for entry in entries:
        subset = taken.get(entry.group, "pretrain")
        if subset != "pretrain" and not describes(entry, config):
            reason = f"family {entry.group} is in {subset}, and no caption describes"
            result.removed.append(Removal(entry.id, entry.source, "subsets", reason))
        else:
            getattr(result, subset).append(entry)
    return result


def _take(names: list[str], counts: dict[str, int], target: int, subset: str, taken: dict[str, str]) -> list[str]:
    """Mark families, in order, until ``target`` clips are found; families that would overshoot are passed over."""
    left, found = [], 0
    for name in names:
        if found < target and found + counts[name] <= target:
            taken[name] = subset
            found += counts[name]
        else:
            left.append(name)
    return left


def describes(entry: Entry, config: SubsetConfig) -> bool:
    """Whether some caption is more than a file name."""
    return any(style not in config.label_styles for style in entry.styles)


def holdable(family: list[Entry], config: SubsetConfig, probe_labels: tuple[str, ...]) -> bool:
    """Not too large, describes, carries no probe label."""
    if len(family) > config.largest_family or any(entry.probes(probe_labels) for entry in family):
        return False
    return any(describes(entry, config) for entry in family)


def water_fill(room: dict[str, int], wanted: int) -> dict[str, int]:
    """Spread ``wanted`` evenly over names with limited ``room``; what one cannot hold goes to the others."""
    targets: dict[str, int] = {}
    names = sorted(room, key=lambda name: (room[name], name))
    for i, name in enumerate(names):
        targets[name] = min(room[name], (wanted - sum(targets.values())) // (len(names) - i))
    return targets
