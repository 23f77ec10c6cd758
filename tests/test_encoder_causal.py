"""A causal Zipformer computes what icefall's does, never looks past its chunk, and sees its left context."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import conv1d

from audiotext.config import ConfigError, from_tree
from audiotext.encoder.zipformer import ZipformerConfig, ZipformerEncoder
from audiotext.encoder.zipformer.chunk import Chunks
from audiotext.encoder.zipformer.convolution import ChunkCausalConv
from audiotext.types import Padded

GOLDEN = Path(__file__).parent / "golden"
CASE = json.loads((GOLDEN / "zipformer_configs.json").read_text())["causal"]
TINY = {
    "front": {"name": "conv2d", "channels": [4, 8, 16]}, "layers": [1, 1], "downsampling": [1, 2], "dims": [24, 32],
    "ff_dims": [32], "heads": [2], "unmasked_dims": [16], "kernels": [7, 5], "query_dims": [8], "value_dims": [6],
    "pos_dim": 16, "causal": True,
}  # fmt: skip


def build(size: int | list[int], left: int | list[int], tree: dict = TINY) -> ZipformerEncoder:
    torch.manual_seed(0)
    lists = {"chunk_size": size, "left_context_frames": left}
    lists = {name: value if isinstance(value, list) else [value] for name, value in lists.items()}
    return from_tree(ZipformerConfig, tree | lists).build(80).eval()


def golden(size: int, left: int) -> tuple[torch.nn.Module, dict[str, Tensor]]:
    """The stacks with the reference's weights, and its tensors."""
    tensors = load_file(GOLDEN / "zipformer_causal.safetensors")
    encoder = build(size, left, CASE["config"]).encoder
    encoder.load_state_dict({k.removeprefix("state."): v for k, v in tensors.items() if k.startswith("state.")})
    return encoder, tensors


@pytest.mark.parametrize(("size", "left"), CASE["chunks"])
def test_equals_the_reference_alone_and_in_a_padded_batch(size, left):
    """Tensors of the reference implementation (k2-fsa), each clip alone; one clip is shorter than most chunks."""
    encoder, tensors = golden(size, left)
    clip = tensors["input.frames"]
    batch = torch.full((2, *clip.shape[1:]), 3.0)
    batch[0, :13], batch[1] = clip[0, :13], clip[0]
    with torch.no_grad():
        frames = encoder(Padded(batch, torch.tensor([13, clip.shape[1]]))).frames
    for row, name in enumerate(("short", "long")):
        expected = tensors[f"expect.{name}.{size}.{left}"][0]
        torch.testing.assert_close(frames[row, : len(expected)], expected, atol=1e-5, rtol=0)


def test_gradients_are_the_references():
    """Of the frames weighted by sines, in chunks of 8, with respect to the input and to a module's parameters."""
    encoder, tensors = golden(8, 16)
    clip = tensors["input.frames"].requires_grad_()
    frames = encoder(Padded(clip, torch.tensor([clip.shape[1]]))).frames
    (frames * torch.linspace(-1, 1, frames.numel()).view_as(frames).sin()).sum().backward()
    expected = {k.removeprefix("gradient."): v for k, v in tensors.items() if k.startswith("gradient.")}
    torch.testing.assert_close(clip.grad, expected.pop("input"), atol=1e-4, rtol=1e-4)
    for name, gradient in expected.items():
        torch.testing.assert_close(encoder.get_parameter(name).grad, gradient, atol=1e-4, rtol=1e-4, msg=name)
    assert len(expected) == 7


def test_chunked_convolution_is_what_a_loop_over_chunks_computes():
    torch.manual_seed(0)
    conv = ChunkCausalConv(3, 5)
    conv.chunkwise_conv_scale.data.normal_()
    first, last = conv.chunkwise_conv_scale
    lengths = torch.tensor([11, 2, 5])
    x = torch.randn(3, 11, 3) * (torch.arange(11) < lengths[:, None]).unsqueeze(-1)
    for size in (None, 1, 4, 7, 100):
        found = conv(x, Chunks(size).place(lengths, 11))
        for row, length in enumerate(lengths.tolist()):
            clip = x[row, :length].T
            padded = torch.cat([torch.zeros(3, 2), clip], 1)
            expected = conv1d(padded, conv.causal_conv.weight, conv.causal_conv.bias, groups=3)
            step = min(size or length, length)
            for start in range(0, length, step):
                chunk = torch.zeros(3, step)
                chunk[:, : length - start] = clip[:, start : start + step]
                part = conv1d(chunk, conv.chunkwise_conv.weight, conv.chunkwise_conv.bias, padding=2, groups=3)
                for t in range(min(step, length - start)):
                    scale = torch.ones(3)
                    scale = scale + first[:, t] if t < 5 else scale
                    scale = scale + last[:, 5 - step + t] if t >= step - 5 else scale
                    expected[:, start + t] += part[:, t] * scale
            torch.testing.assert_close(found[row, :length], expected.T, atol=1e-5, rtol=0)


@pytest.mark.parametrize("left", [None, 1, 3])
def test_attention_sees_its_chunk_and_the_chunks_before(left):
    hidden = Chunks(4, left).hidden(30, torch.device("cpu"))
    for i in range(30):
        for j in range(30):
            seen = j // 4 <= i // 4 and (left is None or j // 4 >= i // 4 - left)
            assert bool(hidden[i, j]) != seen
    assert Chunks().hidden(30, torch.device("cpu")) is None


def influence(encoder: ZipformerEncoder, feats: Tensor, first: int, last: int) -> Tensor:
    """Whether each input frame has any effect on output frames [first, last): (T,) booleans, by gradients."""
    feats = feats.clone().requires_grad_()
    frames = encoder(Padded(feats, torch.tensor([feats.shape[1]]))).frames[:, first:last]
    (gradient,) = torch.autograd.grad((frames * torch.randn(frames.shape)).sum(), feats)
    return gradient[0].ne(0).any(dim=-1)


@pytest.mark.parametrize(("size", "left"), [(8, 16), (8, -1), (16, 16)])
def test_no_gradient_from_the_future(size, left):
    """Of front frames [0, e), the last sees input frames up to 2 e + 12; each output frame is two of them."""
    encoder, feats = build(size, left), torch.randn(1, 160, 80)
    for chunk in range(64 // size):
        begin, end = chunk * size, (chunk + 1) * size
        seen = influence(encoder, feats, begin // 2, end // 2)
        horizon = 2 * end + 12
        assert not seen[horizon + 1 :].any()
        assert seen[horizon] and seen[2 * begin : horizon].all()
        earlier = 0 if left < 0 else max(0, begin - left)
        assert seen[2 * earlier : 2 * begin].all(), "the left context is not seen"
        assert influence(encoder, feats, begin // 2, begin // 2 + 1)[horizon], "a frame does not see all of its chunk"


def test_attention_forgets_what_is_left_of_its_context():
    layer = build(8, 16).encoder.encoders[0].layers[0]
    x = torch.randn(1, 64, 24)
    hidden = Chunks.of(8, 16).hidden(64, x.device)
    weights = layer.self_attn_weights(x, build(8, 16).encoder.encoders[0].encoder_pos(x), hidden)
    assert torch.equal(weights > 0, ~hidden.expand_as(weights))


def test_whole_chunks_of_a_clip_do_not_change_when_it_goes_on():
    encoder, frames = build(8, 16).encoder, torch.randn(1, 96, 24)
    with torch.no_grad():
        whole = encoder(Padded(frames, torch.tensor([96]))).frames
        for end in (8, 24, 64):
            part = encoder(Padded(frames[:, :end], torch.tensor([end]))).frames
            torch.testing.assert_close(part, whole[:, : end // 2], atol=1e-5, rtol=0)


def test_one_chunk_sees_everything():
    assert influence(build(-1, -1), torch.randn(1, 99, 80), 0, 1).all()


def test_training_draws_chunks_and_evaluation_takes_the_first():
    encoder = build([8, 16, -1], [16, -1]).encoder
    assert {encoder._chunks() for _ in range(10)} == {Chunks(8, 2)}
    encoder.train()
    torch.manual_seed(0)
    drawn = Counter(encoder._chunks() for _ in range(300))
    assert set(drawn) == {Chunks(8, 2), Chunks(8), Chunks(16, 1), Chunks(16), Chunks()}
    assert drawn[Chunks()] < 150
    torch.manual_seed(0)
    assert Counter(encoder._chunks() for _ in range(300)) == drawn


def test_parameters_are_those_of_icefall():
    with torch.device("meta"):
        medium = ZipformerConfig(causal=True).build(80)
    assert sum(p.numel() for p in medium.parameters()) == 66_475_639
    state = {k: list(v.shape) for k, v in build(-1, -1).state_dict().items()}
    conv = "encoder.encoders.1.encoder.layers.0.conv_module2.depthwise_conv."
    assert {k.removeprefix(conv): v for k, v in state.items() if k.startswith(conv)} == {
        "causal_conv.weight": [32, 1, 3], "causal_conv.bias": [32],
        "chunkwise_conv.weight": [32, 1, 5], "chunkwise_conv.bias": [32], "chunkwise_conv_scale": [2, 32, 5],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"causal": False, "chunk_size": [16]}, "need causal"),
        ({"chunk_size": [7]}, "no multiple"),
        ({"chunk_size": [0]}, "positive or -1"),
        ({"left_context_frames": []}, "positive or -1"),
        ({"chunk_size": [2], "left_context_frames": [3]}, "looks back"),
    ],
)
def test_impossible_chunks_are_named(changes, word):
    with pytest.raises(ConfigError, match=word):
        from_tree(ZipformerConfig, TINY | changes).build(80)
