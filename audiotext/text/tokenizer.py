"""Text <-> token ids: a sentencepiece unigram model over normalised text."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable
from pathlib import Path

import sentencepiece
import torch

from audiotext.atomic import replacing
from audiotext.config import ConfigError
from audiotext.text.clean import normalise
from audiotext.types import Padded

FILE = "tokenizer.model"
_CHARACTERS = 100  # a piece has at most 16, and what normalisation folds away
log = logging.getLogger(__name__)


class Tokenizer:
    """Encodes and decodes with the sentencepiece model in ``folder``. Can be pickled, also without the folder.

    Raises ConfigError where the folder holds no usable model.
    """

    pad_id, unk_id, bos_id, eos_id, mask_id = range(5)

    def __init__(self, folder: str | Path):
        path = Path(folder) / FILE
        if not path.is_file():
            raise ConfigError(f"{path}: no such tokenizer; `audiotext curate` trains one")
        self._load(path.read_bytes(), path)

    def _load(self, proto: bytes, where: object) -> None:
        self._proto = proto
        self._pieces = sentencepiece.SentencePieceProcessor()
        try:
            self._pieces.LoadFromSerializedProto(proto)
        except RuntimeError as error:
            raise ConfigError(f"{where}: not a sentencepiece model: {error}") from None
        p = self._pieces
        found = (p.pad_id(), p.unk_id(), p.bos_id(), p.eos_id(), p.piece_to_id("<mask>"))
        if found != (self.pad_id, self.unk_id, self.bos_id, self.eos_id, self.mask_id):
            raise ConfigError(f"{where}: pad, unk, bos, eos, mask must have ids 0 to 4, found {found}; train it again")

    def __getstate__(self) -> bytes:
        return self._proto

    def __setstate__(self, proto: bytes) -> None:
        self._load(proto, "a pickled tokenizer")

    @property
    def vocab_size(self) -> int:
        """V, special tokens included."""
        return self._pieces.get_piece_size()

    def ids(self, text: str) -> list[int]:
        """Normalised text -> ids, without bos and eos."""
        return self._pieces.encode(normalise(text))

    def encode(self, texts: list[str], bos: bool = True, eos: bool = True, max_tokens: int = 64) -> Padded:
        """Texts -> ids (B, U) int64, padded with pad_id; lengths count bos and eos. Longer texts are cut before eos.

        Characters that could not fit, at a hundred to a token, are not looked at: a text may be a whole book.
        """
        if isinstance(texts, str):
            raise TypeError("encode wants a list of texts, got one string")
        room = max_tokens - int(bos) - int(eos)
        if room < 0:
            raise ConfigError(f"max_tokens {max_tokens} leaves no room for bos and eos")
        inner = [self.ids(text[: _CHARACTERS * max_tokens])[:room] for text in texts]
        rows = [[self.bos_id] * bos + ids + [self.eos_id] * eos for ids in inner]
        data = torch.full((len(rows), max(map(len, rows), default=0)), self.pad_id, dtype=torch.int64)
        for i, row in enumerate(rows):
            data[i, : len(row)] = torch.tensor(row, dtype=torch.int64)
        return Padded(data, torch.tensor([len(row) for row in rows], dtype=torch.int64))

    def decode(self, ids: list[list[int]]) -> list[str]:
        """Ids -> texts; pad, bos, eos and mask are left out, unk reads as two question marks (U+2047)."""
        return [" ".join(self._pieces.decode([int(i) for i in row]).split()) for row in ids]

    def save(self, folder: str | Path) -> None:
        """Write the model into ``folder``."""
        _write(self._proto, Path(folder))

    @classmethod
    def train(cls, captions: Iterable[str], vocab_size: int, folder: str | Path, seed: int = 0) -> Tokenizer:
        """Train on ``captions`` in any order and write to ``folder``; the same captions give the same bytes.

        A small corpus may support fewer than ``vocab_size`` pieces; the size that came out is logged. Raises
        ConfigError where there is no text or ``vocab_size`` is below the number of characters.
        """
        texts = sorted(filter(None, map(normalise, captions)))
        if not texts:
            raise ConfigError("cannot train a tokenizer: there are no captions")
        sentencepiece.set_random_generator_seed(seed)
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.Train(
                sentence_iterator=iter(texts),
                model_writer=model,
                model_type="unigram",
                vocab_size=vocab_size,
                hard_vocab_limit=False,
                character_coverage=0.9995,
                normalization_rule_name="identity",
                max_sentence_length=1 << 14,
                num_threads=1,
                pad_id=cls.pad_id,
                unk_id=cls.unk_id,
                bos_id=cls.bos_id,
                eos_id=cls.eos_id,
                control_symbols=["<mask>"],
                minloglevel=2,
            )
        except RuntimeError as error:
            raise ConfigError(
                f"cannot train a tokenizer of {vocab_size} pieces on {len(texts)} captions: {error}"
            ) from None
        _write(model.getvalue(), Path(folder))
        tokenizer = cls(folder)
        log.info(
            "tokenizer: %d pieces (%d asked for) from %d captions in %s",
            tokenizer.vocab_size, vocab_size, len(texts), folder,
        )  # fmt: skip
        return tokenizer


def _write(proto: bytes, folder: Path) -> None:
    with replacing(folder / FILE) as temporary:
        temporary.write_bytes(proto)
