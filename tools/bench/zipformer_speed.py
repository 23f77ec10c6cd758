"""Zipformer-M against the reference implementation, in one process: audio-seconds per second, training and inference.

The reference is the wheel `zipformer` of k2-fsa (Apache-2.0), which holds icefall's modules in plain torch:
    pip download --no-deps zipformer==0.1.3 && unzip -d reference zipformer-0.1.3-py3-none-any.whl
    python tools/bench/zipformer_speed.py --reference reference
Both sides take turns, run by run; the medians are compared.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from audiotext.encoder.zipformer import ZipformerConfig
from audiotext.types import Padded

STEP = 2000  # of the schedules


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True, metavar="DIR", help="where the wheel was unpacked")
    parser.add_argument("--batch", type=int, default=4, help="clips of 10 s (default 4)")
    parser.add_argument("--runs", type=int, default=5, help="of each side and mode (default 5)")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    feats = Padded(torch.randn(args.batch, 1000, 80), torch.full((args.batch,), 1000))
    ours = ZipformerConfig().build(80)
    ours.set_step(STEP)
    reference = Reference(args.reference)
    sides: dict[str, tuple[nn.Module, Callable[[], Tensor]]] = {
        "audiotext": (ours, lambda: ours(feats).frames),
        "reference": (reference, lambda: reference(feats)),
    }
    print(
        f"Zipformer-M, {sum(p.numel() for p in ours.parameters()):,} and "
        f"{sum(p.numel() for p in reference.parameters()):,} parameters, {args.batch} clips of 10 s, float32, "
        f"{args.threads} threads of {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}, "
        f"medians of {args.runs} runs"
    )
    print(f"{'':12}{'audiotext':>12}{'reference':>12}{'ratio':>8}")
    for mode in ("training", "inference"):
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(args.runs + 1):
            for name, (module, run) in sides.items():
                seconds[name].append(timed(module, run, mode == "training"))
        speed = {name: args.batch * 10 / median(times[1:]) for name, times in seconds.items()}  # the first warms up
        ratio = speed["audiotext"] / speed["reference"]
        print(f"{mode:12}{speed['audiotext']:12.1f}{speed['reference']:12.1f}{ratio:8.2f}")


def timed(module: nn.Module, run: Callable[[], Tensor], train: bool) -> float:
    """Seconds of one forward pass, in training with the backward pass."""
    module.train(train)
    began = time.perf_counter()
    if train:
        run().square().mean().backward()
        module.zero_grad()
    else:
        with torch.no_grad():
            run()
    return time.perf_counter() - began


class Reference(nn.Module):
    """icefall's convolutional front and Zipformer at the size of Zipformer-M."""

    def __init__(self, folder: Path):
        super().__init__()
        _open(folder)
        from zipformer.modules.scaling import ScheduledFloat
        from zipformer.modules.subsampling import Conv2dSubsampling
        from zipformer.modules.zipformer import Zipformer

        c = ZipformerConfig()
        self.front = Conv2dSubsampling(80, c.dims[0], dropout=ScheduledFloat((0.0, 0.3), (20000.0, 0.1)))
        self.encoder = Zipformer(
            output_downsampling_factor=c.output_downsampling, downsampling_factor=c.downsampling, encoder_dim=c.dims,
            num_encoder_layers=c.layers, encoder_unmasked_dim=c.unmasked_dims, query_head_dim=c.query_dims,
            pos_head_dim=c.pos_head_dims, value_head_dim=c.value_dims, num_heads=c.heads, feedforward_dim=c.ff_dims,
            cnn_module_kernel=c.kernels, pos_dim=c.pos_dim,
        )  # fmt: skip
        for module in self.modules():
            if hasattr(module, "batch_count"):
                module.batch_count = STEP

    def forward(self, feats: Padded) -> Tensor:
        x, lengths = self.front(feats.data, feats.lengths)
        past = torch.arange(x.shape[1])[None] >= lengths[:, None]
        return self.encoder(x.transpose(0, 1), lengths, past)[0]


def _open(folder: Path) -> None:
    """Make the modules importable without the package's own imports, which want a whole recognizer."""
    if not (folder / "zipformer/modules/zipformer.py").is_file():
        sys.exit(f"{folder}: holds no zipformer/modules/zipformer.py; unpack the wheel there")
    for name, place in (("zipformer", "zipformer"), ("zipformer.modules", "zipformer/modules")):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(folder / place)]
    sys.modules["zipformer.utils"] = types.ModuleType("zipformer.utils")
    sys.modules["zipformer.utils"].torch_autocast = lambda *args, **options: contextlib.nullcontext()


if __name__ == "__main__":
    main()
