"""Frozen frames: read from disk as they were computed, in any number of processes, alone or in a batch."""

import multiprocessing
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_evaluate import PlantedContext
from test_evaluate_cli import make_model, write_part
from torch.nn.utils.rnn import pad_sequence

from audiotext.data.corpus import DataError
from audiotext.evaluate.attentive import AttentiveConfig, Member, fit_attentive, predict
from audiotext.evaluate.embed import embed_frames
from audiotext.evaluate.fit import FitConfig
from audiotext.evaluate.frames import FrozenFrames
from audiotext.evaluate.pooled import vectors
from audiotext.evaluate.probe import Probe
from audiotext.evaluate.shard import Shard
from audiotext.hub import load_model

CLIPS, SMALL = 45, {"batch_seconds": 2.0, "shard_seconds": 3.0}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Tones of 0.25 to 0.8 s with a label, and a small transformer."""
    folder = tmp_path_factory.mktemp("frames")
    write_part(folder, "probe", CLIPS, "mixed")
    make_model(folder / "model", encoder={"name": "transformer", "dim": 16, "layers": 2, "heads": 2, "ff_dim": 16})
    return folder


@pytest.fixture
def model(world):
    return load_model(world / "model")


def embed(world, model, cache=None, **settings):
    return embed_frames(model, world / "features/probe.jsonl", cache, **SMALL | settings)


def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(world):
    """A folder of shards that one process made."""
    embed(world, load_model(world / "model"), world / "whole")
    assert len(files(world / "whole")) > 5
    return world / "whole"


def test_frames_on_disk_are_those_in_memory(world, model, whole):
    held, stored = embed(world, model), embed(world, model, whole)
    assert held.ids == stored.ids and len(stored) == CLIPS and stored.dim == 16 and not stored.missing
    assert stored.lengths == held.lengths == [len(x) for x in held.frames]
    plain = list(held.frames)
    assert all(x.dtype == torch.float16 for x in plain)
    mean = torch.stack([x.float().mean(0) for x in plain]).mean(0)
    std = torch.stack([(x.float() - mean).square().mean(0) for x in plain]).mean(0).sqrt()
    for frames in (held, stored):
        assert all(torch.equal(a, b) for a, b in zip(frames.frames, plain, strict=True))
        assert torch.equal(frames.means(), torch.stack([x.float().mean(0) for x in plain]))
        assert torch.equal(frames.scale()[0], mean) and torch.equal(frames.scale()[1], std)
        padded = frames.standardised(mean, std).padded([4, 0, 4])
        wanted = pad_sequence([(plain[i].float() - mean) / std for i in (4, 0, 4)], batch_first=True)
        assert torch.equal(padded.data, wanted) and padded.lengths.tolist() == [len(plain[i]) for i in (4, 0, 4)]
        assert torch.equal(frames.output([1]).frames[0], plain[1].float())
        rows = [torch.stack([f(x.float()) for x in plain]) for f in (lambda x: x.amax(0), lambda x: x.std(0, False))]
        assert np.array_equal(vectors(frames, "max", False)[:, 0], rows[0])
        assert np.array_equal(vectors(frames, "statistics", False)[:, 0, 16:], rows[1])
        chosen = frames.select(["probe7", "nobody", "probe3"])
        assert chosen.ids == ["probe7", "probe3"] and chosen.missing == ["nobody"]
        at = [frames.ids.index(i) for i in chosen.ids]
        assert chosen.lengths == [len(plain[i]) for i in at] and torch.equal(chosen.frames[-1], plain[at[1]])
        assert torch.equal(chosen.means(), frames.means()[at])
        assert not torch.equal(chosen.standardised(mean, std).means(), chosen.means())
    for layer, pooling in (("mix", "statistics"), (0, "mean")):
        both = [embed(world, model, cache, layer=layer) for cache in (None, world / f"layer-{layer}")]
        assert np.array_equal(*(vectors(frames, pooling, layer == "mix") for frames in both))


def test_heads_learn_the_same_from_disk(world, model, whole):
    targets, guesses = torch.arange(CLIPS) % 3, []
    config = AttentiveConfig(fit=FitConfig(epochs=2, batch_size=8))
    for frames in (embed(world, model), embed(world, model, whole)):
        frames = frames.standardised(*frames.scale())
        probes = fit_attentive(config, frames, targets, 3, [Member(config.grid()[0], 0, range(CLIPS))], seed=0)
        guesses.append((predict(probes, frames, several=True), probes.linear[0].weight))
    assert all(torch.equal(a, b) for a, b in zip(*guesses, strict=True))


def test_no_clip_is_read_before_it_is_needed_or_twice_for_its_mean(world, model, whole, monkeypatch):
    read, asked = Shard.read, []
    monkeypatch.setattr(Shard, "read", lambda *at: asked.append(at) or read(*at))
    frames = embed(world, model, whole)
    half = frames.select(frames.ids[::2])
    assert sum(half.standardised(torch.zeros(16), torch.ones(16)).lengths) == sum(frames.lengths[::2]) and not asked
    half.means()
    assert len(asked) == len(half)
    frames.means(), half.means(), frames.select(frames.ids[5:9]).means()
    assert len(asked) == len(frames)
    for _ in range(2):
        frames.scale()
    assert len(asked) == 2 * len(frames)


def test_frames_of_no_clip_are_an_error_that_says_so(world, model, whole):
    with pytest.raises(ValueError, match="not one of the clips"):
        embed(world, model, whole).select(["nobody"]).means()


def harmed(data, harm):
    return {"cut": data[:-1000], "noise": b"noise" * 50, "empty": b"", "odd": data.replace(b"probe", b"prob\\", 1)}[
        harm
    ]


@pytest.mark.parametrize("harm", ["cut", "noise", "empty", "odd"])
def test_a_damaged_shard_is_named(world, model, whole, tmp_path, harm):
    for name, data in files(whole).items():
        (tmp_path / name).write_bytes(harmed(data, harm) if name.startswith("shard-00002") else data)
    with pytest.raises(ValueError, match="shard-00002.safetensors: damaged .*; delete it and run again"):
        embed(world, model, tmp_path)
    (tmp_path / "shard-00002.safetensors").unlink()
    frames = embed(world, model, tmp_path)
    assert files(tmp_path) == files(whole)
    os.truncate(tmp_path / "shard-00002.safetensors", 900)  # while it is in use
    with pytest.raises(ValueError, match="shard-00002.safetensors: damaged .*ends too early"):
        frames.means()


def test_processes_make_the_shards_of_one(world, model, whole, tmp_path, monkeypatch):
    embed(world, model, tmp_path / "two", nj=2)
    assert files(tmp_path / "two") == files(whole)
    encode, left = model.encode_audio, iter(range(5))

    def fatal(feats):
        if next(left) == 4:
            os._exit(1)
        return encode(feats)

    monkeypatch.setattr(model, "encode_audio", fatal)
    with pytest.raises(DataError, match="process died.*run again"):
        embed(world, model, tmp_path / "cut", nj=2)
    monkeypatch.undo()
    kept = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "cut").glob("shard-*")}
    assert 0 < len(kept) < len(files(whole))
    embed(world, model, tmp_path / "cut", nj=2)
    assert files(tmp_path / "cut") == files(whole)
    assert all((tmp_path / "cut" / name).stat().st_mtime_ns == changed for name, changed in kept.items())


def test_workers_end_with_a_killed_pass_and_the_next_goes_on(world, model, whole, tmp_path, monkeypatch):
    encode, started = model.encode_audio, tmp_path / "started"

    def slow(feats):
        started.touch()
        (tmp_path / f"{os.getpid()}.pid").touch()
        time.sleep(0.05)
        return encode(feats)

    monkeypatch.setattr(model, "encode_audio", slow)
    process = multiprocessing.get_context("fork").Process(
        target=embed, args=(world, model, tmp_path / "c"), kwargs={"nj": 2}
    )
    process.start()
    wait(lambda: list((tmp_path / "c").glob("shard-*")))
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert len(workers) == 2
    wait(lambda: not any(alive(worker) for worker in workers))
    monkeypatch.undo()
    embed(world, model, tmp_path / "c")
    assert {k: v for k, v in files(tmp_path / "c").items() if k.startswith("shard-")} == files(whole)


def wait(done, seconds=20.0):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:  # dead, but nobody has asked how it ended
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_score_does_not_hang_on_batches_or_processes(world, model, whole, tmp_path):
    alone = embed(world, model, tmp_path / "alone", batch_seconds=0.01)
    two = embed(world, model, tmp_path / "two", nj=2)
    batch = embed(world, model, whole)
    assert all(torch.equal(a, b) for a, b in zip(two.frames, batch.frames, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(alone.frames, batch.frames, strict=True)), "a test of nothing"
    for a, b in zip(alone.frames, batch.frames, strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=2e-3)  # kept in half precision
    task = Probe("pitch", poolings=["mean", "attention"], seeds=[0, 1, 2])
    task.attention.fit.epochs = 5
    wrong = {"low": "mid", "mid": "high", "high": "low"}
    clips = [  # some labels are wrong, so that no score is perfect
        replace(clip, labels={"pitch": wrong[clip.labels["pitch"]]}) if i % 4 == 1 else clip
        for i, clip in enumerate(batch.clips)
    ]
    scores = []
    for frames in (alone, batch, two):
        context = PlantedContext(probe=list(zip(clips, frames.frames, strict=True)))
        scores.append(task.run(context, task.protocol(context)).scores)
    assert scores[0] == scores[1] == scores[2]
    assert all(0.5 < value < 0.9 for part in scores[0].values() for value in part["accuracy"]["values"])


def test_processes_that_cannot_be_are_said(world, model, whole, caplog, monkeypatch):
    for settings in ({"nj": 0, "cache": whole}, {"nj": 2}):
        with pytest.raises(ValueError, match="nj: . processes; at least 1, and a cache folder"):
            embed(world, model, **settings)
    monkeypatch.setattr(type(model), "device", torch.device("cuda"))
    assert isinstance(embed(world, model, whole, nj=2), FrozenFrames)  # all is there, so nothing runs
    assert "2 processes are for the CPU; one process computes the frames on cuda" in caplog.text
