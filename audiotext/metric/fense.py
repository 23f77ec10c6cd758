"""FENSE by the package `aac-metrics`: likeness of sentence embeddings, less where not fluent.

Zhou et al., ICASSP 2022.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

PACKAGES = ("aac-metrics", "sentence-transformers")
INSTALL = "pip install 'audiotext[fense]'"
SENTENCES, FLUENCY = "paraphrase-TinyBERT-L6-v2", "echecker_clotho_audiocaps_base"
FETCH = "`aac-metrics-download` fetches its weights"
PROTOCOL = f"FENSE is that of aac-metrics with {SENTENCES} and {FLUENCY}, the mean over clips."
Texts = Sequence[str]


def fense(candidates: Texts, references: Sequence[Texts]) -> np.ndarray:
    """Mean likeness of N captions to their references, a tenth of it where a fluency error is found: (N,) float32.

    Raises RuntimeError where weights cannot be loaded.
    """
    from aac_metrics.functional.fense import fense as scored

    texts = [list(each) for each in references]
    try:
        _, clips = scored(list(candidates), texts, sbert_model=SENTENCES, echecker=FLUENCY, device="cpu")
    except OSError as error:
        why = str(error).strip().splitlines()[0]
        raise RuntimeError(f"weights of {SENTENCES} or {FLUENCY} cannot be loaded ({why}); {FETCH}") from error
    return clips["fense"].numpy().astype(np.float32)


def missing() -> list[str]:
    """What FENSE lacks here and how to get it, as far as that is seen without loading it; nothing where it is there."""
    try:
        import aac_metrics.functional.fense  # noqa: F401
    except ImportError as error:
        return [f"the package {PACKAGES[0]} ({error}): {INSTALL}"]
    weights = _weights_folder() / f"{FLUENCY}.ckpt"
    return [] if weights.is_file() else [f"{weights}: {FETCH}"]


def versions() -> dict[str, str]:
    """Of the packages that its numbers come from."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def _weights_folder() -> Path:
    """Where aac-metrics keeps the fluency detector."""
    import torch

    return Path(os.environ.get("FENSE_DATA") or Path(torch.hub.get_dir(), "fense_data")).expanduser()
