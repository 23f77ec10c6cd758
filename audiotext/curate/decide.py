"""Third pass, over numbers alone: what becomes of every clip. Rows are clips in the order of their ids."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from io import FileIO
from pathlib import Path

import numpy as np

from audiotext.curate.duplicates import connected, merge, same_recordings
from audiotext.curate.entry import Entry, cleaned
from audiotext.curate.ingest import BARRED, DESCRIBES, LEAKS, SAME, TEST
from audiotext.curate.leaks import family_leaks
from audiotext.curate.nested import nested_ranks, parse_sizes
from audiotext.curate.subsets import PRETRAIN, SUBSETS, SubsetConfig, split_subsets
from audiotext.data.columns import open_columns
from audiotext.data.corpus import DataError

# What becomes of a clip: one of SUBSETS, or it goes, for one of these reasons.
LICENCE, DUPLICATE, TESTS, FOUND, FAMILY, HELD = range(len(SUBSETS), len(SUBSETS) + 6)
NOBODY = -1


class Lines:
    """The cleaned lines of clips by row. unit, at, length: (N,) in which piece, from which byte and how long."""

    def __init__(self, pieces: list[Path], unit: np.ndarray, at: np.ndarray, length: np.ndarray):
        self._paths = [str(piece / "lines") for piece in pieces]
        self._unit, self._at, self._length = unit, at, length
        self._files = lru_cache(32)(_open)  # closed when this goes, as nothing in it refers to this

    def line(self, row: int) -> bytes:
        """The line of a clip, wherever it lies."""
        file = self._files(self._paths[self._unit[row]])
        return os.pread(file.fileno(), int(self._length[row]), int(self._at[row]))

    def entry(self, row: int) -> Entry:
        """The clip itself."""
        return cleaned(self.line(row))


def _open(path: str) -> FileIO:
    return FileIO(path)


@dataclass
class Decide:
    """column: name -> (N,), read from the disk each time. lines: to look at clips that numbers do not settle."""

    column: Callable[[str], np.ndarray]
    lines: Lines
    probe_labels: tuple[str, ...]
    subsets: SubsetConfig
    nested: tuple[str, ...]

    def __call__(self) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """Columns fate, level, probe and other (N,), merged and keeper (M,), renamed and donor (R,); and counts.

        fate: PRETRAIN, VALID, HELDOUT, LICENCE, DUPLICATE, TESTS, FOUND, FAMILY or HELD. level: of a pretraining clip,
        how many of the sizes, small ones first, it is too far back for. probe: whether it is one of a probe's clips.
        other: the clip that took the captions of a duplicate; the test clip that is a FAMILY clip's sibling; the
        subset that a HELD clip's family is in; else NOBODY. renamed: clips that now belong to the family of clip donor.
        Raises DataError or ConfigError.
        """
        flags, probes = self.column("flags"), self.column("probes")
        fate = np.full(len(flags), PRETRAIN, np.uint8)
        other = np.full(len(flags), NOBODY, np.int64)
        fate[flags & BARRED != 0] = LICENCE
        merged, keeper = self._merge(fate, other, flags, probes)
        group = self.column("group")
        renamed, donor = join_groups(group, fate, other, self.column("alike"))
        live = np.flatnonzero(fate == PRETRAIN)
        probe = np.zeros(len(flags), bool)
        probe[live] = probes[live] != 0
        rows, siblings = family_leaks(group[live], flags[live] & TEST != 0, probes[live], self.probe_labels)
        fate[live[rows]], other[live[rows]] = FAMILY, live[siblings]
        found = live[flags[live] & LEAKS != 0]
        fate[found], other[found] = FOUND, NOBODY
        probe[found[flags[found] & TEST == 0]] = False  # else a probe trains on what it is tested on
        fate[live[flags[live] & TEST != 0]] = TESTS
        self._hold_out(fate, other, group, flags, probes)
        level = self._nest(fate)
        captions = self.column("captions").astype(np.int64)
        np.add.at(captions, keeper, captions[merged])
        pretrain = fate == PRETRAIN
        counts = {"pretrain": int(np.count_nonzero(pretrain)), "captions": int(captions[pretrain].sum())}
        columns = {"fate": fate, "level": level, "probe": probe.view(np.uint8), "other": other}
        return columns | {"merged": merged, "keeper": keeper, "renamed": renamed, "donor": donor}, counts

    def _merge(
        self, fate: np.ndarray, other: np.ndarray, flags: np.ndarray, probes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of one recording a test clip stays before a probe's clip before another, then the first. Returns the clips
        that go and those that stay for them, by the latter."""
        live = np.flatnonzero(fate == PRETRAIN)
        names = ("content0", "content1", "place0", "place1", "begin", "end")
        rows, recording = same_recordings({name: self.column(name)[live] for name in names}, SAME)
        rows = live[rows]
        rank = np.where(flags[rows] & TEST != 0, 0, np.where(probes[rows] != 0, 1, 2))
        order = np.lexsort((rows, rank, recording))
        rows, recording = rows[order], recording[order]
        if not len(rows):
            return rows, rows
        begins = np.flatnonzero(np.diff(recording, prepend=-1))
        sizes = np.diff(begins, append=len(rows))
        keepers = rows[begins]
        gone = np.ones(len(rows), bool)
        gone[begins] = False
        fate[rows[gone]] = DUPLICATE
        other[rows[gone]] = np.repeat(keepers, sizes)[gone]
        any_flag = np.bitwise_or.reduceat(flags[rows], begins)
        labelled = np.bitwise_or.reduceat(probes[rows], begins) != 0
        unsure = labelled | (any_flag & ~flags[keepers] & DESCRIBES != 0)
        flags[keepers] |= any_flag & LEAKS
        for i in np.flatnonzero(unsure).tolist():
            self._look(keepers[i], rows[begins[i] + 1 : begins[i] + sizes[i]], flags, probes)
        by_keeper = np.argsort(other[rows[gone]], kind="stable")
        return rows[gone][by_keeper], other[rows[gone]][by_keeper]

    def _look(self, keeper: int, others: np.ndarray, flags: np.ndarray, probes: np.ndarray) -> None:
        """Labels that disagree go, and a caption may repeat one of another style: that takes the texts."""
        entry = self.lines.entry(keeper)
        merge(entry, [self.lines.entry(row) for row in others.tolist()], self.probe_labels)
        probes[keeper] = sum(1 << i for i, name in enumerate(self.probe_labels) if name in entry.labels)
        flags[keeper] &= ~np.uint8(DESCRIBES)
        flags[keeper] |= DESCRIBES * any(style not in self.subsets.label_styles for style in entry.styles)

    def _hold_out(self, fate: np.ndarray, other: np.ndarray, group: np.ndarray, flags: np.ndarray,
                  probes: np.ndarray) -> None:  # fmt: skip
        pool = np.flatnonzero(fate == PRETRAIN)
        describes = flags[pool] & DESCRIBES != 0
        domain = self.column("domain")[pool]
        chosen = split_subsets(group[pool], domain, describes, probes[pool] != 0, self.subsets)
        held = (chosen != PRETRAIN) & ~describes
        fate[pool] = np.where(held, HELD, chosen)
        other[pool[held]] = chosen[held]

    def _nest(self, fate: np.ndarray) -> np.ndarray:
        level = np.zeros(len(fate), np.uint8)
        pool = np.flatnonzero(fate == PRETRAIN)
        if not len(pool):
            raise DataError("no clip is left for pretraining; lower --heldout and --valid, or look at the manifests")
        sizes = sorted(parse_sizes(self.nested, len(pool)).values())
        if sizes:
            ranks = nested_ranks(self.column("order")[pool], self.column("source")[pool])
            level[pool] = np.searchsorted(sizes, ranks, side="right")
        return level


def join_groups(
    group: np.ndarray, fate: np.ndarray, other: np.ndarray, alike: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Families of which a recording was in both, or clips that share audio (of one nonzero number in ``alike``), become
    one, in place: that of the first clip that stays.

    Returns the clips that change family, and for each one of those whose family it now has.
    """
    gone = np.flatnonzero(fate == DUPLICATE)
    heard = np.flatnonzero(alike)
    heard = heard[np.argsort(alike[heard], kind="stable")]
    a, b = heard[:-1], heard[1:]
    links = np.stack([a, b])[:, alike[a] == alike[b]]
    pairs = np.concatenate([np.stack([group[gone], group[other[gone]]], axis=1), group[links].T])
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    if not len(pairs):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    names, places = np.unique(pairs, return_inverse=True)
    parts = connected(places.reshape(pairs.shape), len(names))
    place = np.searchsorted(names, group)
    place[place == len(names)] = 0
    rows = np.flatnonzero((names[place] == group) & (fate != DUPLICATE) & (fate != LICENCE))
    _, first, member = np.unique(parts[place[rows]], return_index=True, return_inverse=True)
    donor = rows[first[member.reshape(-1)]]
    changed = group[rows] != group[donor]
    group[rows] = group[donor]
    return rows[changed], donor[changed]


class Table:
    """The columns of all buckets. starts: (buckets + 1,) the first row of each."""

    def __init__(self, folders: list[Path]):
        self._folders = folders
        self.starts = np.cumsum([0, *(len(self._open(folder)["flags"]) for folder in folders)])

    @staticmethod
    def _open(folder: Path) -> dict[str, np.ndarray]:
        return open_columns(folder / "columns")[0]

    def column(self, name: str) -> np.ndarray:
        """(N,), read anew."""
        return np.concatenate([self._open(folder)[name] for folder in self._folders])
