"""Model folders: config.yaml + model.safetensors + tokenizer/ + model.json (content hash). No pickle anywhere."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from audiotext import __version__
from audiotext.config import load, nearest, save
from audiotext.model import AudioTextModel, ModelConfig
from audiotext.text.tokenizer import Tokenizer


class ModelFolderError(ValueError):
    """A model folder is missing something or was changed; the message says what and where."""


_CONTENT = ("config.yaml", "model.safetensors", "tokenizer/tokenizer.model")


def content_hash(folder: str | Path) -> str:
    """SHA-256 (first 16 hex digits) over the configuration, weights and tokenizer of a model folder."""
    digest = hashlib.sha256()
    for name in _CONTENT:
        path = Path(folder) / name
        if path.is_file():
            digest.update(name.encode() + b"\0" + str(path.stat().st_size).encode() + b"\0")
            with open(path, "rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
    return digest.hexdigest()[:16]


def save_model(model: AudioTextModel, folder: str | Path) -> str:
    """Write a model folder, whole or not at all: it is built beside ``folder`` and renamed. Returns its hash."""
    folder = Path(folder)
    building = folder.with_name(f".{folder.name}.building{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    save(model.config, building / "config.yaml")
    # clone: tied weights share memory, which safetensors refuses
    state = {k: v.detach().cpu().contiguous().clone() for k, v in model.state_dict().items()}
    save_file(state, building / "model.safetensors")
    if model.tokenizer is not None:
        model.tokenizer.save(building / "tokenizer")
    digest = content_hash(building)
    description = {"content_hash": digest, "audiotext": __version__, "parameters": count_parameters(model)}
    (building / "model.json").write_text(json.dumps(description, indent=2) + "\n")
    if folder.exists():
        old = folder.with_name(f".{folder.name}.old{os.getpid()}")
        os.replace(folder, old)
        os.replace(building, folder)
        shutil.rmtree(old)
    else:
        os.replace(building, folder)
    return digest


def load_model(folder: str | Path, device: str = "cpu") -> AudioTextModel:
    """The model of a folder, in evaluation mode, with its ``content_hash`` as an attribute.

    Raises ModelFolderError where a file is missing, weights do not fit, or the content is not what was saved.
    """
    folder = Path(folder)
    for name in ("config.yaml", "model.safetensors", "model.json"):
        if not (folder / name).is_file():
            raise ModelFolderError(f"{folder}: not a model folder, {name} is missing")
    digest = content_hash(folder)
    try:
        saved = json.loads((folder / "model.json").read_text())["content_hash"]
    except (json.JSONDecodeError, KeyError) as error:
        raise ModelFolderError(f"{folder}/model.json: unreadable ({error})") from None
    if saved != digest:
        lacking = "" if (folder / _CONTENT[2]).is_file() else f"; {_CONTENT[2]} is not there, if it ever was"
        raise ModelFolderError(
            f"{folder}: its files changed since they were saved (hash {digest}, saved as {saved}){lacking}; "
            "copy the folder again or retrain"
        )
    config = load(ModelConfig, folder / "config.yaml")
    tokenizer = Tokenizer(folder / "tokenizer") if (folder / "tokenizer").is_dir() else None
    model = config.build(tokenizer)
    load_weights(model, folder / "model.safetensors")
    model.content_hash = digest
    return model.to(device).eval()


def load_weights(model: AudioTextModel, path: Path) -> None:
    """Load a safetensors file into ``model``, every key matched. Raises ModelFolderError naming what does not fit."""
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ModelFolderError(f"{path}: cannot be read ({error})") from None
    known = model.state_dict()
    for key in known.keys() - state.keys():
        raise ModelFolderError(f"{path}: has no weights for {key}")
    for key, value in state.items():
        if key not in known:
            raise ModelFolderError(f"{path}: unknown weights {key}, {nearest(key, known)[:300]}")
        if value.shape != known[key].shape:
            raise ModelFolderError(f"{path}: {key} is {tuple(value.shape)}, the model wants {tuple(known[key].shape)}")
    model.load_state_dict(state)


def count_parameters(model: AudioTextModel) -> dict[str, int]:
    """Learnt numbers per part of the model."""
    parts = {name: sum(p.numel() for p in child.parameters()) for name, child in model.named_children()}
    return {name: count for name, count in parts.items() if count}
