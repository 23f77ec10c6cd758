"""What a run tells of itself where it goes wrong, and that asking it changes nothing."""

import json
import logging
import os
import signal

import pytest
import test_train
import torch
from test_train import _broken_from, assert_same, at_step, config_of, newest, run

from audiotext.head.projection import Projection
from audiotext.text.tokenizer import Tokenizer
from audiotext.train.build import build_trainer
from audiotext.train.debug.finite import watched
from audiotext.train.debug.scan import scan
from audiotext.train.error import TrainingError
from audiotext.train.trainer import Trainer
from audiotext.types import Batch, Padded

corpus = test_train.corpus


def table(folder, name):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def trainer_of(corpus, *overrides):
    return build_trainer(config_of(corpus, *overrides), Tokenizer(corpus / "tokenizer"))


class Poison(torch.autograd.Function):
    """Itself; its gradient is not a number."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return grad * float("nan")


# -- numbers that are not finite -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "harm, cause",
    [
        (lambda y: y / 0, "output of model.audio_projection (Projection)"),
        (Poison.apply, "gradient at the output of model.audio_projection."),
    ],
)
def test_the_first_module_to_blame_is_named(corpus, tmp_path, monkeypatch, caplog, harm, cause):
    """In step 2, and there only, one part of the model gives what is not finite, or sends it back."""
    forward, step, now = Projection.forward, Trainer.step, [0, None]

    def projected(self, x):
        y = forward(self, x)
        return harm(y) if self.training and now[0] == 2 and self is now[1] else y

    def stepped(self, batches):
        now[:] = self.progress.step + 1, self.learner.model.audio_projection
        return step(self, batches)

    monkeypatch.setattr(Projection, "forward", projected)
    monkeypatch.setattr(Trainer, "step", stepped)
    assert run(corpus, tmp_path, "train.max_steps=3")
    (row,) = table(tmp_path, "bad_batches")
    assert row["cause"].startswith(cause) and row["step"] == 2 and row["gradient_norm"] is None
    assert row["ids"] and all(name.startswith("train") for name in row["ids"])
    assert f"step 2 skipped: loss or gradient not finite; first, {cause}" in caplog.text
    assert newest(tmp_path)["progress"]["skipped"] == 1


def test_a_broken_parameter_is_named():
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh())
    with torch.no_grad():
        module[0].bias[1] = float("inf")
    with watched(module) as found:
        module(torch.ones(1, 2)).sum().backward()
    assert found[0] == "parameter 0.bias"
    assert not any(m._forward_hooks for m in module.modules())


def test_nothing_is_named_where_all_is_well(corpus):
    trainer = trainer_of(corpus)
    with watched(trainer.learner) as found:
        trainer.step([next(trainer.stream)])
    assert found == []


def test_watching_every_step_sees_what_the_loss_does_not(corpus, tmp_path, monkeypatch, caplog):
    forward = Projection.forward

    def projected(self, x):
        y = forward(self, x)
        self.unused(y.detach() / 0)
        return y

    monkeypatch.setattr(Projection, "forward", projected)
    trainer = trainer_of(corpus, "train.watch=true")
    for projection in (trainer.learner.model.audio_projection, trainer.learner.model.text_projection):
        projection.unused = torch.nn.Identity()
    trainer.step([next(trainer.stream)])
    assert "step 1: the loss is finite, but not: output of model.audio_projection.unused (Identity)" in caplog.text
    assert trainer.progress.skipped == 0


def test_skipped_steps_are_listed_once_also_after_resuming(corpus, tmp_path, monkeypatch):
    """A crash after steps 3 and 4 were skipped, and only step 2 is left: they are skipped, and listed, again."""
    _broken_from(monkeypatch, 3, 4)
    with monkeypatch.context() as patch:
        at_step(patch, 5, lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(corpus, tmp_path, "train.max_steps=6", "train.valid_interval=6", "train.save_interval=2")
    (tmp_path / "checkpoints" / "step-00000004.pt").unlink()
    with open(tmp_path / "bad_batches.jsonl", "a") as file:
        file.write('{"step": 5, "cut sh')  # as a kill leaves it
    assert run(corpus, tmp_path, "train.max_steps=6", "train.valid_interval=6", "train.save_interval=2")
    assert [row["step"] for row in table(tmp_path, "bad_batches")] == [3, 4]


# -- a step that raises ----------------------------------------------------------------------------------------------


def test_the_batch_of_a_crash_is_kept_and_only_the_last(corpus, tmp_path, monkeypatch, caplog):
    for step in (3, 4):
        with monkeypatch.context() as patch:
            original = Trainer.forward

            def broken(self, batch, micro=0, step=step, original=original):
                return original(self, batch, micro) if self.progress.step + 1 < step else 1 / 0

            patch.setattr(Trainer, "forward", broken)
            with pytest.raises(ZeroDivisionError):
                run(corpus, tmp_path)
    (path,) = tmp_path.glob("crash-step-*")
    assert path.name == "crash-step-4.pt" and f"torch.load('{path}', weights_only=True)['batches']" in caplog.text
    crash = torch.load(path, weights_only=True)
    assert crash["step"] == 3 and crash["seed"] == 0 and crash["error"] == "ZeroDivisionError: division by zero"
    (contents,) = crash["batches"]
    batch = Batch(**(contents | {"feats": Padded(**contents["feats"])}))
    assert batch.feats.data.shape[0] == len(batch.ids) == len(batch.caption)
    assert run(corpus, tmp_path)


def test_running_out_of_memory_in_a_step_gives_advice(corpus, tmp_path, monkeypatch):
    def broken(self, batch, micro=0):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Trainer, "forward", broken)
    with pytest.raises(TrainingError, match="memory ran out in step 1.*data.sampler.max_duration.*--scan"):
        run(corpus, tmp_path)
    assert (tmp_path / "crash-step-1.pt").is_file()


# -- before the first step -------------------------------------------------------------------------------------------


def test_looking_changes_nothing(corpus, tmp_path):
    """Scan, watch and statistics on: the run is bit for bit the one without."""
    assert run(corpus, tmp_path / "a", "train.max_steps=4")
    looks = ["train.scan=true", "train.watch=true", "train.statistics_interval=2"]
    assert run(corpus, tmp_path / "b", "train.max_steps=4", *looks)
    a, b = newest(tmp_path / "a"), newest(tmp_path / "b")
    assert a.pop("config") != b.pop("config")
    assert_same(a, b)
    assert test_train.lines(tmp_path / "a") == test_train.lines(tmp_path / "b")


def test_scan_tries_the_worst_batches(corpus, caplog):
    trainer = trainer_of(corpus)
    tried, original = [], trainer.forward
    trainer.forward = lambda batch, micro=0: tried.append(batch) or original(batch, micro)
    before = torch.get_rng_state()
    with caplog.at_level(logging.INFO):
        found = scan(trainer)
    assert torch.equal(before, torch.get_rng_state()) and trainer.stream.loader.state == (0, 0)
    assert all(p.grad is None for p in trainer.parameters)
    every = list(trainer.stream.loader)
    padded = [len(b) * float(b.durations.max()) for b in every]
    assert max(len(b) * float(b.durations.max()) for b in tried) == max(padded)
    assert max(map(len, tried)) == max(map(len, every))
    assert max(float(b.durations.max()) for b in tried) == max(float(b.durations.max()) for b in every)
    assert set(found) <= {"the most seconds, padding included", "the most clips", "the longest clip"}
    assert (
        "scan: the most seconds, padding included: " in caplog.text
        and " MB, " in caplog.text
        and "the worst batches fit" in caplog.text
    )


@pytest.mark.parametrize("room, advice", [(1, "data.sampler.max_duration=1,"), (0, "data.max_clip_seconds=")])
def test_scan_advises_where_memory_runs_out(corpus, room, advice):
    """As if ``room`` clips fitted."""
    trainer = trainer_of(corpus)
    original = trainer.forward

    def forward(batch, micro=0):
        if len(batch) > room:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")
        return original(batch, micro)

    trainer.forward = forward
    with pytest.raises(TrainingError, match=f"memory ran out on the batch with the most seconds.*{advice}"):
        scan(trainer)


def test_scan_is_an_option_of_the_command(corpus, tmp_path, caplog):
    from audiotext.cli.main import main

    with caplog.at_level(logging.INFO):
        assert main(test_train._command(corpus, tmp_path, "exp", "--scan", "--set", "train.max_steps=1")) == 0
    assert "the worst batches fit" in caplog.text


# -- statistics ------------------------------------------------------------------------------------------------------


def test_statistics_are_those_of_the_tensors(corpus, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        at_step(patch, 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
        run(corpus, tmp_path, "train.max_steps=4", "train.statistics_interval=2")
    run(corpus, tmp_path, "train.max_steps=4", "train.statistics_interval=2")
    rows = table(tmp_path, "statistics")
    trained = {row["name"] for row in rows}
    assert [row["step"] for row in rows] == [2] * len(trained) + [4] * len(trained)
    model = newest(tmp_path)["model"]
    for row in rows[len(trained) :]:
        weight = model[row["name"].removeprefix("model.")]
        assert row["weight"] == pytest.approx(float(weight.square().mean().sqrt()), rel=1e-5)
        assert row["shape"] == list(weight.shape) and row["update"] > 0
