"""Try the heaviest batches before the first step: better to run out of memory now than in the night."""

from __future__ import annotations

import logging
import random
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from audiotext.data.dataset import Example, collate
from audiotext.distributed import World
from audiotext.train.error import TrainingError, out_of_memory
from audiotext.train.trainer import Trainer
from audiotext.types import Batch, Padded

_log = logging.getLogger(__name__)


def scan(trainer: Trainer) -> dict[str, float]:
    """Forward and backward pass of the present epoch's worst batches; returns the megabytes that each took, by kind.

    Kinds: the largest with its padding, the one of most clips, the one with the longest clip. On a GPU the megabytes
    are the peak of torch's memory, on a CPU the growth of the process's peak. Weights, optimizer, the loader's place
    and random numbers stay as they are. Raises TrainingError, with a data.sampler.max_duration that fits, where memory
    runs out.
    """
    found, done = {}, {}
    for kind, keys in _worst(trainer).items():
        batch = _load(trainer, keys)
        if batch is None:
            _log.warning("scan: not one clip of the batch with %s can be loaded", kind)
            continue
        about = f"{len(batch)} clips of at most {float(batch.durations.max()):.1f} s"
        if tuple(keys) in done:
            _log.info("scan: the batch with %s is that with %s", kind, done[tuple(keys)])
            continue
        done[tuple(keys)] = kind
        _log.info("scan: %s: %s", kind, about)  # first: where a system ends the process, this is what it says last
        with _unchanged(trainer):
            started = time.monotonic()
            found[kind] = _try(trainer, batch, kind, about)
        _log.info("scan: %.0f MB, %.1f s", found[kind], time.monotonic() - started)
    _log.info("scan: the worst batches fit; the optimizer's memory, about four times the weights', comes on top")
    return found


def _worst(trainer: Trainer) -> dict[str, list[tuple[int, int]]]:
    """Kind -> keys of the dataset."""
    loader = trainer.stream.loader
    epoch, seconds = loader.state[0], loader.dataset.durations
    batches = loader.sampler.batches(epoch)

    def longest(batch: list[int]) -> float:  # a weighted plan draws a clip i again as i + N
        return seconds[np.asarray(batch) % len(seconds)].max()

    sizes = {
        "the most seconds, padding included": lambda batch: len(batch) * longest(batch),
        "the most clips": len,
        "the longest clip": longest,
    }
    return {kind: [(epoch, item) for item in max(batches, key=size)] for kind, size in sizes.items()}


def _load(trainer: Trainer, keys: list[tuple[int, int]]) -> Batch | None:
    loaded = [trainer.stream.loader.dataset[key] for key in keys]
    examples = [example for example in loaded if isinstance(example, Example)]
    return collate(examples) if examples else None


def _try(trainer: Trainer, batch: Batch, kind: str, about: str) -> float:
    try:
        return _megabytes(trainer, batch)
    except Exception as error:
        if not out_of_memory(error):
            raise
    clips = len(batch)
    while clips > 1:
        clips //= 2
        try:
            _megabytes(trainer, _first(batch, clips))
        except Exception as error:
            if not out_of_memory(error):
                raise
        else:
            fits = 0.9 * clips * float(batch.durations.max())
            raise TrainingError(
                f"scan: memory ran out on the batch with {kind} ({about}); {clips} of these clips fit: set "
                f"data.sampler.max_duration={fits:.0f}, or train.checkpoint_activations=true"
            )
    raise TrainingError(
        f"scan: memory ran out on the batch with {kind} ({about}), with even one of its clips alone: set "
        f"data.max_clip_seconds={float(batch.durations.max()) / 2:.0f} or less, or take a smaller model"
    )


def _megabytes(trainer: Trainer, batch: Batch) -> float:
    device = trainer.device
    trainer.optimizer.zero_grad()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    before = _peak()
    loss, _ = trainer.forward(batch)
    loss.backward()
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return (_peak() - before) / 1e3


def _peak() -> int:
    """Most main memory that this process ever held, in kilobytes (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _first(batch: Batch, clips: int) -> Batch:
    lengths = batch.feats.lengths[:clips]
    names = ("ids", "captions", "caption", "domains", "sources", "durations", "labels")
    cut = {name: getattr(batch, name)[:clips] for name in names}
    return replace(batch, feats=Padded(batch.feats.data[:clips], lengths), **cut)


@contextmanager
def _unchanged(trainer: Trainer) -> Iterator[None]:
    """Gradients, buffers, modes and all random numbers are afterwards what they were before."""
    learner = trainer.learner
    learner.objective.join(World())  # no process waits for another
    buffers: dict[str, Tensor] = {name: b.clone() for name, b in learner.named_buffers()}
    training, python, numpy = learner.training, random.getstate(), np.random.get_state()
    devices = [trainer.device] if trainer.device.type == "cuda" else []
    learner.train()
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            learner.objective.join(trainer.world)
            trainer.optimizer.zero_grad()
            learner.train(training)
            with torch.no_grad():
                for name, buffer in learner.named_buffers():
                    buffer.copy_(buffers[name])
            random.setstate(python)
            np.random.set_state(numpy)
            if devices:
                torch.cuda.empty_cache()
