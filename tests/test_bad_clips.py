"""Hostile clips are left out and counted, too many of them end a run, and a reader that dies is not waited for."""

import json
import multiprocessing
import os
import signal

import numpy as np
import pytest
import soundfile
import test_train
import torch
from test_train import at_step, config_of, lines, newest, run

from audiotext.cli.main import main
from audiotext.data.bad import ENOUGH, BadClips
from audiotext.data.corpus import DataError
from audiotext.data.dataset import AudioTextDataset, BadClip
from audiotext.data.features import extract_features
from audiotext.data.index import ManifestIndex
from audiotext.data.loader import make_loader
from audiotext.frontend.fbank import FbankConfig
from audiotext.objective.captioning import CaptioningConfig
from audiotext.text.tokenizer import Tokenizer
from audiotext.train.build import build_trainer
from audiotext.train.error import TrainingError

corpus = test_train.corpus
CLIPS = [f"train{i}" for i in range(12)]
KINDS = {"cut short": 2, "not finite": 2, "missing": 1, "undecodable": 2, "silent": 1}


@pytest.fixture
def hostile(corpus, tmp_path):
    """A folder with train.jsonl: twelve clips of which eight cannot be used; the others are strange but fine."""
    cuts = [json.loads(line) for line in (corpus / "train.jsonl").read_text().splitlines()]

    def use(cut, name, samples=None, rate=16000):
        path = tmp_path / f"{name}.wav"
        if samples is not None:
            soundfile.write(path, samples, rate, subtype="FLOAT")
        cut["recording"]["sources"][0]["source"] = str(path)
        return path

    count = [round(cut["duration"] * 16000) for cut in cuts]
    noise = 0.1 * np.random.default_rng(0).standard_normal(max(count))
    path = use(cuts[0], "truncated", noise[: count[0]])
    path.write_bytes(path.read_bytes()[:9000])
    use(cuts[1], "nan", np.where(np.arange(count[1]) == 5000, np.nan, noise[: count[1]]))
    use(cuts[2], "gone")
    use(cuts[3], "empty").write_bytes(b"")
    use(cuts[4], "no_samples", np.zeros(0))
    use(cuts[5], "text").write_text("this is no audio " * 100)
    use(cuts[6], "huge", noise[: count[6]] * 1e30)  # whose power leaves the range of float32
    use(cuts[7], "silence", np.zeros(count[7]))
    use(cuts[8], "eight_channels", np.tile(noise[: count[8], None], (1, 8)))
    use(cuts[9], "another_rate", noise[: count[9] // 2], 8000)
    custom = [cut["supervisions"][0]["custom"] for cut in cuts]
    custom[10]["caption"], custom[10]["caption_style"] = ["some word " * 100_000], ["template"]  # a million characters
    custom[11]["caption"], custom[11]["caption_style"] = ["..."], ["template"]  # nothing is left to read
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, cuts)))
    return tmp_path


@pytest.mark.parametrize("workers, cache", [(0, True), (1, False)])
def test_hostile_clips_are_left_out_and_counted(hostile, workers, cache):
    index = ManifestIndex(hostile / "train.jsonl")
    loader = make_loader(AudioTextDataset(index, FbankConfig().build(), cache=cache), None, workers)
    batches = list(loader)
    assert sorted(id for batch in batches for id in batch.ids) == sorted(CLIPS[8:])
    assert all(batch.feats.data.isfinite().all() for batch in batches)
    assert loader.bad.seen == 12 and loader.bad.total == 8 and loader.bad.kinds == KINDS


@pytest.mark.parametrize("objective", ["contrastive", "captioning", "sigmoid"])
def test_training_goes_on_without_them(corpus, hostile, objective):
    train = f"data.train={hostile / 'train.jsonl'}"
    options = [train, "train.max_steps=6", "data.max_bad_ratio=0.7", "data.sampler.max_duration=20"]
    assert run(corpus, hostile / "run", *options, objective=objective)
    end, last = newest(hostile / "run"), [x for x in lines(hostile / "run") if x["kind"] == "train"][-1]
    assert end["progress"]["skipped"] == 0
    assert last["bad_clips"] == sum(end["streams"][0]["bad"]["kinds"].values()) >= 8
    assert {f"bad_clips/{kind.replace(' ', '_')}" for kind in KINDS} <= last.keys()
    assert "bad clips of" in (hostile / "run" / "train.log").read_text()


def test_too_many_bad_clips_end_a_run_with_their_names(corpus, hostile):
    train = f"data.train={hostile / 'train.jsonl'}"
    said = r"\d\d of the 1\d\d clips so far.*missing.*max_bad_ratio=0.05.*The first: train"
    with pytest.raises(DataError, match=said):
        run(corpus, hostile / "run", train, "train.max_steps=100", "train.valid_interval=100")
    assert newest(hostile / "run")["streams"][0]["bad"]["seen"] < ENOUGH
    allow = ["train.max_steps=30", "train.valid_interval=100", "data.max_bad_ratio=0.7"]
    assert run(corpus, hostile / "run", train, *allow)  # from the last checkpoint, counts and all
    bad = newest(hostile / "run")["streams"][0]["bad"]
    assert bad["seen"] > ENOUGH and sum(bad["kinds"].values()) > bad["seen"] / 2


def test_few_bad_clips_are_put_up_with():
    bad = BadClips(0.05)
    for _ in range(10):
        bad.add(19, [BadClip("a", "broken", "undecodable")])
    with pytest.raises(DataError, match="11 of the 201 clips"):
        bad.add(0, [BadClip("a", "broken", "undecodable")])
    again = BadClips(0.05)
    again.load_state_dict(json.loads(json.dumps(bad.state_dict())))
    assert again.counts() == {"bad_clips": 11.0, "bad_clips/undecodable": 11.0} and again.first == ["a: broken"]


@pytest.mark.parametrize("keep, good", [(0, 0), (80_000, 8), (80_001, 0)])  # the last is half a number too long
def test_a_feature_shard_cut_short(corpus, tmp_path, keep, good):
    extract_features(corpus / "train.jsonl", tmp_path / "feats.jsonl", FbankConfig())
    (shard,) = tmp_path.glob("shards/*/*.f16")
    shard.write_bytes(shard.read_bytes()[:keep])
    loader = make_loader(AudioTextDataset(ManifestIndex(tmp_path / "feats.jsonl")))
    if good:
        assert sum(map(len, loader)) == good
    else:
        with pytest.raises(DataError, match="not one clip"):
            list(loader)
    assert loader.bad.kinds == {"features unreadable": 12 - good}


def test_stored_features_that_are_not_finite_are_left_out(corpus, tmp_path):
    extract_features(corpus / "train.jsonl", tmp_path / "feats.jsonl", FbankConfig())
    (shard,) = tmp_path.glob("shards/*/*.f16")
    values = np.fromfile(shard, "<f2")
    values[5] = np.inf
    values.tofile(shard)
    loader = make_loader(AudioTextDataset(ManifestIndex(tmp_path / "feats.jsonl"), cache=True))
    assert sum(map(len, loader)) == 11 and loader.bad.kinds == {"not finite": 1}


@pytest.mark.parametrize("objective", ["contrastive", "captioning"])
def test_a_model_of_few_positions_cuts_long_captions(corpus, objective):
    """The text encoder's own limit; the decoder's is the objective's to keep."""
    config = config_of(corpus, "model.text_encoder.positions=7", objective=objective)
    trainer = build_trainer(config, Tokenizer(corpus / "tokenizer"))
    batch = next(trainer.stream)
    batch.caption[0] = batch.captions[0][0] = "some word " * 100_000
    if objective == "contrastive":
        assert trainer.learner.model.text_encoder.max_tokens == 7
    else:
        assert CaptioningConfig().max_tokens == 64
    assert torch.isfinite(trainer.forward(batch)[0])


# -- a process that reads ahead dies ---------------------------------------------------------------------------------


@pytest.fixture
def kill_workers():
    """Kills them all, then has torch raise as at the end of a child: once, where it would for each, at any time."""
    replaced = []

    def kill():
        replaced.append(signal.signal(signal.SIGCHLD, signal.SIG_DFL))
        workers = multiprocessing.active_children()
        for process in workers:
            os.kill(process.pid, signal.SIGKILL)
        for process in workers:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        replaced[0](signal.SIGCHLD, None)

    yield kill
    signal.signal(signal.SIGCHLD, replaced[0])


def test_a_worker_that_dies_ends_the_run_with_a_clear_word(corpus, tmp_path, monkeypatch, kill_workers):
    with monkeypatch.context() as patch:
        at_step(patch, 3, kill_workers)
        with pytest.raises(TrainingError, match="process that reads data died.*run the same command again"):
            run(corpus, tmp_path, "data.workers=2", "train.max_steps=40", "train.valid_interval=40")
    assert newest(tmp_path)["step"] == 2 and not list(tmp_path.glob("crash-step-*"))
    assert run(corpus, tmp_path, "data.workers=2", "train.max_steps=4")


def test_the_command_says_so_too(corpus, tmp_path, monkeypatch, capsys, kill_workers):
    at_step(monkeypatch, 3, kill_workers)
    assert main(test_train._command(corpus, tmp_path, "exp", "--set", "data.workers=1", "train.max_steps=40")) == 1
    assert "process that reads data died" in capsys.readouterr().err
