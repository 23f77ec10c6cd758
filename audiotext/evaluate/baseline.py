"""What no encoder is needed for: the baselines that captions and answers must beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from audiotext.config import ConfigError


def most_frequent(texts: Iterable[str]) -> str:
    """The commonest text, the first in the alphabet of equals. Raises ValueError where there is none."""
    counts = Counter(texts)
    if not counts:
        raise ValueError("no text to choose the most frequent of")
    return min(counts, key=lambda text: (-counts[text], text))


def blind_answers(asked: Iterable[tuple[str, str]]) -> dict[str, str]:
    """(question, answer) pairs of training -> the commonest answer to each question; "" holds that of all of them."""
    answers: dict[str, list[str]] = {"": []}
    for question, answer in asked:
        answers.setdefault(question, []).append(answer)
        answers[""].append(answer)
    return {question: most_frequent(given) for question, given in answers.items() if given}


def log_mel_statistics(cuts: Sequence[Any]) -> Tensor:
    """Mean and standard deviation over time of each cut's stored filterbank: (N, 2F)."""
    rows = []
    for cut in cuts:
        if not cut.has_features:
            raise ConfigError(f"{cut.id}: no stored features, which the nearest-clip baseline needs: run that stage")
        feats = torch.from_numpy(cut.load_features()).float()
        rows.append(torch.cat([feats.mean(0), feats.std(0, unbiased=False)]))
    return torch.stack(rows)


def nearest(train_ND: Tensor, test_MD: Tensor) -> list[int]:
    """For each test row the number of the closest training row; columns are scaled by their spread in training."""
    mean, std = train_ND.mean(0), train_ND.std(0, unbiased=False).clamp(min=1e-5)
    distances = torch.cdist((test_MD - mean) / std, (train_ND - mean) / std)
    return distances.argmin(1).tolist()


def nearest_captions(train: Sequence[Any], test: Sequence[Any], captions: Mapping[str, Sequence[str]]) -> list[str]:
    """For each test cut the first caption of the training cut whose log-mel statistics are closest."""
    return [captions[train[i].id][0] for i in nearest(log_mel_statistics(train), log_mel_statistics(test))]
