"""Clips that cannot be loaded: counted by what is wrong with them, and too many of them end a run."""

from __future__ import annotations

import logging
from typing import Any

from audiotext.config import ConfigError
from audiotext.data.corpus import DataError
from audiotext.data.dataset import BadClip

ENOUGH = 100
"""Clips to see before their share of bad ones says anything."""
_SHOWN = 10  # bad clips that are logged one by one
_NAMED = 3  # and those that the error names
_log = logging.getLogger(__name__)


class BadClips:
    """Counts since a run's start. ``seen``: clips asked for. ``kinds``: kind of fault -> clips; one counts every time.

    max_ratio: the largest share of bad clips that is put up with.
    """

    def __init__(self, max_ratio: float = 1.0):
        if not 0 <= max_ratio <= 1:
            raise ConfigError(f"max_bad_ratio: expected a share between 0 and 1, got {max_ratio}")
        self.max_ratio, self.seen = max_ratio, 0
        self.kinds: dict[str, int] = {}
        self.first: list[str] = []
        """What is wrong with the first ones."""

    @property
    def total(self) -> int:
        return sum(self.kinds.values())

    def add(self, good: int, bad: list[BadClip]) -> None:
        """Take in a batch. Raises DataError where, after a hundred clips, more than ``max_ratio`` of them were bad."""
        self.seen += good + len(bad)
        for clip in bad:
            self.kinds[clip.kind] = self.kinds.get(clip.kind, 0) + 1
            said = f"{clip.id}: {clip.reason}"
            if self.total <= _SHOWN:
                _log.warning("clip left out: %s", said)
            elif self.total == _SHOWN + 1:
                _log.warning("more clips are left out, counted from now on without a line each")
            if len(self.first) < _NAMED and said not in self.first:
                self.first.append(said)
        if self.seen >= ENOUGH and self.total > self.max_ratio * self.seen:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
            raise DataError(
                f"{self.total} of the {self.seen} clips so far cannot be used ({kinds}), more than "
                f"data.max_bad_ratio={self.max_ratio:g} allows. The first: {'; '.join(self.first)}. Mend or remove "
                "such clips, or allow more, and run the same command again"
            )

    def joined(self, states: list[dict[str, Any]]) -> BadClips:
        """These counts for several processes together."""
        whole = BadClips(self.max_ratio)
        for state in states:
            whole.seen += state["seen"]
            for kind, count in state["kinds"].items():
                whole.kinds[kind] = whole.kinds.get(kind, 0) + count
        return whole

    def counts(self) -> dict[str, float]:
        """Scalars to log, the total and each kind; empty where every clip was good."""
        kinds = {f"bad_clips/{kind.replace(' ', '_')}": float(count) for kind, count in sorted(self.kinds.items())}
        return {"bad_clips": float(self.total)} | kinds if kinds else {}

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen, "kinds": dict(self.kinds), "first": list(self.first)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen, self.kinds, self.first = state["seen"], dict(state["kinds"]), list(state["first"])
