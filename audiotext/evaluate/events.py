"""Events as labels: what a manifest says happens in a clip and when, checked, and as targets of its frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audiotext.evaluate.frames import EvalClip, FrozenFrames
from audiotext.evaluate.protocol import ProtocolError
from audiotext.metric.psds import EVENT, united

Array = np.ndarray
SLACK = 0.5  # seconds by which an event may end after its clip, since recordings are cut to a whole packet; it is cut
NAMED = 3


@dataclass(frozen=True)
class Event:
    """Onset and offset in seconds of the clip, class."""

    onset: float
    offset: float
    name: str


def events_in(clip: EvalClip, label: str) -> list[Event]:
    """The events of ``labels[label]``, a list of [onset, offset, class], cut where the clip ends.

    Raises ProtocolError naming the clip and the event that is none.
    """
    value = clip.labels[label]
    if not isinstance(value, (list, tuple)):
        raise ProtocolError(f"{clip.id}: label {label!r} is {value!r:.80}; wanted is a list of [onset, offset, class]")
    return [_event(clip, label, number, each) for number, each in enumerate(value)]


def _event(clip: EvalClip, label: str, number: int, value: Any) -> Event:
    where = f"{clip.id}: {label}[{number}] is {value!r:.80}"
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        raise ProtocolError(f"{where}; wanted is [onset in seconds, offset in seconds, class]")
    onset, offset, name = value
    for seconds in (onset, offset):
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
            raise ProtocolError(f"{where}: {seconds!r} is no number of seconds")
    if not isinstance(name, str) or not name:
        raise ProtocolError(f"{where}: {name!r} is no name of a class")
    if offset <= onset:
        raise ProtocolError(f"{where}: it ends at {offset:g} s, which is not after its onset")
    if onset < 0 or onset >= clip.duration or offset > clip.duration + SLACK:
        raise ProtocolError(
            f"{where}: it lies outside the clip, which is {clip.duration:.2f} s long; leave the clip out of the "
            "manifest, or mend its labels"
        )
    return Event(float(onset), min(float(offset), clip.duration), name)


def scored_classes(
    train: Sequence[EvalClip], test: Sequence[EvalClip], label: str, common: bool
) -> tuple[list[str], list[str], list[str]]:
    """Classes of the test clips' events; those of the training clips alone, which are not scored; those of the test
    clips alone, which are left out where ``common``. Raises ProtocolError for one of these else, and for no class."""
    known = {event.name for clip in train for event in events_in(clip, label)}
    asked: dict[str, str] = {}
    for clip in test:
        for event in events_in(clip, label):
            asked.setdefault(event.name, clip.id)
    unseen = sorted(asked.keys() - known)
    if unseen and not common:
        some = ", ".join(f"{name!r} in {asked[name]}" for name in unseen[:NAMED])
        raise ProtocolError(
            f"{label}: {len(unseen)} classes of the test clips are not in training ({some}); mend the labels, or set "
            "common: true to score the classes that both have"
        )
    found = sorted(asked.keys() & known)
    if not found:
        raise ProtocolError(f"{label}: no class has events in train and in test; check the splits of the manifest")
    return found, sorted(known - asked.keys()), unseen


def event_table(clips: Sequence[EvalClip], label: str, classes: Sequence[str]) -> Array:
    """Events of the clips and ``classes`` by their numbers, of EVENT; overlapping ones of one class made one."""
    index = {name: number for number, name in enumerate(classes)}
    rows = [
        (number, index[event.name], event.onset, event.offset)
        for number, clip in enumerate(clips)
        for event in events_in(clip, label)
        if event.name in index
    ]
    return united(np.array(rows, EVENT))


def frame_targets(events: Array, frames: int, seconds: float, classes: int) -> Array:
    """Truth values (T, C) of a clip of ``seconds`` in ``frames`` frames: an event holds the frames whose centre lies in
    it, the nearest one where none does."""
    target = np.zeros((frames, classes), bool)
    first = np.ceil(events["onset"] * frames / seconds - 0.5).astype(int)
    last = np.ceil(events["offset"] * frames / seconds - 0.5).astype(int)
    first = np.minimum(first, frames - 1)
    for label, start, end in zip(events["label"], first, np.maximum(last, first + 1), strict=True):
        target[start:end, label] = True
    return target


class Labelled:
    """Frozen frames of some clips with their events, of EVENT, sorted by clip; lengths: how many frames each has."""

    def __init__(self, frames: FrozenFrames, label: str, classes: Sequence[str]):
        self.frames, self.classes = frames, len(classes)
        self.events = event_table(frames.clips, label, classes)
        self.lengths = frames.lengths
        self._first = np.searchsorted(self.events["clip"], np.arange(len(frames) + 1))

    def __len__(self) -> int:
        return len(self.frames)

    def seconds_per_frame(self, clip: int) -> float:
        return self.frames.clips[clip].duration / self.lengths[clip]

    def targets(self, clip: int) -> Array:
        """Truth values (T, C) of a clip's frames."""
        own = self.events[self._first[clip] : self._first[clip + 1]]
        return frame_targets(own, self.lengths[clip], self.frames.clips[clip].duration, self.classes)


def evenly(lengths: Sequence[int], most: int) -> list[Array]:
    """At most ``most`` frames of clips of so many frames, evenly spaced over all of them: their places by clip."""
    step = max(1, -(-sum(lengths) // most))
    ends = np.cumsum(lengths)
    return [np.arange(-(end - n) % step, n, step) for end, n in zip(ends.tolist(), lengths, strict=True)]
