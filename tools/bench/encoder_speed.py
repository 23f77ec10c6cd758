"""How fast encoders train: audio-seconds per second of forward and backward, median of five runs.

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
CASES = {
    "transformer strided/4": {"name": "transformer"},
    "transformer strided/8": {"name": "transformer", "front": {"name": "strided", "subsampling": 8}},
    "transformer patch/4": {"name": "transformer", "front": {"name": "patch", "subsampling": 4}},
}


def build(tree: dict, feature_dim: int) -> Encoder:
    tree = dict(tree)
    return from_tree(ENCODERS[tree.pop("name")], tree).build(feature_dim)


def train_speed(encoder: Encoder, batch: int, seconds: float, runs: int) -> float:
    """Audio-seconds per second of forward and backward, on noise shaped like log-mels."""
    frames = int(seconds * FRAMES_PER_SECOND)
    feats = Padded(torch.randn(batch, frames, 80) * 4 - 8, torch.full((batch,), frames))
    encoder.train()
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        output = encoder(feats)
        output.frames.square().mean().backward()
        encoder.zero_grad()
        times.append(time.perf_counter() - start)
    return batch * seconds / statistics.median(times[1:])


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
    print(f"{'encoder':32} {'parameters':>12} {'audio-s/s':>10}")
    for name, tree in CASES.items():
        if args.only in name:
            encoder = build(tree, feature_dim=80)
            count = sum(p.numel() for p in encoder.parameters())
            speed = train_speed(encoder, args.batch, args.seconds, args.runs)
            print(f"{name:32} {count:12,} {speed:10.1f}", flush=True)


if __name__ == "__main__":
    main()
