"""How fast encoders train: audio-seconds per second of forward and backward, median of five runs.

Per second of the clock, and per second of processor time, which other work on the machine disturbs less.

    python tools/bench/encoder_speed.py [--threads 2] [--batch 16] [--seconds 3] [--only WORD]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from audiotext import encoder as _encoders  # noqa: F401
from audiotext.config import from_tree
from audiotext.encoder.base import ENCODERS, Encoder
from audiotext.types import Padded

FRAMES_PER_SECOND = 100
TINY = {
    "name": "zipformer",
    "front": {"name": "strided", "subsampling": 4},
    "layers": [1, 2, 1],
    "downsampling": [1, 2, 1],
    "dims": [96, 128, 96],
    "ff_dims": [192, 320, 192],
    "heads": [4],
    "unmasked_dims": [96],
    "kernels": [15],
    "query_dims": [16],
    "value_dims": [12],
    "output_downsampling": 1,
}
CASES = {
    "zipformer tiny strided/4": TINY,
    "zipformer tiny strided/8": TINY | {"front": {"name": "strided", "subsampling": 8}},
    "zipformer tiny icefall front": TINY | {"front": {"name": "conv2d"}, "downsampling": [2, 4, 2]},
    "transformer strided/4": {"name": "transformer"},
    "transformer strided/8": {"name": "transformer", "front": {"name": "strided", "subsampling": 8}},
    "transformer patch/4": {"name": "transformer", "front": {"name": "patch", "subsampling": 4}},
}


def build(tree: dict, feature_dim: int) -> Encoder:
    tree = dict(tree)
    return from_tree(ENCODERS[tree.pop("name")], tree).build(feature_dim)


def train_speed(encoder: Encoder, batch: int, seconds: float, runs: int) -> tuple[float, float]:
    """Audio-seconds per second, and per processor second, of forward and backward, on noise shaped like log-mels."""
    frames = int(seconds * FRAMES_PER_SECOND)
    feats = Padded(torch.randn(batch, frames, 80) * 4 - 8, torch.full((batch,), frames))
    encoder.train()
    encoder.set_step(2000)
    clock, processor = [], []
    for _ in range(runs + 1):
        start, busy = time.perf_counter(), time.process_time()
        output = encoder(feats)
        output.frames.square().mean().backward()
        encoder.zero_grad()
        clock.append(time.perf_counter() - start)
        processor.append(time.process_time() - busy)
    return batch * seconds / statistics.median(clock[1:]), batch * seconds / statistics.median(processor[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="only the cases whose name holds this word")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f"{'encoder':32} {'parameters':>12} {'audio-s/s':>10} {'per CPU-s':>10}")
    for name, tree in CASES.items():
        if args.only in name:
            encoder = build(tree, feature_dim=80)
            count = sum(p.numel() for p in encoder.parameters())
            speed, per_cpu = train_speed(encoder, args.batch, args.seconds, args.runs)
            print(f"{name:32} {count:12,} {speed:10.1f} {per_cpu:10.1f}", flush=True)


if __name__ == "__main__":
    main()
