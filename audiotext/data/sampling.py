"""Which clips go together: batches of like durations, planned for a whole epoch at a time.

The plan of an epoch is a function of (seed, epoch) alone, the share of a process a function of (rank, world), so a
run resumes at any position at once and two processes split the very plan that one process has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audiotext.config import ConfigError


@dataclass
class SamplerConfig:
    """How batches are put together; durations in seconds."""

    max_duration: float = 50.0
    """Most seconds in a batch, padding included; a longer clip makes a batch of its own."""
    max_clips: int | None = None
    """Most clips in a batch."""
    buckets: int = 10
    """Groups of like durations with about the same total duration each; 1 mixes all durations."""
    quadratic_duration: float | None = None
    """Count a clip of d seconds as ``d + d * d / quadratic_duration``: fewer long clips, as attention needs."""
    shuffle: bool = True
    """Draw a new order every epoch; false keeps clips of a bucket in manifest order."""
    drop_last: bool = False
    """Leave out each bucket's last, unfilled batch."""

    def __post_init__(self) -> None:
        for name in ("max_duration", "max_clips", "buckets", "quadratic_duration"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"{name}: must be above zero, got {value}")


class BatchSampler:
    """Batches of positions into ``durations``, for one process of ``world``.

    Every clip comes exactly once an epoch, unless ``weights`` are given: then as many clips as there are durations (N)
    are drawn in proportion, each as often as its weight says, rounded up or down by chance; the second time in an
    epoch clip i is called i + N, the third i + 2 N. With several processes every one has the same number of batches,
    and the batches of one step come from the same durations; where they do not divide, the largest are split.

    ``state`` is (epoch, position): the batch to come next. Iterating yields from there to the end of the epoch, then
    leaves the state at the start of the next one.
    """

    def __init__(
        self,
        durations: Sequence[float],
        config: SamplerConfig | None = None,
        seed: int = 0,
        weights: Sequence[float] | None = None,
        rank: int = 0,
        world: int = 1,
    ):
        self.durations = np.asarray(durations, dtype=np.float64)
        self.config = config or SamplerConfig()
        self.seed, self.rank, self.world = seed, rank, world
        if not len(self.durations) or not (np.isfinite(self.durations) & (self.durations > 0)).all():
            raise ValueError("cannot make batches: no clips, or a clip whose duration is not above zero")
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} is not one of {world} processes")
        q = self.config.quadratic_duration
        self._costs = self.durations + (self.durations**2 / q if q else 0.0)
        self._bucket = assign_buckets(self._costs, self.config.buckets)
        self._chances = None if weights is None else _normalised(weights, len(self.durations))
        self._epoch, self._position = 0, 0
        self._planned: tuple[int, list[list[int]]] | None = None

    @property
    def state(self) -> tuple[int, int]:
        """(epoch, position) of the batch to come next."""
        return self._epoch, self._position

    @state.setter
    def state(self, value: tuple[int, int]) -> None:
        epoch, position = (int(v) for v in value)
        if epoch < 0 or position < 0:
            raise ValueError(f"sampler state {value}: neither number may be below zero")
        self._epoch, self._position = epoch, position

    def batches(self, epoch: int) -> list[list[int]]:
        """This process's batches of an epoch, in order."""
        if self._planned is None or self._planned[0] != epoch:
            self._planned = (epoch, self._plan(epoch))
        return self._planned[1]

    def __len__(self) -> int:
        """Batches of this process in the current epoch (epochs may differ by a few)."""
        return len(self.batches(self._epoch))

    def __iter__(self) -> Iterator[list[int]]:
        batches = self.batches(self._epoch)
        while self._position < len(batches):
            self._position += 1
            yield batches[self._position - 1]
        self._epoch, self._position = self._epoch + 1, 0

    def _plan(self, epoch: int) -> list[list[int]]:
        rng = np.random.default_rng([self.seed, epoch])
        size = len(self.durations)
        batches = self._fill(self._draw(rng))
        _split_to_multiple(batches, self.world)
        if len(batches) % self.world:
            raise ValueError(f"{size} clips are too few for {self.world} processes to have a batch each")
        steps = [batches[i : i + self.world] for i in range(0, len(batches), self.world)]
        if self.config.shuffle:
            steps = [steps[i] for i in rng.permutation(len(steps))]
        return [step[self.rank] for step in steps]

    def _draw(self, rng: np.random.Generator) -> np.ndarray:
        """The clips of an epoch in the order drawn."""
        size = len(self.durations)
        drawn = rng.permutation(size) if self.config.shuffle else np.arange(size)
        if self._chances is not None:
            drawn = draw_weighted(drawn, self._chances, rng)
            drawn = rng.permutation(drawn) if self.config.shuffle else drawn
        return drawn

    def _fill(self, order: np.ndarray) -> list[list[int]]:
        """Clips in the order drawn -> full batches, bucket by bucket."""
        budget, most = self.config.max_duration, self.config.max_clips or len(order)
        filled: list[list[list[int]]] = [[] for _ in range(int(self._bucket.max()) + 1)]
        open_: list[list[int]] = [[] for _ in filled]
        longest = [0.0] * len(filled)
        clips = order % len(self.durations)
        drawn = zip(order.tolist(), self._bucket[clips].tolist(), self._costs[clips].tolist(), strict=True)
        for clip, bucket, cost in drawn:
            batch, padded = open_[bucket], max(longest[bucket], cost)
            if batch and (padded * (len(batch) + 1) > budget or len(batch) >= most):
                filled[bucket].append(batch)
                batch, padded = [], cost
                open_[bucket] = batch
            batch.append(clip)
            longest[bucket] = padded
        if not self.config.drop_last or not any(filled):
            for bucket, batch in enumerate(open_):
                if batch:
                    filled[bucket].append(batch)
        return [batch for bucket in filled for batch in bucket]


def assign_buckets(costs: np.ndarray, buckets: int) -> np.ndarray:
    """The bucket of each clip, 0 the shortest, such that every bucket holds about the same total cost."""
    order = np.argsort(costs, kind="stable")
    shares = np.cumsum(costs[order]) / costs.sum()
    out = np.empty(len(costs), dtype=np.int64)
    out[order] = np.minimum((shares * buckets - 1e-9).astype(np.int64), buckets - 1).clip(0)
    return out


def draw_weighted(order: np.ndarray, chances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many draws as ``order`` (N,) has clips: clip i comes ``N * chances[i]`` times, rounded up or down at random.

    Systematic sampling: N evenly spaced marks over the clips laid end to end, in the order given. Against independent
    draws every group of clips gets its share almost exactly, and equal chances give every clip once. The k-th time a
    clip is drawn it is called i + k N.
    """
    marks = np.floor(np.cumsum(chances[order]) * len(order) + rng.random()).astype(np.int64)
    times = np.diff(marks, prepend=0)
    again = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
    return np.repeat(order, times) + again * len(order)


def _split_to_multiple(batches: list[list[int]], world: int) -> None:
    """Halve the largest batches, in place, until their number divides by ``world`` or none can be halved."""
    while len(batches) % world:
        i = max(range(len(batches)), key=lambda b: len(batches[b]))
        if len(batches[i]) < 2:
            return
        half = len(batches[i]) // 2
        batches[i : i + 1] = [batches[i][:half], batches[i][half:]]


def _normalised(weights: Sequence[float], size: int) -> np.ndarray:
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (size,) or not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
        raise ValueError(f"sampling weights must be {size} numbers of zero or more, not all zero")
    return values / values.sum()
