"""One Zipformer layer, and the bypass that mixes a block's input into its output."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiotext.encoder.zipformer.attention import AttentionWeights, NonlinAttention, SelfAttention
from audiotext.encoder.zipformer.balance import Balancer, Whiten, limit_parameter, whitening_limit
from audiotext.encoder.zipformer.chunk import Place
from audiotext.encoder.zipformer.convolution import ConvolutionModule
from audiotext.encoder.zipformer.dropout import ClipDropout, chance, clip_mask
from audiotext.encoder.zipformer.norm import BiasNorm
from audiotext.encoder.zipformer.schedule import Scheduled, ScheduledFloat
from audiotext.encoder.zipformer.swoosh import SwooshLinear


class Bypass(nn.Module):
    """before + scale * (after - before), channel by channel; in training, clips are skipped at ``skip_rate``."""

    def __init__(self, dim: int, skip_rate: Scheduled = 0.0):
        super().__init__()
        self.bypass_scale = nn.Parameter(torch.full((dim,), 0.5))
        self.skip_rate = skip_rate
        # Early on the block must count: its scale may fall low only once it has learnt something.
        self.scale_min = ScheduledFloat((0, 0.9), (20000, 0.2))

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """Two (B, T, D) -> (B, T, D)."""
        scale = self.bypass_scale
        if self.training:
            scale = limit_parameter(scale, self.scale_min, 1.0, True)
            if float(self.skip_rate) != 0:
                scale = scale * clip_mask(before, self.skip_rate)
        return torch.addcmul(before, after - before, scale)


class FeedForward(nn.Module):
    """Linear, SwooshL, dropout, linear."""

    def __init__(self, dim: int, hidden_dim: int, dropout: Scheduled):
        super().__init__()
        self.in_proj = nn.Linear(dim, hidden_dim)
        self.hidden_balancer = Balancer(0.3, 1.0, 0.75, 5.0)
        self.out_proj = SwooshLinear(hidden_dim, dim, "L", dropout, initial_scale=0.1)
        self.out_whiten = Whiten(whitening_limit(7.5))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        return self.out_whiten(self.out_proj(self.hidden_balancer(self.in_proj(x))))


class ZipformerLayer(nn.Module):
    """Feed-forward, attentions and convolution twice over, with attention weights computed once."""

    def __init__(
        self,
        dim: int,
        ff_dim: int,
        heads: int,
        head_dims: tuple[int, int, int, int],
        kernel: int,
        dropout: tuple[float, float],
        skip_rate: Scheduled,
        causal: bool = False,
    ):
        """head_dims: of query, value and position in a head, and of the position vectors.

        dropout: first and last rate of the feed-forward blocks. skip_rate: how often a clip skips the whole layer.
        """
        super().__init__()
        query_dim, value_dim, pos_head_dim, pos_dim = head_dims
        self.self_attn_weights = AttentionWeights(dim, heads, query_dim, pos_head_dim, pos_dim)
        self.self_attn1 = SelfAttention(dim, heads, value_dim)
        self.self_attn2 = SelfAttention(dim, heads, value_dim)
        for i, hidden_dim in enumerate((ff_dim * 3 // 4, ff_dim, ff_dim * 5 // 4), start=1):
            rate = ScheduledFloat((0, dropout[0]), (20000, dropout[1]))
            self.add_module(f"feed_forward{i}", FeedForward(dim, hidden_dim, rate))
        self.nonlin_attention = NonlinAttention(dim, 3 * dim // 4)
        self.conv_module1 = ConvolutionModule(dim, kernel, causal)
        self.conv_module2 = ConvolutionModule(dim, kernel, causal)
        self.norm = BiasNorm(dim)
        self.bypass, self.bypass_mid = Bypass(dim, skip_rate), Bypass(dim)
        # Unused, there and here; kept because public checkpoints hold it.
        self.bypass_scale = nn.Parameter(torch.full((dim,), 0.5), requires_grad=False)

        self.attention_skip_rate = ScheduledFloat((0, 0.2), (4000, 0.05), (16000, 0.0))
        self.const_attention_rate = ScheduledFloat((0, 0.25), (4000, 0.025))
        self.conv_skip = ClipDropout(ScheduledFloat((0, 0.2), (4000, 0.05), (16000, 0.0)))
        self.ff_skip = ClipDropout(ScheduledFloat((0, 0.1), (4000, 0.01), (50000, 0.0)))
        self.balancer_na = Balancer(0.3, 0.7, ScheduledFloat((0, 0.004), (4000, 0.02)), probability=0.05)
        self.balancer_ff2 = Balancer(0.3, 0.7, ScheduledFloat((0, 0.0), (4000, 0.1)), 2.0, probability=0.05)
        self.balancer_ff3 = Balancer(0.3, 0.7, ScheduledFloat((0, 0.0), (4000, 0.2)), 4.0, probability=0.05)
        self.balancer1 = Balancer(0.45, 0.55, 0.2, 4.0)
        self.balancer2 = Balancer(0.45, 0.55, 0.1, 4.0)
        self.whiten = Whiten(whitening_limit(4.0, ratio=3.0))

    def forward(
        self, x: Tensor, positions: Tensor, valid: Tensor, hidden: Tensor, place: Place | None = None
    ) -> Tensor:
        """(B, T, D), (2T - 1, pos_dim), ``valid`` (B, T, 1), True inside the clip -> (B, T, D).

        ``hidden`` broadcasts to (B, heads, T, T), True where not to look. ``place`` in chunks, for a causal layer.
        """
        before = x
        weights = self.self_attn_weights(x, positions, hidden)
        x = x + self.feed_forward1(x)
        skip_attention = self._attention_mask(x)
        x = x + skip_attention * self.balancer_na(self.nonlin_attention(x, self._first_head(weights)))
        x = x + skip_attention * self.self_attn1(x, weights)
        x = x + self.conv_skip(self.conv_module1(x, valid, place))
        x = x + self.ff_skip(self.balancer_ff2(self.feed_forward2(x)))
        x = self.bypass_mid(before, x)
        x = x + skip_attention * self.self_attn2(x, weights)
        x = x + self.conv_skip(self.conv_module2(x, valid, place))
        x = x + self.ff_skip(self.balancer_ff3(self.feed_forward3(x)))
        x = self.norm(self.balancer1(x))
        return self.whiten(self.balancer2(self.bypass(before, x)))

    def _attention_mask(self, x: Tensor) -> Tensor | float:
        """The clips whose attentions count in this step: one draw for all three uses."""
        if not self.training or float(self.attention_skip_rate) == 0:
            return 1.0
        return clip_mask(x, self.attention_skip_rate)

    def _first_head(self, weights: Tensor) -> Tensor:
        """(B, heads, T, T) -> (B, T, T); sometimes, in training, the same weight for every frame in sight."""
        weights = weights[:, 0]
        if self.training and chance(self.const_attention_rate):
            weights = (weights > 0).to(weights.dtype)
            weights = weights / weights.sum(dim=-1, keepdim=True)
        return weights
