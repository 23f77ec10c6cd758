"""The objective contract: (model, batch) -> (loss, report)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiotext.config import Registry
from audiotext.distributed import World
from audiotext.model import AudioTextModel
from audiotext.types import Batch

OBJECTIVES = Registry("objective")


class Objective(nn.Module):
    """What a step of training minimises. The trainer knows no objective by name.

    ``parts`` names the optional model parts it needs (text_encoder, text_decoder, classifier); others are not built.
    Parameters of an objective (a learnt temperature, say) are trained and saved with the model. A config's ``build()``
    makes it.
    """

    parts: frozenset[str] = frozenset()
    world: World = World()
    """The processes that train together, each with a batch of its own; set by ``join``."""

    def forward(self, model: AudioTextModel, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss to differentiate, and a report.

        The loss is the mean over clips; where several processes train, this one's share: the shares of all, and their
        gradients, add up to the loss and gradient of one process with all their clips (see ``mean``).
        Report values: 0-d tensors are scalars to log; ``loss_per_clip`` (B,), where present, is averaged per domain.
        """
        raise NotImplementedError

    def join(self, world: World) -> None:
        """Train in ``world``, members included."""
        for module in self.modules():
            if isinstance(module, Objective):
                module.world = world

    @property
    def peers(self) -> World:
        """The processes whose clips are compared: all while training; validation is one process's work."""
        return self.world if self.training else World()

    def mean(self, loss_B: Tensor) -> Tensor:
        """This process's share of the mean over the clips of all: a sum, so that unequal batches are no matter."""
        return loss_B.sum() / self.peers.sum(len(loss_B))


def similarities(audio_BE: Tensor, text_ME: Tensor) -> Tensor:
    """Dot products (B, M) in float32, also where autocast would take half precision: what counts is how they differ."""
    with torch.autocast(audio_BE.device.type, enabled=False):
        return audio_BE.float() @ text_ME.float().T


def draw_captions(batch: Batch, per_clip: int) -> tuple[list[str], Tensor]:
    """The chosen caption of every clip, then further ones drawn from its others with torch's generator.

    Returns M texts and the number of the clip that each was drawn for (M,); a clip with fewer captions gives fewer.
    """
    texts, owner = list(batch.caption), list(range(len(batch)))
    for clip, (chosen, captions) in enumerate(zip(batch.caption, batch.captions, strict=True)):
        others = [c for c in captions if c != chosen]
        if per_clip > 1 and others:
            drawn = torch.randperm(len(others))[: per_clip - 1].tolist()
            texts += [others[i] for i in drawn]
            owner += [clip] * len(drawn)
    return texts, torch.tensor(owner)
