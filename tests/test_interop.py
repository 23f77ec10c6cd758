"""Checkpoints of icefall and Auden become model folders that compute what the reference computed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from audiotext.cli import main
from audiotext.encoder.zipformer import ZipformerConfig
from audiotext.hub import load_model
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


def refused(state: object, tmp_path: Path, capsys, *more: object) -> str:
    torch.save(state, tmp_path / "c.pt")
    query = golden("three_stacks")[2]
    assert run("--checkpoint", tmp_path / "c.pt", "--out", tmp_path / "m", "--query-dim", query, *more) == 1
    assert not (tmp_path / "m").exists()
    message = capsys.readouterr().err
    assert "c.pt" in message
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


def test_a_causal_model_is_refused(state, tmp_path, capsys):
    state["encoder.encoders.0.layers.0.conv_module1.depthwise_conv.causal_conv.weight"] = torch.zeros(2)
    assert "causal" in refused(state, tmp_path, capsys)


def test_a_query_width_that_does_not_fit_is_refused(state, tmp_path, capsys):
    assert "--query-dim" in refused(state, tmp_path, capsys, "--query-dim", 7)


def test_a_pickle_is_not_run(tmp_path, capsys):
    assert "not unpickled" in refused({"model": argparse.Namespace()}, tmp_path, capsys)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut short"])
def test_a_damaged_file_is_told_plainly(content, tmp_path, capsys):
    (tmp_path / "c.pt").write_bytes(content)
    assert run("--checkpoint", tmp_path / "c.pt", "--out", tmp_path / "m") == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_folder_with_nothing_to_choose_is_told_plainly(tmp_path, capsys):
    assert run("--checkpoint", tmp_path, "--out", tmp_path / "m") == 1
    assert "Name the file" in capsys.readouterr().err
