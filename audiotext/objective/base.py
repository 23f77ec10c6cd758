"""The objective contract: (model, batch) -> (loss, report)."""

from __future__ import annotations

from torch import Tensor, nn

from audiotext.config import Registry
from audiotext.model import AudioTextModel
from audiotext.types import Batch

OBJECTIVES = Registry("objective")


class Objective(nn.Module):
    """What a step of training minimises. The trainer knows no objective by name.

    ``parts`` names the optional model parts it needs (text_encoder, text_decoder); others are not built. Parameters
    of an objective (a learnt temperature, say) are trained and saved with the model. A config's ``build()`` makes it.
    """

    parts: frozenset[str] = frozenset()

    def forward(self, model: AudioTextModel, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss to differentiate, and a report.

        Report values: 0-d tensors are scalars to log; ``loss_per_clip`` (B,), where present, is averaged per domain.
        """
        raise NotImplementedError
