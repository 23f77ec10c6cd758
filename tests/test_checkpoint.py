"""Checkpoints survive what can happen to files; averages, locks and configuration comparison do what they say."""

import logging

import pytest
import torch
from torch import nn

from audiotext.config import ConfigError
from audiotext.train.average import RunningAverage
from audiotext.train.checkpoint import CheckpointError, CheckpointFolder, read, write
from audiotext.train.folder import changed_keys, locked
from audiotext.train.randomness import derive_seed


def state(step):
    return {"step": step, "weights": torch.full((1000,), float(step))}


def folder(tmp_path, keep_last=2):
    return CheckpointFolder(tmp_path / "checkpoints", keep_last)


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[content.index(torch.tensor(float(2)).numpy().tobytes() * 3) + 40] ^= 1  # inside the weights
    path.write_bytes(content)


def test_keeps_the_last_ones_and_the_best(tmp_path):
    checkpoints = folder(tmp_path)
    for step in (1, 2, 3, 4):
        checkpoints.save(state(step), is_best=step == 1)
    assert checkpoints.steps() == [3, 4]
    assert read(checkpoints.best)["step"] == 1
    path, newest = checkpoints.newest()
    assert path == checkpoints.path(4) and torch.equal(newest["weights"], state(4)["weights"])


def test_nothing_saved_is_a_new_run(tmp_path):
    assert folder(tmp_path).newest() is None


@pytest.mark.parametrize("harm", ["cut", "empty", "flip", "foreign"])
def test_a_damaged_newest_is_named_and_the_one_before_used(tmp_path, caplog, harm):
    checkpoints = folder(tmp_path)
    checkpoints.save(state(1))
    path = checkpoints.save(state(2))
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "flip":
        flip_a_byte(path)
    else:
        torch.save({"model": torch.zeros(3)}, path)
    with caplog.at_level(logging.WARNING):
        found, newest = checkpoints.newest()
    assert found == checkpoints.path(1) and newest["step"] == 1
    assert str(path) in caplog.text and "the one before" in caplog.text
    checkpoints.save(state(2))
    assert checkpoints.newest()[1]["step"] == 2  # the damaged file is out of the way


def test_all_damaged_is_an_error_and_stays_one(tmp_path):
    checkpoints = folder(tmp_path)
    checkpoints.save(state(1)).write_bytes(b"x")
    for _ in range(2):  # never a silent fresh start, however often it is tried
        with pytest.raises(CheckpointError, match="--resume never"):
            checkpoints.newest()
    checkpoints.clear()
    assert checkpoints.newest() is None


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    checkpoints = folder(tmp_path)
    checkpoints.save(state(1))

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("audiotext.train.checkpoint.os.fsync", full)
    with pytest.raises(CheckpointError, match="No space left"):
        checkpoints.save(state(2))
    assert checkpoints.newest()[1]["step"] == 1
    assert [p.name for p in checkpoints.folder.iterdir()] == ["step-00000001.pt"]


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    write({"step": 1, "evil": Evil()}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError):
        read(tmp_path / "a.pt")
    assert not (tmp_path / "ran").exists()


def test_average_with_power_one_is_the_plain_mean():
    module = nn.Linear(2, 2)
    average, seen = RunningAverage(module, period=1, power=1.0), []
    for step in range(1, 6):
        nn.init.normal_(module.weight)
        seen.append(module.weight.detach().double().clone())
        average.update(module, step)
    torch.testing.assert_close(average.state_dict()["weight"], torch.stack(seen).mean(0))


def test_average_weighs_late_steps_by_its_power():
    module = nn.Linear(1, 1, bias=False)
    average = RunningAverage(module, period=1, power=2.0)
    for step in range(1, 101):
        nn.init.constant_(module.weight, float(step))
        average.update(module, step)
    # weights of step t are t (t - 1) ... for power 2 close to 2 t / n^2, so the mean is 2/3 of the last
    assert average.state_dict()["weight"].item() == pytest.approx(2 / 3 * 100, rel=0.02)


def test_average_is_lent_and_taken_back_exactly():
    module = nn.Linear(3, 3)
    average = RunningAverage(module, period=1, power=1.0)
    before = module.weight.detach().clone()
    average.average["weight"].fill_(7)
    with average.applied(module):
        assert (module.weight == 7).all()
    assert torch.equal(module.weight, before)


def test_one_run_per_folder(tmp_path):
    with locked(tmp_path):
        with pytest.raises(ConfigError, match="another run is training here .*process"):
            with locked(tmp_path):
                pass
    with locked(tmp_path):
        pass


def test_changed_keys_names_what_matters():
    before = {"a": {"b": 1, "c": [1, 2]}, "data": {"train": "x"}}
    after = {"a": {"b": 2, "c": [1, 2], "d": 3}, "data": {"train": "y"}}
    assert changed_keys(before, after, free=("data.train",)) == ["a.b", "a.d"]
    assert changed_keys(before, before, free=()) == []


def test_seeds_differ_by_place():
    seeds = {derive_seed(s, step, micro) for s in range(3) for step in range(50) for micro in range(2)}
    assert len(seeds) == 300
