"""What the contrastive loss takes for large batches: all pairs at once against chunks, in one run.

Loss and gradient (of the clips, the texts and the temperature) of N random pairs of width 512. First at a size where
both ways run: the largest difference of their gradients is printed. Then N = 32,768 in chunks alone: all at once would
keep several matrices of 4 GB. Memory is the peak resident size during a pass over that before it (on a GPU: what torch
allocated), gradients counted, inputs not. Needs Linux, and for the defaults about 15 minutes on two cores:
``python tools/bench/contrastive_memory.py [--threads 2] [--runs 5] [--device cuda]``.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from audiotext.objective.contrastive import info_nce
from audiotext.objective.pairs import Pairs

WIDTH = 512


def inputs(size: int, device: str) -> list[Tensor]:
    """Clips (N, E), texts (N, E) and the temperature, to be differentiated."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(2, size, WIDTH, generator=generator), dim=-1).to(device)
    return [v.clone().requires_grad_() for v in (*vectors, torch.tensor(0.07, device=device))]


def step(leaves: list[Tensor], chunk: int | None) -> float:
    """Loss, with its gradient left in the leaves."""
    audio, text, temperature = leaves
    numbers = torch.arange(len(audio), device=audio.device)
    pairs = Pairs(audio, numbers[:, None], text, numbers, numbers, slice(0, len(audio)))
    loss = info_nce(pairs, temperature, chunk=chunk)[0].mean()
    loss.backward()
    return float(loss.detach())


def measured(leaves: list[Tensor], chunk: int | None) -> tuple[float, float, float]:
    """Loss, seconds and peak extra memory in MB of one step."""
    for leaf in leaves:
        leaf.grad = None
    before = _memory(leaves[0], reset=True)
    started = time.perf_counter()
    loss = step(leaves, chunk)
    seconds = time.perf_counter() - started
    return loss, seconds, (_memory(leaves[0]) - before) / 1e6


def _memory(like: Tensor, reset: bool = False) -> int:
    """Bytes at the peak since the last reset; with ``reset``, bytes now."""
    if like.is_cuda:
        torch.cuda.synchronize()
        if reset:
            torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_allocated()
    if reset:
        ctypes.CDLL(None).malloc_trim(0)  # else what earlier steps freed would hide what this one takes
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def row(name: str, runs: list[tuple[float, float, float]], against: list[tuple[float, float, float]]) -> None:
    _, seconds, memory = (statistics.median(column) for column in zip(*runs, strict=True))
    _, other_seconds, other_memory = (statistics.median(column) for column in zip(*against, strict=True))
    most = max(run[2] for run in runs)
    print(f"{name:32}{len(runs):>5}{seconds:>10.2f}{memory:>10.0f}{most:>10.0f}"
          f"{seconds / other_seconds:>10.2f}{memory / other_memory:>10.3f}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads of torch (all)")
    parser.add_argument("--runs", type=int, default=5, help="of each line (5)")
    parser.add_argument("--both", type=int, default=4096, help="pairs where both ways run (4096)")
    parser.add_argument("--large", type=int, default=32768, help="pairs in chunks alone (32768)")
    parser.add_argument("--chunk", type=int, default=512, help="clips in a chunk (512)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    leaves = inputs(args.both, args.device)
    ways = {"all at once": None, f"chunks of {args.chunk}": args.chunk}
    gradients, losses = [], []
    for chunk in ways.values():  # also warms up
        losses.append(measured(leaves, chunk)[0])
        gradients.append([leaf.grad.clone() for leaf in leaves])
    apart = [float((a - b).abs().max() / a.abs().max()) for a, b in zip(*gradients, strict=True)]
    print(f"torch {torch.__version__}, {args.device}, {os.cpu_count()} cores, {args.threads} thread(s), fp32")
    print(f"{args.both:,} pairs: losses {losses[0]:.6f} and {losses[1]:.6f}; largest difference of gradients over the "
          f"largest gradient: clips {apart[0]:.1e}, texts {apart[1]:.1e}, temperature {apart[2]:.1e}")  # fmt: skip
    print(f"{'':32}{'runs':>5}{'seconds':>10}{'MB':>10}{'most MB':>10}{'x seconds':>10}{'x MB':>10}")
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    for _ in range(args.runs):
        for name, chunk in ways.items():
            found[name].append(measured(leaves, chunk))
    for name, runs in found.items():
        row(f"{args.both:,} pairs, {name}", runs, found["all at once"])
    leaves = inputs(args.large, args.device)
    large = []
    for run in range(args.runs):
        large.append(measured(leaves, args.chunk))
        print(f"{args.large:,} pairs, run {run + 1}: {large[-1][1]:.0f} s, {large[-1][2]:.0f} MB", file=sys.stderr)
    row(f"{args.large:,} pairs, chunks of {args.chunk}", large, found["all at once"])
    print("the last two columns: to the first line")


if __name__ == "__main__":
    main()
