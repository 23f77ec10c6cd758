"""The encoder contract: filterbank frames -> representation frames."""

from __future__ import annotations

from torch import nn

from audiotext.config import Registry
from audiotext.types import EncoderOutput, Padded

ENCODERS = Registry("encoder")


class Encoder(nn.Module):
    """Features (B, T, F) with lengths -> EncoderOutput with frames (B, T', D).

    Padding-invariant: a clip alone and the same clip in a padded batch give the same frames; frames past the
    length are zero. A config's ``build(feature_dim)`` makes the encoder.
    """

    output_dim: int
    subsampling: int
    """Input frames per output frame (output frame rate = input rate / subsampling)."""

    compilable: bool = False
    """Whether torch.compile makes one graph of ``forward``: nothing in it depends on a number drawn or scheduled."""

    def forward(self, feats: Padded) -> EncoderOutput:
        raise NotImplementedError

    def checkpointable(self) -> list[nn.Module]:
        """The layers, called with positional tensors, that training may compute twice rather than keep in memory."""
        return []

    def set_step(self, step: int) -> None:
        """Tell the encoder the trainer's step, for parts whose strength follows a schedule."""
