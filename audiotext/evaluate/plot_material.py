"""What the plots of a report are drawn from, and the colours that models and domains have in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audiotext.evaluate.results import Result

COLOURS = {"floor": "#8c8c8c", "random": "#c9a227", "contrastive": "#1f6fb4", "captioning": "#c4472f"}
MORE = ("#4c9a52", "#7a5aa6", "#2a9d9d", "#b0568f", "#5c5c3d", "#e08a3c", "#2f3e75", "#93b53a")
DOMAINS = {"speech": "#1f6fb4", "music": "#c4472f", "sound": "#4c9a52"}


@dataclass
class Material:
    """What there is to draw.

    curves: rows of metrics.jsonl by run. maps: by model, one mean frame per held-out clip (N, D) and N domains.
    """

    results: Sequence[Result]
    curves: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    maps: Mapping[str, tuple[np.ndarray, list[str]]] = field(default_factory=dict)

    @property
    def synthetic(self) -> bool:
        return any(r.synthetic for r in self.results)


def colour(name: str, names: Sequence[str]) -> str:
    """A model's colour: fixed for the main recipe's, by order for others."""
    others = [n for n in names if n not in COLOURS]
    return COLOURS[name] if name in COLOURS else MORE[others.index(name) % len(MORE)]
