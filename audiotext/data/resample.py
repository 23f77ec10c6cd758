"""Samples at another rate: a polyphase windowed sinc, as in scipy.signal.resample_poly, by matrix products.

A period of L output samples spans M input samples. Some neighbouring outputs see nearly the same inputs, so each block
of them is one matrix product over all periods: several times faster than one dot product per output sample.
"""

from __future__ import annotations

import functools
from fractions import Fraction

import torch
from scipy.signal import firwin
from torch import Tensor

_ZERO_CROSSINGS = 16  # of the sinc, on either side
_MAX_RATIO = 640  # a finer ratio of rates would need a kernel of hundreds of megabytes
_BLOCK = 16  # outputs in one product
_PERIOD = 256  # least inputs in a period, so that a product's rows do not overlap and need no copy


def resample(audio: Tensor, rate: int, wanted: int) -> Tensor:
    """Samples (S,) from one rate to another, (S',) float32 with S' = ceil(S * wanted / rate).

    Odd rates are met to one part in a million.
    """
    ratio = Fraction(rate, wanted).limit_denominator(_MAX_RATIO)
    if ratio == 1:
        return audio
    up, down, blocks = _kernels(ratio.denominator, ratio.numerator)
    left = max(0, -min(first for first, _ in blocks))
    right = max(first + len(kernel) for first, kernel in blocks)
    size = -(-len(audio) * ratio.denominator // ratio.numerator)
    periods = -(-size // up)
    padded = torch.nn.functional.pad(audio.float(), (left, max(0, (periods - 1) * down + right - len(audio))))
    out, column = torch.empty(periods, up), 0
    for first, kernel in blocks:
        inputs = padded.as_strided((periods, len(kernel)), (down, 1), left + first)
        out[:, column : column + kernel.shape[1]] = inputs @ kernel
        column += kernel.shape[1]
    return out.view(-1)[:size]


@functools.lru_cache(maxsize=32)
def _kernels(up: int, down: int) -> tuple[int, int, list[tuple[int, Tensor]]]:
    """(outputs, inputs) of a period, and for each block of outputs its first input and its kernel (inputs, outputs)."""
    reach = _ZERO_CROSSINGS * max(up, down)
    sinc = torch.from_numpy(firwin(2 * reach + 1, 1 / max(up, down), window=("kaiser", 8.0)) * up)
    repeats = max(1, -(-_PERIOD // down))
    blocks = []
    for begin in range(0, up * repeats, _BLOCK):
        places = torch.arange(begin, min(begin + _BLOCK, up * repeats)) * down  # in samples at rate * up
        first, last = -((reach - int(places[0])) // up), (int(places[-1]) + reach) // up
        taps = places - torch.arange(first, last + 1)[:, None] * up + reach
        inside = (taps >= 0) & (taps <= 2 * reach)
        blocks.append((first, torch.where(inside, sinc[taps.clamp(0, 2 * reach)], 0.0).float()))
    return up * repeats, down * repeats, blocks
