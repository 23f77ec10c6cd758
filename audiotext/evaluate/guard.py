"""What an encoder must not do while it is evaluated: give clips no usable frames, or let padding change them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from audiotext.evaluate.layers import LAST, take_layer
from audiotext.model import AudioTextModel
from audiotext.types import EncoderOutput, Padded

LOG = logging.getLogger(__name__)
TOLERANCE = 0.02  # of the largest value: far above rounding, also that of a GPU, far below what padding does


def usable(id_: str, frames: Tensor) -> bool:
    """Whether a clip's frames (T', D) can be scored; why not is logged, and the clip is to be counted as missing."""
    if not len(frames):
        LOG.warning("%s: the encoder returned no frame, left out; the clip is too short for its subsampling", id_)
    elif not frames.isfinite().all():
        LOG.warning("%s: the encoder returned values that are not finite, left out", id_)
    else:
        return True
    return False


@torch.inference_mode()
def check_padding(model: AudioTextModel, ids: Sequence[str], feats: Sequence[Tensor], output: EncoderOutput) -> None:
    """The shortest clip of a batch of several lengths, encoded alone, must give what it gave beside longer ones.

    ids, feats (T_i, F), output: of the batch. Raises ValueError naming the clip and the encoder, since the
    score would hang on which clips came together.
    """
    short = min(range(len(feats)), key=lambda i: len(feats[i]))
    together = take_layer(output, LAST)[short].float()
    if not len(together) or not together.isfinite().all():
        return  # left out by name
    alone = Padded(feats[short][None].float(), torch.tensor([len(feats[short])])).to(model.device)
    again = take_layer(model.encode_audio(alone), LAST)[0].float()
    gap = float((again - together).abs().max()) if again.shape == together.shape else float("inf")
    if not gap <= TOLERANCE * max(1e-6, float(together.abs().max())):
        config = model.config.encoder
        raise ValueError(
            f"{ids[short]}: encoder {getattr(config, 'model', type(config).part_name)} gives {len(together)} frames "
            f"beside longer clips and {len(again)} alone, which differ by up to {gap:.2g}; it sees padding or other "
            "clips, so its score would hang on the batch: see `audiotext check-encoder`"
        )
