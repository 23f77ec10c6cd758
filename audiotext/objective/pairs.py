"""Clips against texts: the texts of all processes, and clips in chunks where all pairs at once are too many."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from audiotext.distributed import World
from audiotext.model import AudioTextModel
from audiotext.objective.base import draw_captions
from audiotext.types import Batch

Measure = Callable[[Tensor, Tensor], "tuple[Tensor, ...]"]
"""(similarity (c, M), positive (c, M)) of c clips and all texts -> tensors."""
_NONE = -1  # a key that no text has


@dataclass(frozen=True)
class Pairs:
    """This process's B clips and the M texts that all processes drew, m of them here.

    audio_BE, text_ME: unit vectors. captions_BC: keys of every caption of each clip. keys_M: keys of the texts.
    owner_m: the clip that each text of ``own``, this process's among the M, was drawn for.
    """

    audio_BE: Tensor
    captions_BC: Tensor
    text_ME: Tensor
    keys_M: Tensor
    owner_m: Tensor
    own: slice

    @classmethod
    def of(
        cls,
        audio_BE: Tensor,
        captions: Sequence[Sequence[str]],
        text_mE: Tensor,
        texts: Sequence[str],
        owner_m: Tensor,
        world: World | None = None,
    ) -> Pairs:
        """Clips with all their captions, and the texts drawn for them here; those of ``world`` are gathered."""
        world, device = world or World(), audio_BE.device
        text, own = world.gather(text_mE)
        keys, _ = world.gather(text_keys([texts])[0].to(device))
        return cls(audio_BE, text_keys(captions).to(device), text, keys, owner_m.to(device), own)

    def measured(self, measure: Measure, chunk: int | None) -> list[tuple[Tensor, ...]]:
        """``measure`` of all clips at once or of ``chunk`` at a time, in fp32.

        Of chunks, only what ``measure`` returns is kept; the similarities are computed again for the gradient.
        """

        def part(audio_cE: Tensor, captions_cC: Tensor) -> tuple[Tensor, ...]:
            with torch.autocast(audio_cE.device.type, enabled=False):
                return measure(audio_cE @ self.text_ME.T, carries(captions_cC, self.keys_M))

        if chunk is None:
            return [part(self.audio_BE, self.captions_BC)]
        chunks = zip(self.audio_BE.split(chunk), self.captions_BC.split(chunk), strict=True)
        return [checkpoint(part, *c, use_reentrant=False, preserve_rng_state=False) for c in chunks]


def pair(model: AudioTextModel, batch: Batch, captions_per_clip: int, world: World) -> Pairs:
    """Embed a batch and the captions drawn for it, and gather the texts of all processes."""
    audio = nn.functional.normalize(model.project_audio(model.encode_audio(batch.feats)).float(), dim=-1)
    texts, owner = draw_captions(batch, captions_per_clip)
    return Pairs.of(audio, batch.captions, model.embed_text(texts), texts, owner, world)


def text_keys(texts: Sequence[Sequence[str]]) -> Tensor:
    """63-bit hashes that tell texts apart in every process: B lists of at most C texts -> (B, C)."""
    keys = [[_key(text) for text in row] for row in texts]
    width = max(map(len, keys))
    return torch.tensor([row + [_NONE] * (width - len(row)) for row in keys])


def carries(captions_BC: Tensor, keys_M: Tensor) -> Tensor:
    """(B, M) booleans, True where the clip has the text among its captions; both are given by their keys."""
    found = captions_BC[:, :1] == keys_M
    for column in captions_BC.T[1:]:
        found |= column[:, None] == keys_M
    return found


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") >> 1
