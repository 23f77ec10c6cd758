"""What every evaluation of one model works with: the model, its frozen frames, the manifests, a place to write."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from audiotext import hub
from audiotext.config import ConfigError, from_tree, load_tree
from audiotext.data.digest import file_sha256, manifest_sha256
from audiotext.data.manifest import read_manifest
from audiotext.evaluate.embed import embed_frames
from audiotext.evaluate.frames import EvalClip, FrozenFrames
from audiotext.evaluate.layers import LAST, Layer
from audiotext.evaluate.protocol import SYNTHETIC_SOURCE, ProtocolError
from audiotext.model import AudioTextModel, ModelConfig
from audiotext.text.tokenizer import Tokenizer

SUFFIXES = (".jsonl", ".jsonl.gz")


@dataclass
class Context:
    """One model under evaluation.

    model_folder: what ``audiotext pretrain`` or ``init`` wrote. name: its name in results. features: folder of
    ``<manifest>.jsonl``. out: results folder; everything of this model goes under ``out/name``. tokenizer_folder and
    text_config (a model's YAML): the text parts that are trained here where the model has none. nj: processes that
    compute frames where ``device`` is the CPU.
    """

    model_folder: Path
    name: str
    features: Path
    out: Path
    tokenizer_folder: Path | None = None
    text_config: Path | None = None
    device: str = "cpu"
    nj: int = 1
    _clips: dict[str, list[EvalClip]] = field(default_factory=dict, init=False, repr=False)
    _frames: dict[tuple[str, Layer], FrozenFrames] = field(default_factory=dict, init=False, repr=False)
    _hashes: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def model(self) -> AudioTextModel:
        """The model in eval mode with every parameter frozen."""
        model = hub.load_model(self.model_folder, device=self.device)
        return model.eval().requires_grad_(False)

    @property
    def model_hash(self) -> str:
        return self.model.content_hash

    @property
    def folder(self) -> Path:
        """Where this model's results and caches live."""
        return self.out / self.name

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer given, else the model's own. Raises ConfigError where there is neither."""
        if self.tokenizer_folder is not None:
            return Tokenizer(self.tokenizer_folder)
        if self.model.tokenizer is not None:
            return self.model.tokenizer
        raise ConfigError("this task trains a text part and the model has no tokenizer: give --tokenizer FOLDER")

    @cached_property
    def text_model_config(self) -> ModelConfig:
        """The model configuration whose text parts are trained on frozen frames: the one given, else the model's."""
        if self.text_config is None:
            return self.model.config
        tree = load_tree(self.text_config)
        return from_tree(ModelConfig, tree.get("model", tree), where=str(self.text_config))

    def manifest_path(self, name: str) -> Path:
        """``<features>/<name>.jsonl`` (or .jsonl.gz). Raises FileNotFoundError saying what to run."""
        for suffix in SUFFIXES:
            if (path := self.features / f"{name}{suffix}").is_file():
                return path
        raise FileNotFoundError(f"{self.features / name}.jsonl: no such manifest; run the features stage first")

    def has_manifest(self, name: str) -> bool:
        return any((self.features / f"{name}{suffix}").is_file() for suffix in SUFFIXES)

    def manifest_hash(self, name: str) -> str:
        """Of what the manifest says, the same on machines where its files lie elsewhere."""
        if name not in self._hashes:
            self._hashes[name] = manifest_sha256(self.manifest_path(name))
        return self._hashes[name]

    def clips(self, name: str) -> list[EvalClip]:
        """Every clip of a manifest, without its frames."""
        if name not in self._clips:
            self._clips[name] = [EvalClip.from_cut(cut) for cut in read_manifest(self.manifest_path(name))]
            if not self._clips[name]:
                raise ProtocolError(f"{self.manifest_path(name)}: holds no clip")
        return self._clips[name]

    def frames(self, name: str, layer: Layer = LAST) -> FrozenFrames:
        """Frozen frames of every clip of a manifest; computed once per model, layer and manifest, then kept on disk."""
        if (name, layer) not in self._frames:
            state = f"{self.model_hash[:12]}-{file_sha256(self.manifest_path(name))[:12]}"
            cache = self.folder / "frames" / f"{name}-{state}-{layer}"
            found = embed_frames(self.model, self.manifest_path(name), cache, layer=layer, nj=self.nj)
            if not len(found):
                raise ProtocolError(f"{self.manifest_path(name)}: no clip has frames; the log says why of each")
            self._frames[name, layer] = found
            for old in cache.parent.glob(f"{name}-{'?' * 12}-{'?' * 12}*"):
                if not old.name.startswith(f"{name}-{state}"):
                    shutil.rmtree(old) if old.is_dir() else old.unlink()
        return self._frames[name, layer]

    def synthetic(self, manifests: Iterable[str]) -> bool:
        """True where any clip of these manifests was synthesised by the project."""
        return any(clip.source.split("/")[0] == SYNTHETIC_SOURCE for m in manifests for clip in self.clips(m))
