"""The evaluate verb from audio files to result files."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiotext.cli.main import main
from audiotext.config import ConfigError, from_tree
from audiotext.data.corpus import Clip
from audiotext.data.prepare import prepare
from audiotext.evaluate.embed import embed_frames
from audiotext.evaluate.protocol import load_tasks
from audiotext.evaluate.results import read_results
from audiotext.hub import load_model, save_model
from audiotext.model import ModelConfig
from audiotext.text.tokenizer import Tokenizer

PITCHES = {"low": 200, "mid": 800, "high": 2500}
QUICK = """
lit:
  embed_dim: 16
  text_encoder: {name: transformer, dim: 16, layers: 1, heads: 2, feedforward: 16}
  fit: {epochs: 6, batch_size: 8, lr: 1e-2}
"""
TASKS = {
    "probe_pitch": "task: probe\nlabel: pitch\nseeds: [0, 1]\nattention: {fit: {epochs: 5}}\n",
    "retrieval": "task: retrieval\n" + QUICK,
    "zero_shot_pitch": "task: zero_shot\nlabel: pitch\ntemplates: ['a {} tone']\n"
    "classes: {low: [low], mid: [mid], high: [high]}\n" + QUICK,
}


def write_part(folder, name, count, split="train"):
    """``count`` tones as the manifest ``name``; test tones make up a third where ``split`` is mixed."""
    clips = []
    for i in range(count):
        pitch = list(PITCHES)[i % 3]
        path = folder / "audio" / f"{name}{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([len(name), i])
        size = 4000 + 200 * i
        wave = np.sin(2 * math.pi * PITCHES[pitch] * np.arange(size) / 16000) + 0.05 * rng.normal(size=size)
        soundfile.write(path, 0.3 * wave, 16000)
        clips.append(
            Clip(
                id=f"{name}{i}", audio=path, captions=[f"a {pitch} tone", f"tone number {i}"],
                caption_styles=["template", "template"], domain="sound", source="toy", licence="CC0",
                split="test" if split == "mixed" and i >= count * 2 // 3 else "train", labels={"pitch": pitch},
                questions=[{"question": "Which tone?", "answer": pitch, "choices": list(PITCHES)}],
            )
        )  # fmt: skip
    prepare(clips, folder / "prepared", "toy")
    (folder / "features").mkdir(exist_ok=True)
    (folder / "prepared" / "cuts.jsonl").rename(folder / "features" / f"{name}.jsonl")
    return clips


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A toy corpus in four manifests, a tokenizer, task files and a model folder (log-mel statistics)."""
    folder = tmp_path_factory.mktemp("world")
    sizes = {"pretrain": 24, "valid": 6, "heldout": 6}
    clips = [clip for name, count in sizes.items() for clip in write_part(folder, name, count)]
    write_part(folder, "probe", 45, "mixed")
    Tokenizer.train([c for clip in clips for c in clip.captions], 60, folder / "tokenizer")
    (folder / "tasks").mkdir()
    for name, text in TASKS.items():
        (folder / "tasks" / f"{name}.yaml").write_text(text)
    make_model(folder / "exp/floor/model")
    return folder


def make_model(folder, seed=0, encoder="statistics", frontend="fbank"):
    torch.manual_seed(seed)
    return save_model(from_tree(ModelConfig, {"frontend": frontend, "encoder": encoder}).build(), folder)


def evaluate(world, *more, tasks="*", model="exp/floor/model"):
    return main(
        ["evaluate", "--model", str(world / model), "--tasks", str(world / "tasks" / f"{tasks}.yaml"), "--features-dir",
         str(world / "features"), "--tokenizer", str(world / "tokenizer"), "--out", str(world / "results"), *more]
    )  # fmt: skip


def test_every_task_leaves_a_result_that_says_what_it_is(world, caplog):
    caplog.set_level("INFO")
    assert evaluate(world) == 0
    results = {name: json.loads((world / f"results/floor/{name}.json").read_text()) for name in TASKS}
    probe = results["probe_pitch"]
    assert probe["scores"]["mean"]["accuracy"]["mean"] > 0.9
    assert probe["clips"] == {"expected": 15, "found": 15}
    assert probe["seeds"] == [0, 1] and probe["encoder"] == "statistics"
    for result in results.values():
        assert result["synthetic"] is True
        assert len(result["ids_hash"]) == 64 and result["model_hash"]
        assert {"audiotext", "torch", "python", "lhotse", "numpy", "scikit-learn"} <= set(result["versions"])
        assert result["peak_memory_mb"]["process"] > 50 and result["sample_rate"] == 16000 and result["layer"] == "last"
        low, high = result["intervals"][next(iter(result["intervals"]))]
        assert 0 <= low <= high
        assert result["protocol"]["report_on"]["clips"] == result["clips"]["expected"]
    assert results["retrieval"]["scores"]["lit"]["text_to_audio"]["chance_R@1"] < 0.5
    assert results["zero_shot_pitch"]["details"]["chance"] == pytest.approx(1 / 3)
    assert results["zero_shot_pitch"]["prompts"]["low"] == ["a low tone"]
    low, high = probe["intervals"]["mean/accuracy"]
    assert low <= probe["scores"]["mean"]["accuracy"]["mean"] <= high
    assert set(read_results(world / "results")[0].resampled) == set(results["probe_pitch"]["intervals"])
    # The same command again computes nothing and changes nothing.
    before = {p: p.read_bytes() for p in (world / "results/floor").rglob("*.*")}
    caplog.clear()
    assert evaluate(world) == 0
    assert caplog.text.count("up to date") == 3
    assert {p: p.read_bytes() for p in (world / "results/floor").rglob("*.*")} == before


def test_another_process_gives_the_same_result(world):
    """With another seed of Python's hashes, from frames of its own: everything but time, memory and the command."""
    assert evaluate(world, tasks="[pz]*") == 0
    model, tasks, features = (str(world / x) for x in ("exp/floor/model", "tasks/[pz]*.yaml", "features"))
    command = ["evaluate", "--model", model, "--tasks", tasks, "--features-dir", features]
    command += ["--tokenizer", str(world / "tokenizer"), "--out", str(world / "again")]
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parent.parent)}
    subprocess.run([sys.executable, "-m", "audiotext.cli.main", *command], env=environment, check=True)
    for name in ("probe_pitch", "zero_shot_pitch"):
        mine, theirs = (json.loads((world / f"{out}/floor/{name}.json").read_text()) for out in ("results", "again"))
        for tree in (mine, theirs):
            for key in ("command", "finished", "seconds", "peak_memory_mb"):
                tree.pop(key)
        assert mine == theirs  # the hash of what every item scored, and of its resampling, included


def test_a_clip_alone_and_in_a_batch_has_the_same_frames(world, tmp_path):
    encoder = {"name": "zipformer", "layers": [1, 1], "downsampling": [1, 2], "dims": [16, 16], "ff_dims": [16, 16],
               "heads": [2, 2], "unmasked_dims": [16, 16], "kernels": [7, 7]}  # fmt: skip
    make_model(tmp_path / "model", encoder=encoder)
    model, manifest = load_model(tmp_path / "model"), world / "features/probe.jsonl"
    alone, together = (embed_frames(model, manifest, batch_seconds=seconds) for seconds in (0.01, 20.0))
    for one, many in zip(alone.frames, together.frames, strict=True):
        torch.testing.assert_close(one.float(), many.float(), atol=2e-3, rtol=2e-3)  # half precision


def test_new_settings_and_new_weights_make_a_result_stale(world, caplog):
    caplog.set_level("INFO")
    assert evaluate(world, "--name", "other", "--set", "probe.poolings=[mean]", tasks="probe_pitch") == 0
    first = json.loads((world / "results/other/probe_pitch.json").read_text())
    changed = ("--name", "other", "--set", "probe_pitch.poolings=[mean]", "seeds=[5]")
    assert evaluate(world, *changed, tasks="probe_pitch") == 0
    assert "settings changed" in caplog.text
    encoder = {"name": "transformer", "dim": 16, "layers": 1, "heads": 2, "ff_dim": 16}
    make_model(world / "exp/random/model", encoder=encoder)
    caplog.clear()
    again = ("--name", "other", "--set", "probe.poolings=[mean]")
    assert evaluate(world, *again, tasks="probe_pitch", model="exp/random/model") == 0
    assert "model_hash" in caplog.text
    second = json.loads((world / "results/other/probe_pitch.json").read_text())
    assert second["model_hash"] != first["model_hash"] and second["encoder"] == "transformer"
    assert len(list((world / "results/other/frames").iterdir())) == 1


class Samples(torch.nn.Module):
    """(b, S) -> (b, S // 320, 16): what another package's model of waveforms looks like."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(1, 16, 320, stride=320)

    def forward(self, x):
        return self.conv(x[:, None]).square().transpose(1, 2)


def test_a_foreign_model_is_scored_on_the_same_manifests(world):
    encoder = {"name": "foreign", "model": f"{__name__}:Samples", "output_dim": 16, "sample_rate": 16000}
    make_model(world / "exp/foreign/model", encoder=encoder, frontend="waveform")
    assert evaluate(world, "--set", "probe.poolings=[mean]", tasks="probe_pitch", model="exp/foreign/model") == 0
    result = json.loads((world / "results/foreign/probe_pitch.json").read_text())
    assert result["encoder"] == "foreign" and result["clips"] == {"expected": 15, "found": 15}
    assert result["scores"]["mean"]["accuracy"]["mean"] > 0.5  # energies in 16 random bands; chance is 0.33


def test_a_failing_task_is_reported_and_the_others_go_on(world, caplog):
    (world / "tasks/bad.yaml").write_text("task: probe\nlabel: colour\n")
    try:
        assert evaluate(world, "--name", "partly", "--set", "probe_pitch.poolings=[mean]", tasks="[bp]*") == 1
    finally:
        (world / "tasks/bad.yaml").unlink()
    assert "no clip has the label 'colour'; labels: pitch" in caplog.text
    assert (world / "results/partly/probe_pitch.json").is_file()
    assert not (world / "results/partly/bad.json").exists()


def test_an_unreadable_clip_is_counted_as_missing_until_it_is_back(world, caplog):
    caplog.set_level("INFO")
    path = world / "audio/probe44.wav"
    kept = path.read_bytes()
    path.write_bytes(b"nothing")
    try:
        assert evaluate(world, "--name", "missing", "--set", "probe.poolings=[mean]", tasks="probe_pitch") == 0
    finally:
        path.write_bytes(kept)
    clips = json.loads((world / "results/missing/probe_pitch.json").read_text())["clips"]
    assert clips == {"expected": 15, "found": 14}
    assert "probe44: cannot read" in caplog.text
    # The clip is back: only it is computed, and the result is as if it had been there from the start.
    assert evaluate(world, "--name", "missing", "--set", "probe.poolings=[mean]", "seeds=[1]", tasks="probe_pitch") == 0
    found = json.loads((world / "results/missing/probe_pitch.json").read_text())["clips"]["found"]
    assert found == 15
    assert "frames of 1 clips" in caplog.text


@pytest.mark.parametrize("layer", ["last", 0, "mix"])
def test_a_pass_that_was_cut_short_goes_on_and_equals_an_uninterrupted_one(world, tmp_path, layer, monkeypatch, caplog):
    caplog.set_level("INFO")
    encoder = {"name": "transformer", "dim": 16, "layers": 2, "heads": 2, "ff_dim": 16}
    make_model(world / "exp/small/model", encoder=encoder)
    model, manifest = load_model(world / "exp/small/model"), world / "features/probe.jsonl"

    def embed(folder):
        return embed_frames(model, manifest, folder, batch_seconds=2.0, layer=layer, shard_seconds=4.0)

    whole = embed(tmp_path / "whole")
    assert len(list((tmp_path / "whole").glob("shard-*"))) > 3
    encode, calls = model.encode_audio, iter(range(5))

    def broken(feats):
        if next(calls) == 4:
            raise KeyboardInterrupt
        return encode(feats)

    monkeypatch.setattr(model, "encode_audio", broken)
    with pytest.raises(KeyboardInterrupt):
        embed(tmp_path / "cut")
    monkeypatch.undo()
    left = {p.name: p.read_bytes() for p in (tmp_path / "cut").glob("shard-*")}
    assert 0 < len(left) < len(list((tmp_path / "whole").glob("shard-*")))
    caplog.clear()
    again = embed(tmp_path / "cut")
    assert "frames of 45 clips" not in caplog.text  # not all of them anew
    assert again.ids == whole.ids
    assert all(torch.equal(a, b) for a, b in zip(again.frames, whole.frames, strict=True))
    names = {p.name: p.read_bytes() for p in (tmp_path / "whole").glob("shard-*")}
    assert names == {p.name: p.read_bytes() for p in (tmp_path / "cut").glob("shard-*")}


def test_processes_change_no_score(world, monkeypatch, capsys):
    """What --nj says reaches the pass, here with shards that are small enough for two processes."""
    asked = []

    def small(*args, nj, **settings):
        asked.append(nj)
        return embed_frames(*args, nj=nj, shard_seconds=4.0, batch_seconds=2.0, **settings)

    monkeypatch.setattr("audiotext.evaluate.context.embed_frames", small)
    results = []
    for nj in ("1", "2"):
        settings = ("--nj", nj, "--name", f"nj{nj}", "--set", "probe.poolings=[mean]")
        assert evaluate(world, *settings, tasks="probe_pitch", model="exp/small/model") == 0
        results.append(json.loads((world / f"results/nj{nj}/probe_pitch.json").read_text()))
    assert asked == [1, 2] and results[0]["scores"] == results[1]["scores"]
    assert results[0]["intervals"] == results[1]["intervals"]
    assert evaluate(world, "--nj", "0", tasks="probe_pitch") != 0
    assert "--nj: expected at least 1, got 0" in capsys.readouterr().err


def test_a_layer_has_its_own_frames_and_is_named_in_the_result(world):
    for layer in ("0", "mix"):
        settings = (
            "--set",
            "probe.poolings=[mean]",
            f"probe.layer={layer}",
            "probe.network.min_steps=100",
            "seeds=[0]",
        )
        assert evaluate(world, "--name", "layers", *settings, tasks="probe_pitch", model="exp/small/model") == 0
        result = json.loads((world / "results/layers/probe_pitch.json").read_text())
        assert result["layer"] == layer and result["scores"]["mean"]["accuracy"]["mean"] > 0.5
    assert len(list((world / "results/layers/frames").iterdir())) == 2
    assert len(result["details"]["chosen"]["mean"][0]["mix"]) == 2


def test_changed_items_are_scored_again(world, caplog):
    caplog.set_level("INFO")
    quick = ("--name", "items", "--set", "probe.poolings=[mean]", "seeds=[0]")
    assert evaluate(world, *quick, tasks="probe_pitch") == 0
    path = world / "results/items/probe_pitch.npz"
    before = path.read_bytes()
    path.write_bytes(b"other")
    caplog.clear()
    assert evaluate(world, *quick, tasks="probe_pitch") == 0
    assert "probe_pitch.npz is not there or not that of" in caplog.text and path.read_bytes() == before


def test_compat_modes_stand_beside_the_scores(world):
    settings = ("--name", "compat", "--set", "retrieval.compat=[laion,auden]")
    assert evaluate(world, *settings, tasks="retrieval") == 0
    compat = json.loads((world / "results/compat/retrieval.json").read_text())["details"]["compat"]
    assert set(compat) == {"laion", "auden"}
    assert set(compat["laion"]["lit"]["text_to_audio"]) == {"R@1", "R@5", "R@10", "mAP@10", "median_rank"}


def test_a_test_clip_in_the_training_manifest_is_refused(world, caplog):
    features = world / "features"
    probe, pretrain = (features / f"{name}.jsonl" for name in ("probe", "pretrain"))
    kept = pretrain.read_text()
    pretrain.write_text(kept + probe.read_text().splitlines()[-1] + "\n")
    try:
        assert evaluate(world, "--name", "leak", tasks="zero_shot_pitch") == 1
    finally:
        pretrain.write_text(kept)
    assert "both selected on and reported" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label: pitch\n", "needs the key task"),
        ("task: prob\nlabel: pitch\n", "did you mean 'probe'"),
        ("task: probe\nlabels: pitch\n", "did you mean label"),
        ("task: probe\nlabel: pitch\nseeds: [one]\n", "a whole number"),
    ],
)
def test_bad_task_files_are_named(tmp_path, text, message):
    (tmp_path / "task.yaml").write_text(text)
    with pytest.raises(ConfigError, match="task.yaml") as error:
        load_tasks([tmp_path / "task.yaml"])
    assert message.replace("'", "") in str(error.value).replace("'", "")


def test_missing_task_file_or_model_ends_the_run(world, capsys):
    assert evaluate(world, tasks="nothing") == 1
    assert "no such task file" in capsys.readouterr().err
    assert evaluate(world, model="exp/nobody/model") == 1
    assert "not a model folder" in capsys.readouterr().err
