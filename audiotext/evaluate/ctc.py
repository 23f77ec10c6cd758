"""Connectionist temporal classification on frozen frames: a small head that writes characters, and its greedy decoding.

A. Graves, S. Fernandez, F. Gomez, J. Schmidhuber, "Connectionist Temporal Classification: Labelling Unsegmented
Sequence Data with Recurrent Neural Networks", ICML 2006.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from audiotext.evaluate.fit import FitConfig, FitReport, fit, seeded
from audiotext.evaluate.frames import FrozenFrames
from audiotext.types import Padded

BLANK = 0
RATE = 45.0
"""Outputs a second, at least: 50, less the frames that encoders lose at the ends of clips."""


@dataclass
class CtcConfig:
    """The head: a bidirectional LSTM and a linear layer, or with ``lstm_layers: 0`` the linear layer alone.

    Characters are guessed apart from each other, so a linear layer can only spell what single frames show, and encoders
    of few frames a second then all look hopeless; one small LSTM lets a frame's neighbours say which letter is whose.
    """

    frames_out: int = 0
    """Outputs for each of the encoder's frames, by the linear layer; 0: as many as make about 50 a second."""
    lstm_layers: int = 1
    lstm_dim: int = 256
    """Of each direction."""
    dropout: float = 0.2
    """Before the linear layer."""
    fit: FitConfig = field(default_factory=lambda: FitConfig(epochs=20, batch_size=32, lr=2e-3))


@dataclass(frozen=True)
class Alphabet:
    """The characters that can be written; number 0 is the blank, the first character 1."""

    characters: str

    @classmethod
    def of(cls, texts: Iterable[str]) -> Alphabet:
        """Every character of some texts."""
        return cls("".join(sorted(set().union(*texts))))

    def encode(self, text: str) -> list[int]:
        """Raises ValueError for a character that is not there."""
        return [self.characters.index(character) + 1 for character in text]

    def decode(self, numbers: Iterable[int]) -> str:
        return "".join(self.characters[number - 1] for number in numbers)

    def lacks(self, text: str) -> str:
        """The characters of a text that cannot be written, each as often as it occurs."""
        return "".join(character for character in text if character not in self.characters)


class CtcHead(nn.Module):
    """Frames (B, T, D) -> log-probabilities of blank and C characters (B, k T, C + 1), k outputs for each frame."""

    def __init__(self, dim: int, alphabet: Alphabet, config: CtcConfig, frames_out: int):
        super().__init__()
        self.alphabet, self.frames_out = alphabet, frames_out
        self.lstm = None
        if config.lstm_layers:
            between = config.dropout if config.lstm_layers > 1 else 0.0
            self.lstm = nn.LSTM(
                dim, config.lstm_dim, config.lstm_layers, batch_first=True, dropout=between, bidirectional=True
            )
            dim = 2 * config.lstm_dim
        self.dropout = nn.Dropout(config.dropout)
        self.linear = nn.Linear(dim, frames_out * (len(alphabet.characters) + 1))

    def forward(self, frames: Padded) -> Padded:
        data = frames.data
        if self.lstm is not None:  # packed, so that the backward direction does not begin in the padding
            packed = pack_padded_sequence(data, frames.lengths.cpu(), batch_first=True, enforce_sorted=False)
            data, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=data.shape[1])
        logits = self.linear(self.dropout(data)).unflatten(2, (self.frames_out, -1)).flatten(1, 2)
        return Padded(logits.log_softmax(-1), frames.lengths * self.frames_out)

    def loss(self, frames: Padded, texts: Sequence[str]) -> Tensor:
        """Mean over the clips of the negative log-likelihood of a character."""
        found = self(frames)
        targets = [self.alphabet.encode(text) for text in texts]
        return nn.functional.ctc_loss(
            found.data.transpose(0, 1),
            torch.tensor([number for target in targets for number in target], device=found.data.device),
            found.lengths.cpu(),
            torch.tensor([len(target) for target in targets]),
            blank=BLANK,
        )

    @torch.no_grad()
    def transcribe(self, frames: FrozenFrames, batch: int) -> list[str]:
        """The text of every clip, greedily: the likeliest output at each place, repeats as one, blanks left out."""
        sizes = frames.lengths
        order = sorted(range(len(frames)), key=lambda i: (sizes[i], i))
        texts = [""] * len(frames)
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            found = self(frames.padded(rows).to(self.linear.weight.device))
            for i, best, length in zip(rows, found.data.argmax(2).cpu(), found.lengths.tolist(), strict=True):
                texts[i] = self.alphabet.decode(collapse(best[:length]))
        return texts


def collapse(best: Tensor) -> list[int]:
    """Numbers of outputs (T,) -> those of characters: a run of one number is one, blanks go."""
    return [number for number in best.unique_consecutive().tolist() if number != BLANK]


def outputs_needed(text: str) -> int:
    """The fewest outputs that spell a text: its characters, and a blank between two that are alike."""
    return len(text) + sum(first == second for first, second in zip(text, text[1:], strict=False))


def outputs_per_frame(frames: FrozenFrames) -> int:
    """How many outputs a frame needs for ``RATE`` of them a second."""
    return max(1, math.ceil(RATE / frame_rate(frames)))


def frame_rate(frames: FrozenFrames) -> float:
    """Frames a second, over all clips."""
    return sum(frames.lengths) / sum(clip.duration for clip in frames.clips)


def train_ctc(
    config: CtcConfig,
    alphabet: Alphabet,
    frames_out: int,
    frames: FrozenFrames,
    texts: Sequence[str],
    score: Callable[[CtcHead], float],
    seed: int,
    label: str,
    device: str = "cpu",
) -> tuple[CtcHead, FitReport]:
    """A head trained on ``frames`` (every clip with outputs enough for its text); ``score`` (higher is better) chooses
    the epoch."""
    with seeded(seed):
        head = CtcHead(frames.dim, alphabet, config, frames_out).to(device)

    def loss(rows: list[int]) -> Tensor:
        return head.loss(frames.padded(rows).to(device), [texts[i] for i in rows])

    return head, fit(head, frames.lengths, loss, config.fit, seed, score=lambda: score(head), label=label)
