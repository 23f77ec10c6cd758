"""Checkpoints of icefall and Auden become model folders that compute what the reference computed."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from audiotext.cli import main
from audiotext.config import ConfigError
from audiotext.encoder.zipformer import ZipformerConfig, ZipformerEncoder
from audiotext.hub import load_model
from audiotext.interop.checkpoint import read_tensors
from audiotext.interop.zipformer import find_encoder, infer_config
from audiotext.model import ModelConfig
from audiotext.types import Padded

GOLDEN = Path(__file__).parent / "golden"
SHAPES = ["three_stacks", "six_stacks"]


def golden(name: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], int]:
    """State dict, the rest of the golden tensors, and the width of the queries."""
    tensors = load_file(GOLDEN / f"zipformer_{name}.safetensors")
    config = json.loads((GOLDEN / "zipformer_configs.json").read_text())[name]["config"]
    state = {k.removeprefix("state."): v for k, v in tensors.items() if k.startswith("state.")}
    query = config["qd"] if isinstance(config["qd"], int) else config["qd"][0]
    return state, tensors, query


def run(*arguments: object) -> int:
    return main.main(["import-checkpoint", *map(str, arguments)])


@pytest.mark.parametrize("name", SHAPES)
def test_an_icefall_checkpoint_computes_the_reference_frames(name, tmp_path, capsys):
    state, expect, query = golden(name)
    averaged = {f"module.{k}": v for k, v in state.items()} | {"module.joiner.weight": torch.zeros(2)}
    last = {k: torch.zeros_like(v) for k, v in averaged.items()}
    options = {"exp_dir": Path("exp"), "best_valid_loss": 0.5, "sampler": None, "optimizer": {"state": {}}}
    torch.save({"model": last, "model_avg": averaged} | options, tmp_path / "epoch-30.pt")
    assert run("--checkpoint", tmp_path / "epoch-30.pt", "--out", tmp_path / "m", "--query-dim", query) == 0
    printed = capsys.readouterr().out
    assert f"{len(state)} tensors matched, 1 dropped, 0 missing" in printed and "dropped: joiner" in printed
    model = load_model(tmp_path / "m")
    with torch.inference_mode():
        output = model.encode_audio(Padded(expect["input.feats"], expect["input.lengths"]))
    torch.testing.assert_close(output.frames, expect["expect.frames"], atol=1e-4, rtol=0)


def test_an_auden_folder_and_its_part_are_found(tmp_path, capsys):
    state, _, query = golden("three_stacks")
    save_file({f"audio_encoder.{k}": v for k, v in state.items()}, tmp_path / "model.safetensors")
    assert run("--checkpoint", tmp_path, "--out", tmp_path / "m", "--query-dim", query) == 0
    assert "below audio_encoder." in capsys.readouterr().out
    assert load_model(tmp_path / "m").encoder.state_dict().keys() == state.keys()


def test_the_shape_of_zipformer_m_is_read_from_its_weights():
    config = ZipformerConfig()
    state = ModelConfig(encoder=config).pruned(()).build().encoder.state_dict()
    found = infer_config(find_encoder(state).state)
    for name in ("query_dims", "value_dims", "pos_head_dims"):
        assert set(getattr(found, name)) == set(getattr(config, name))
    for name in ("layers", "downsampling", "dims", "ff_dims", "heads", "kernels", "unmasked_dims", "pos_dim"):
        assert getattr(found, name) == getattr(config, name), name
    assert found.output_downsampling == config.output_downsampling


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return golden("three_stacks")[0]


def refused(state: object, tmp_path: Path, capsys, *more: object, named: bool = True) -> str:
    torch.save(state, tmp_path / "c.pt")
    query = golden("three_stacks")[2]
    assert run("--checkpoint", tmp_path / "c.pt", "--out", tmp_path / "m", "--query-dim", query, *more) == 1
    assert not (tmp_path / "m").exists()
    message = capsys.readouterr().err
    assert not named or "c.pt" in message
    return message


def test_a_missing_tensor_is_named(state, tmp_path, capsys):
    del state["encoder_embed.out.bias"]
    assert "1 tensors missing: encoder_embed.out.bias" in refused(state, tmp_path, capsys)


def test_two_encoders_must_be_told_apart(state, tmp_path, capsys):
    both = {f"{part}.{k}": v for part in ("speech", "music") for k, v in state.items()}
    assert "--part, one of music., speech." in refused(both, tmp_path, capsys)
    assert run("--checkpoint", tmp_path / "c.pt", "--out", tmp_path / "m", "--part", "music.",
               "--query-dim", golden("three_stacks")[2]) == 0  # fmt: skip


def test_a_model_without_zipformer_is_refused(tmp_path, capsys):
    assert "no Zipformer in it" in refused({"bert.weight": torch.zeros(2)}, tmp_path, capsys)


def test_a_query_width_that_does_not_fit_is_refused(state, tmp_path, capsys):
    assert "--query-dim" in refused(state, tmp_path, capsys, "--query-dim", 7)


class Evil:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_is_not_run(state, tmp_path, capsys):
    message = refused({"model": state, "sampler": Evil(tmp_path / "ran")}, tmp_path, capsys)
    assert "holds posix.mkdir, and is not unpickled" in message
    assert "weights_only=False" in message and "'weights.pt')" in message
    assert not (tmp_path / "ran").exists()


def test_plain_values_beside_the_weights_are_let_in(state, tmp_path, monkeypatch):
    """Options as icefall and its forks save them: paths, argparse and AttributeDict trees, numbers of numpy."""
    module, name = ModuleType("icefall.utils"), "AttributeDict"
    monkeypatch.setitem(sys.modules, "icefall", ModuleType("icefall"))
    monkeypatch.setitem(sys.modules, "icefall.utils", module)
    module.AttributeDict = type(name, (dict,), {"__module__": "icefall.utils", "__qualname__": name})
    params = module.AttributeDict(exp_dir=Path("exp"), best=np.float64(0.5), steps=np.int64(3), torch=torch.__version__)
    options = argparse.Namespace(lang_dir=Path("data"), bpe=None)
    torch.save({"model": state, "params": params, "options": options, "grad_scaler": {}} | params, tmp_path / "c.pt")
    tensors, name = read_tensors(tmp_path / "c.pt")
    assert name == "model" and tensors.keys() == state.keys()
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


def small(**changes: object) -> ZipformerEncoder:
    torch.manual_seed(0)
    return ZipformerConfig(
        layers=(1, 1), downsampling=(1, 2), dims=(24, 32), ff_dims=(32,), heads=(2,), unmasked_dims=(24, 32),
        kernels=(7, 5), query_dims=(8,), value_dims=(6,), pos_dim=16, **changes,
    ).build(80).eval()  # fmt: skip


def test_a_causal_checkpoint_keeps_its_chunks(tmp_path, capsys):
    encoder = small(causal=True, chunk_size=(8, -1), left_context_frames=(16,))
    torch.save({"model": {f"module.{k}": v for k, v in encoder.state_dict().items()}}, tmp_path / "c.pt")
    chunks = ("--chunk-size", 8, -1, "--left-context-frames", 16)
    assert run("--checkpoint", tmp_path / "c.pt", "--out", tmp_path / "m", "--query-dim", 8, *chunks) == 0
    assert "causal: chunk_size [8, -1], left_context_frames [16]" in capsys.readouterr().out
    found = load_model(tmp_path / "m").encoder
    feats = Padded(torch.randn(1, 120, 80), torch.tensor([120]))
    with torch.no_grad():
        assert torch.equal(found(feats).frames, encoder(feats).frames)
    assert run("--checkpoint", tmp_path / "c.pt", "--out", tmp_path / "whole", "--query-dim", 8) == 0
    assert load_model(tmp_path / "whole").config.encoder.chunk_size == (-1,)


def test_chunks_of_a_model_that_has_none_are_refused(state, tmp_path, capsys):
    assert "need causal" in refused(state, tmp_path, capsys, "--chunk-size", 16, named=False)


def tagger(tmp_path: Path, classes: int = 5, width: int = 32) -> tuple[ZipformerEncoder, torch.Tensor, torch.Tensor]:
    """An encoder, and a classifier as icefall's AudioSet recipe saves it: dropout, then a linear layer."""
    encoder, weight, bias = small(), torch.randn(classes, width), torch.randn(classes)
    state = encoder.state_dict() | {"classifier.1.weight": weight, "classifier.1.bias": bias}
    torch.save({"model": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "c.pt")
    return encoder, weight, bias


def test_the_classifier_of_a_tagger_is_kept(tmp_path, capsys):
    encoder, weight, bias = tagger(tmp_path)
    (tmp_path / "labels.txt").write_text("speech\nmusic\ndog\nrain\nsiren\n")
    options = ("--query-dim", 8, "--classifier", "keep", "--labels", tmp_path / "labels.txt")
    assert run("--checkpoint", tmp_path / "c.pt", "--out", tmp_path / "m", *options) == 0
    assert f"{len(encoder.state_dict()) + 2} tensors matched, 0 dropped" in capsys.readouterr().out
    model = load_model(tmp_path / "m")
    assert model.classifier.labels == ("speech", "music", "dog", "rain", "siren")
    feats = Padded(torch.randn(2, 120, 80), torch.tensor([120, 75]))
    with torch.no_grad():
        output, logits = encoder(feats), model.classify(feats)
    for row, length in enumerate(output.lengths.tolist()):
        expected = (output.frames[row, :length] @ weight.T + bias).mean(0)
        torch.testing.assert_close(logits[row], expected, atol=1e-5, rtol=1e-5)


def test_the_classifier_is_dropped_unless_asked_for(tmp_path, capsys):
    tagger(tmp_path)
    assert run("--checkpoint", tmp_path / "c.pt", "--out", tmp_path / "m", "--query-dim", 8) == 0
    assert "dropped: classifier, 2 tensors" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="no classifier"):
        load_model(tmp_path / "m").classify(Padded(torch.zeros(1, 20, 80), torch.tensor([20])))


def test_auden_names_its_classes_beside_the_weights(tmp_path):
    tagger(tmp_path)
    (tmp_path / "id2label.json").write_text(json.dumps({str(i): f"class {i}" for i in range(5)}))
    assert run("--checkpoint", tmp_path, "--out", tmp_path / "m", "--query-dim", 8, "--classifier", "keep") == 0
    assert load_model(tmp_path / "m").classifier.labels[4] == "class 4"


def test_a_classifier_that_cannot_be_kept_is_told(state, tmp_path, capsys):
    assert "found none" in refused(state, tmp_path, capsys, "--classifier", "keep")
    tagger(tmp_path, width=31)
    keep = ("--checkpoint", tmp_path / "c.pt", "--out", tmp_path / "m", "--query-dim", 8, "--classifier", "keep")
    assert run(*keep) == 1 and "(5, 31), for an encoder of width 32" in capsys.readouterr().err
    tagger(tmp_path)
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    assert run(*keep, "--labels", tmp_path / "labels.txt") == 1
    assert "names 2 classes, the classifier has 5" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut short"])
def test_a_damaged_file_is_told_plainly(content, tmp_path, capsys):
    (tmp_path / "c.pt").write_bytes(content)
    assert run("--checkpoint", tmp_path / "c.pt", "--out", tmp_path / "m") == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_folder_with_nothing_to_choose_is_told_plainly(tmp_path, capsys):
    assert run("--checkpoint", tmp_path, "--out", tmp_path / "m") == 1
    assert "Name the file" in capsys.readouterr().err
