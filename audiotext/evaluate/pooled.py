"""Probes of one vector per clip: logistic regression, a small network, nearest neighbours.

All work on vectors X (N, L, D): L layers that are mixed by learnt weights, 1 where one was chosen. Every probe is
fitted on some items and predicts others; they differ in the grid it is chosen from and in how one point is fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from audiotext.evaluate.fit import FitConfig, at_least, fit, seeded
from audiotext.evaluate.frames import FrozenFrames, time_mean
from audiotext.evaluate.layers import mixed_shape

Array = np.ndarray
Predict = Callable[[Array], Array]
"""X (N, L, D) -> class numbers (N,), or scores (N, C) where a clip has several labels."""


@dataclass
class NetworkConfig:
    """A probe trained by gradient and its grid: every combination of ``lr`` and ``weight_decay`` is tried."""

    hidden: int = 512
    """Width of the hidden layer of ``mlp``."""
    dropout: float = 0.2
    lr: list[float] = field(default_factory=lambda: [1e-3, 4e-3, 1.6e-2])
    weight_decay: list[float] = field(default_factory=lambda: [1e-3, 1e-1])
    fit: FitConfig = field(default_factory=lambda: FitConfig(epochs=30, batch_size=64))
    min_steps: int = 1000
    """Few clips are seen in more epochs than ``fit`` says, until there were so many steps."""


class Network(nn.Module):
    """Standardised layers (N, L, D), mixed by softmax weights, -> linear, or one hidden layer and linear -> (N, C).

    The mix is that of s3prl's Featurizer (Yang et al., Interspeech 2021), taken over pooled layers: for the mean it is
    the same, since both are sums. It begins as the plain average.
    """

    def __init__(self, x: Array, classes: int, hidden: int, dropout: float):
        super().__init__()
        layers, dim = x.shape[1:]
        scale = x.std(0)
        self.register_buffer("mean", torch.from_numpy(x.mean(0)).float())
        self.register_buffer("std", torch.from_numpy(np.where(scale > 1e-5, scale, 1.0)).float())
        self.weight = nn.Parameter(torch.zeros(layers), requires_grad=layers > 1)
        inner = [nn.Linear(dim, hidden), nn.ReLU(), nn.Dropout(dropout)] if hidden else []
        self.head = nn.Sequential(*inner, nn.Linear(hidden or dim, classes))
        if not hidden:  # a convex problem needs no noise to begin with
            nn.init.zeros_(self.head[-1].weight)

    def mix(self) -> Tensor:
        """How much of each layer (L,); they add up to 1."""
        return self.weight.softmax(0)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.einsum("nld,l->nd", (x - self.mean) / self.std, self.mix()))


@dataclass
class Fitted:
    """A probe after training: what it predicts, and how much of each layer it takes, where it learnt that."""

    predict: Predict
    mix: list[float] | None = None


def vectors(frames: FrozenFrames, pooling: str, mixed: bool) -> Array:
    """X (N, L, D) by ``mean``, ``max`` or ``statistics`` (mean and deviation) over time, of every layer where mixed."""
    if not mixed:
        return frames.pooled(POOLS[pooling]).numpy()[:, None]
    rows = []
    for x in frames.frames:
        mean, std, top = mixed_shape(x.float()).unbind(1)
        rows.append({"mean": mean, "max": top, "statistics": torch.cat([mean, std], 1)}[pooling])
    return torch.stack(rows).numpy()


def maximum(frames: Tensor) -> Tensor:
    """(T', D) -> (D,)."""
    return frames.amax(0)


def statistics(frames: Tensor) -> Tensor:
    """(T', D) -> mean and deviation (2 D,)."""
    return torch.cat([frames.mean(0), frames.std(0, unbiased=False)])


POOLS = {"mean": time_mean, "max": maximum, "statistics": statistics}


def logistic(c: float) -> object:
    """Standardisation and multinomial logistic regression with inverse penalty ``c``."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000, tol=1e-3))


def fit_logistic(x: Array, y: Array, c: float) -> Fitted:
    """X (N, 1, D), class numbers (N,)."""
    model = logistic(c).fit(x[:, 0], y)
    return Fitted(lambda new: model.predict(new[:, 0]))


def fit_neighbours(x: Array, y: Array, k: int) -> Fitted:
    """The class of most of the ``k`` nearest by cosine of standardised vectors, near ones counting more."""
    scale = StandardScaler().fit(x[:, 0])
    k = min(k, len(x))
    model = KNeighborsClassifier(k, weights=_closeness, metric="cosine", algorithm="brute")
    model.fit(scale.transform(x[:, 0]), y)
    return Fitted(lambda new: model.predict(scale.transform(new[:, 0])))


def fit_network(
    x: Array, y: Array, classes: int, config: NetworkConfig, hidden: int, point: dict[str, float], seed: int
) -> Fitted:
    """X (N, L, D); y class numbers (N,), or truth values (N, C) where a clip has several labels."""
    several, data = y.ndim == 2, torch.from_numpy(x).float()
    target = torch.from_numpy(y.astype(np.float32) if several else y)
    with seeded(seed):
        network = Network(x, classes, hidden, config.dropout if hidden else 0.0)
    criterion = nn.BCEWithLogitsLoss() if several else nn.CrossEntropyLoss()
    decayed = [{"params": [p for p in network.parameters() if p.requires_grad], "lr": point["lr"]}]
    decayed[0]["weight_decay"] = point["weight_decay"]
    how = at_least(config.fit, config.min_steps, len(x))
    fit(network, [1] * len(x), lambda rows: criterion(network(data[rows]), target[rows]), how, seed, groups=decayed)

    @torch.inference_mode()
    def predict(new: Array) -> Array:
        logits = network(torch.from_numpy(new).float())
        return (logits.sigmoid() if several else logits.argmax(1)).numpy()

    return Fitted(predict, network.mix().tolist() if x.shape[1] > 1 else None)


def choose(
    points: Sequence[dict[str, float]],
    fit_point: Callable[[Array, Array, dict[str, float]], Fitted],
    score: Callable[[Array, Array], float],
    x: Array,
    y: Array,
    inner: Sequence[int],
    held: Sequence[int],
) -> tuple[dict, Fitted]:
    """The point that scores best on ``held`` when fitted on ``inner``, the earlier of equals, fitted again on all."""
    with threadpool_limits(1):  # matrices this small lose more to waiting threads than they gain
        scores = [score(fit_point(x[inner], y[inner], point).predict(x[held]), y[held]) for point in points]
        best = int(np.argmax(scores))
        return {**points[best], "validation": scores[best]}, fit_point(x, y, points[best])


def network_points(config: NetworkConfig) -> list[dict[str, float]]:
    return [{"lr": lr, "weight_decay": w} for lr, w in product(config.lr, config.weight_decay)]


def _closeness(distances: Array) -> Array:
    """A weight per neighbour (N, k) that falls with its cosine distance, 0 to 2."""
    return np.exp(-distances / 0.1)
