"""Nested subsets: of every size the same corpus in small, each within the next, the same on every machine."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from audiotext.config import ConfigError
from audiotext.curate.entry import Entry, seeded

_SIZE = re.compile(r"(\d+(?:\.\d+)?)([km%]?)", re.IGNORECASE)


def parse_sizes(names: Iterable[str], total: int) -> dict[str, int]:
    """Clips that each size asks for: a number (400k and 1m are numbers), a percentage, or a fraction below 1.

    Raises ConfigError for a size that is none, is of no clip, or is of more than the ``total``.
    """
    sizes = {}
    for name in names:
        match = _SIZE.fullmatch(name)
        if not match:
            raise ConfigError(f"subset {name!r}: expected a size such as 400k, 1m, 25% or 0.25")
        value = float(match[1])
        unit = {"": total if value < 1 else 1, "k": 1e3, "m": 1e6, "%": total / 100}[match[2].lower()]
        count = round(value * unit)
        if not 0 < count <= total:
            raise ConfigError(f"subset {name!r}: {count} clips asked for, of the {total} that are left for pretraining")
        sizes[name] = count
    return sizes


def nested_order(entries: Sequence[Entry], seed: int) -> list[Entry]:
    """An order in which the first N clips, whatever N, are a random subset that has its share of every source.

    Each clip is placed by its rank among those of its source, ranked by a seeded hash of the id, so that the order
    within a source hangs on nothing but ids and seed; other sources may come and go.
    """
    sources: dict[str, list[tuple[str, Entry]]] = defaultdict(list)
    for entry in entries:
        sources[entry.source].append((seeded(seed, entry.id), entry))
    placed = []
    for members in sources.values():
        members.sort(key=lambda pair: pair[0])
        placed += [((rank + 0.5) / len(members), key, entry) for rank, (key, entry) in enumerate(members)]
    placed.sort(key=lambda item: item[:2])
    return [entry for _, _, entry in placed]


def nested_subsets(entries: Sequence[Entry], names: Iterable[str], seed: int) -> dict[str, list[Entry]]:
    """Size -> its clips, ordered by id. Raises ConfigError for a size that is none or too large."""
    order = nested_order(entries, seed)
    sizes = parse_sizes(names, len(order))
    return {name: sorted(order[:count], key=lambda entry: entry.id) for name, count in sizes.items()}
