"""Model folders: round trip, tamper detection, clear errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from audiotext.cli.main import main
from audiotext.config import from_tree, load
from audiotext.hub import ModelFolderError, content_hash, load_model, save_model
from audiotext.model import ModelConfig
from audiotext.text.tokenizer import Tokenizer
from audiotext.types import Padded


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    Tokenizer.train(["a dog barks", "a cat purrs", "rain falls"] * 5, vocab_size=40, folder=folder / "tok", seed=0)
    torch.manual_seed(0)
    tree = {"encoder": {"name": "transformer"}, "text_encoder": {"name": "transformer"}, "embed_dim": "16"}
    model = from_tree(ModelConfig, tree).build(Tokenizer(folder / "tok")).eval()
    save_model(model, folder / "model")
    return model, folder / "model"


def copy(folder, target):
    import shutil

    shutil.copytree(folder, target)
    return target


def test_a_loaded_model_means_the_same(saved):
    model, folder = saved
    loaded = load_model(folder)
    feats = Padded(torch.randn(2, 100, 80), torch.tensor([100, 70]))
    assert torch.equal(model.embed_audio(feats), loaded.embed_audio(feats))
    assert torch.equal(model.embed_text(["a dog barks"]), loaded.embed_text(["a dog barks"]))
    assert loaded.content_hash == content_hash(folder) and not loaded.training


def test_saving_again_replaces_the_folder(saved, tmp_path):
    model, _ = saved
    first = save_model(model, tmp_path / "model")
    with torch.no_grad():
        next(model.text_projection.parameters()).add_(1)
    second = save_model(model, tmp_path / "model")
    assert first != second and load_model(tmp_path / "model").content_hash == second
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_changed_weight_is_refused(saved, tmp_path):
    folder = copy(saved[1], tmp_path / "model")
    state = load_file(folder / "model.safetensors")
    next(iter(state.values())).add_(1e-3)
    save_file(state, folder / "model.safetensors")
    with pytest.raises(ModelFolderError, match="changed since they were saved"):
        load_model(folder)


@pytest.mark.parametrize("name", ["config.yaml", "model.safetensors", "model.json"])
def test_a_missing_file_is_named(saved, tmp_path, name):
    folder = copy(saved[1], tmp_path / "model")
    (folder / name).unlink()
    with pytest.raises(ModelFolderError, match=f"{name} is missing"):
        load_model(folder)


def test_a_missing_tokenizer_is_named(saved, tmp_path):
    folder = copy(saved[1], tmp_path / "model")
    (folder / "tokenizer/tokenizer.model").unlink()
    with pytest.raises(ModelFolderError, match="tokenizer/tokenizer.model is not there"):
        load_model(folder)


def test_weights_of_another_shape_are_named(saved, tmp_path):
    folder = copy(saved[1], tmp_path / "model")
    state = load_file(folder / "model.safetensors")
    key = next(iter(state))
    state[key] = torch.zeros(3)
    save_file(state, folder / "model.safetensors")
    description = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(description | {"content_hash": content_hash(folder)}))
    with pytest.raises(ModelFolderError, match=key.replace(".", r"\.")):
        load_model(folder)


def test_init_makes_a_folder_and_rejects_a_bad_configuration(tmp_path, capsys):
    config = tmp_path / "m.yaml"
    config.write_text("encoder: {name: transformer}\n")
    assert main(["init", "--model", str(config), "--out", str(tmp_path / "model"), "--seed", "3"]) == 0
    assert load_model(tmp_path / "model").text_encoder is None
    config.write_text("encodr: {name: transformer}\n")
    assert main(["init", "--model", str(config), "--out", str(tmp_path / "model2")]) == 1
    error = capsys.readouterr().err
    assert "m.yaml" in error and "did you mean 'encoder'" in error and not (tmp_path / "model2").exists()


SIZES = {"tiny": 3.1, "zipformer_s": 22.0, "zipformer_m": 65.9, "zipformer_l": 152.7, "transformer_b": 85.6}


@pytest.mark.parametrize("name, millions", SIZES.items())
def test_named_sizes_have_the_size_they_are_known_by(name, millions):
    config = load(ModelConfig, Path(__file__).parent.parent / f"conf/model/{name}.yaml")
    assert config.text_encoder is not None and config.text_decoder is not None
    encoder = config.pruned(()).build().encoder
    assert round(sum(p.numel() for p in encoder.parameters()) / 1e6, 1) == millions
