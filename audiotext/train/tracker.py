"""Where numbers go: ``metrics.jsonl`` (one JSON object a line) and TensorBoard.

A line of ``metrics.jsonl`` has ``kind`` ("train" or "valid"), ``step``, ``epoch`` and scalars by name, such as
``loss``, ``loss/speech``, ``lr``, ``grad_norm``, ``temperature``, ``audio_seconds_per_second``,
``audio_to_text/R@1``. The TensorBoard tags are ``<kind>/<name>``.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from audiotext.atomic import replacing
from audiotext.train.validate import Sample

AudioReader = Callable[[str], "tuple[Tensor, int] | None"]
"""Clip id -> waveform (S,) and its rate, None where there is none."""
_log = logging.getLogger(__name__)


class Tracker:
    """Writes the numbers of one run into ``folder``; what an interrupted run wrote past ``step`` is dropped."""

    def __init__(self, folder: Path, step: int):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "metrics.jsonl"
        if step == 0:
            shutil.rmtree(folder / "tensorboard", ignore_errors=True)
        keep_until(self.path, step)
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def scalars(self, kind: str, step: int, epoch: int, values: dict[str, float]) -> None:
        finite = {k: round(v, 6) if math.isfinite(v) else None for k, v in values.items()}  # JSON has no NaN
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, "step": step, "epoch": epoch} | finite) + "\n")
        for name, value in values.items():
            self.writer.add_scalar(f"{kind}/{name}", value, step)

    def samples(self, step: int, samples: list[Sample]) -> None:
        """What the model makes of some clips, as text."""
        for sample in samples:
            self.writer.add_text(f"sample/{sample.id}", sample.markdown(), step)

    def fixed_samples(self, step: int, samples: list[Sample], audio: AudioReader) -> None:
        """What of the clips does not change: filterbank images, and audio where it can be read."""
        for sample in samples:
            image = sample.feats.T.flip(0)  # (F, T), low frequencies at the bottom
            image = (image - image.min()) / (image.max() - image.min()).clamp(min=1e-5)
            self.writer.add_image(f"filterbank/{sample.id}", image[None], step)
            found = audio(sample.id)
            if found is not None:
                wave, rate = found
                self.writer.add_audio(f"audio/{sample.id}", wave[None].clamp(-1, 1), step, sample_rate=rate)

    def embeddings(self, step: int, vectors: Tensor, metadata: list[list[str]], header: list[str]) -> None:
        """Clip embeddings (N, E) for TensorBoard's projector, a row of ``metadata`` each."""
        self.writer.add_embedding(vectors, metadata=metadata, metadata_header=header, global_step=step, tag="clips")

    def flush(self) -> None:
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


def keep_until(path: Path, step: int) -> None:
    """Keep the lines of ``path`` up to ``step``, by atomic rename; a line cut short goes too."""
    if not path.is_file():
        return
    kept, dropped = [], 0
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            keep = step > 0 and json.loads(line)["step"] <= step
        except (json.JSONDecodeError, KeyError, TypeError):
            keep = False
        if keep:
            kept.append(line + "\n")
        else:
            dropped += 1
    if dropped:
        _log.info("%s: dropped %d lines past step %d", path, dropped, step)
        with replacing(path) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")
