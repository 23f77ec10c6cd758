"""icefall's and Auden's Zipformers as ours: the shape is read from the weights, the weights keep their names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import Tensor

from audiotext.encoder.zipformer import ZipformerConfig
from audiotext.interop.checkpoint import ForeignCheckpointError

FRONT, STACKS = "encoder_embed.", "encoder."
ANCHOR = FRONT + "conv.0.weight"
"""A tensor that every icefall Zipformer has, to find the encoder among a model's parts."""
CAUSAL = ".causal_conv."
"""In the names of tensors that only a causal Zipformer has."""
_UNMASKED = {192: 192, 256: 192, 384: 256, 512: 256, 768: 320}
"""Width -> unmasked channels in icefall's and Auden's recipes; it matters to training only."""


@dataclass
class FoundEncoder:
    """The encoder of a foreign model."""

    prefix: str
    """What its tensors' names began with, such as "module." or "audio_encoder."."""
    state: dict[str, Tensor]
    """Its tensors, by icefall's names."""
    dropped: list[str]
    """The model's other tensors: decoder, joiner, classifier."""


def find_encoder(tensors: dict[str, Tensor], prefix: str | None = None) -> FoundEncoder:
    """The Zipformer among named tensors, below ``prefix`` where several are there.

    Raises ForeignCheckpointError for none, and for several.
    """
    found = sorted(name.removesuffix(ANCHOR) for name in tensors if name.endswith(ANCHOR))
    if not found:
        some = ", ".join(list(tensors)[:5])
        raise ForeignCheckpointError(f"no Zipformer in it: no tensor's name ends in {ANCHOR}; there are {some}, ...")
    if prefix is None and len(found) > 1:
        raise ForeignCheckpointError(f"several Zipformers in it: choose with --part, one of {', '.join(found)}")
    prefix = found[0] if prefix is None else prefix
    if prefix not in found:
        raise ForeignCheckpointError(f"no Zipformer below '{prefix}'; there are {', '.join(map(repr, found))}")
    mine = tuple(prefix + part for part in (FRONT, STACKS))
    state = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(mine)}
    return FoundEncoder(prefix, state, [name for name in tensors if not name.startswith(mine)])


def infer_config(
    state: dict[str, Tensor],
    query_dim: int = 32,
    chunk_size: tuple[int, ...] = (-1,),
    left_context_frames: tuple[int, ...] = (-1,),
) -> ZipformerConfig:
    """The shape of a Zipformer, from its tensors (``FoundEncoder.state``); causal or not shows in their names.

    ``query_dim``: width of a head's queries in every stack; only its product with the number of heads shows in the
    weights, and every published recipe has 32. Unmasked channels do not show at all and are those of the recipes,
    nor do the chunks of a causal one. Raises ForeignCheckpointError where a tensor is missing or sizes do not divide.
    """
    count = 1 + max((int(m[1]) for m in (re.match(r"encoder\.encoders\.(\d+)\.", k) for k in state) if m), default=-1)
    if not count:
        raise ForeignCheckpointError("it has a Zipformer's front but no stacks (encoder.encoders.0 and so on)")
    stacks = [_stack(state, i, query_dim) for i in range(count)]
    columns = {name: tuple(stack[name] for stack in stacks) for name in stacks[0]}
    return ZipformerConfig(
        **columns,
        pos_dim=_shape(state, _layer(state, 0) + "self_attn_weights.linear_pos.weight")[1],
        output_downsampling=_downsampling(state, "encoder.downsample_output.bias"),
        causal=any(CAUSAL in name for name in state),
        chunk_size=chunk_size,
        left_context_frames=left_context_frames,
    )


def _stack(state: dict[str, Tensor], i: int, query_dim: int) -> dict[str, int]:
    layer = _layer(state, i)
    attention, dim = _shape(state, layer + "self_attn_weights.in_proj.weight")
    positions = _shape(state, layer + "self_attn_weights.linear_pos.weight")[0]
    heads, rest = divmod((attention - positions) // 2, query_dim)
    values = _shape(state, layer + "self_attn1.in_proj.weight")[0]
    if rest or heads < 1 or positions % heads or values % heads:
        raise ForeignCheckpointError(
            f"stack {i}: queries of {query_dim} per head do not fit its attention weights ({attention} rows, "
            f"{positions} for positions); give the width of its queries with --query-dim"
        )
    inside = layer.removesuffix("0.")
    numbers = {name.removeprefix(inside).split(".")[0] for name in state if name.startswith(inside)}
    return {
        "layers": len(numbers),
        "downsampling": _downsampling(state, f"encoder.encoders.{i}.downsample.bias"),
        "dims": dim,
        "ff_dims": _shape(state, layer + "feed_forward2.in_proj.weight")[0],
        "heads": heads,
        "unmasked_dims": min(dim, _UNMASKED.get(dim, 192)),
        "kernels": _kernel(state, layer + "conv_module1.depthwise_conv"),
        "query_dims": query_dim,
        "value_dims": values // heads,
        "pos_head_dims": positions // heads,
    }


def _kernel(state: dict[str, Tensor], conv: str) -> int:
    causal = any(name.startswith(conv + CAUSAL) for name in state)
    return _shape(state, conv + (".chunkwise_conv.weight" if causal else ".weight"))[2]


def _layer(state: dict[str, Tensor], i: int) -> str:
    """Prefix of a stack's first layer: a stack that downsamples wraps another."""
    plain = f"encoder.encoders.{i}.layers.0."
    return plain if any(name.startswith(plain) for name in state) else f"encoder.encoders.{i}.encoder.layers.0."


def _downsampling(state: dict[str, Tensor], bias: str) -> int:
    return len(state[bias]) if bias in state else 1


def _shape(state: dict[str, Tensor], name: str) -> tuple[int, ...]:
    if name not in state:
        raise ForeignCheckpointError(f"not a Zipformer as icefall's recipes train it: {name} is missing")
    return tuple(state[name].shape)
