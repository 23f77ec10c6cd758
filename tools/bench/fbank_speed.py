"""How fast the filterbank is on this machine: ours against torchaudio's and lhotse's, in one run.

Prints times real time (audio seconds per second), the median of five rounds in which all take turns, the same per
processor second (other work on the machine disturbs that less), how many times faster our best is, the largest
difference of the features and how many of them are more than 1e-3 apart. A torchaudio that cannot be imported beside
the installed torch is said to be left out.
Run it on an otherwise idle machine: ``python tools/bench/fbank_speed.py [--threads 1] [--clips 16]``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import lhotse
import torch
from lhotse import Fbank as LhotseFbank
from lhotse import FbankConfig as LhotseConfig
from torch import Tensor

from audiotext.config import ConfigError
from audiotext.frontend.fbank import FbankConfig
from audiotext.types import Padded

SECONDS, RATE, ROUNDS = 10, 16000, 5


def contestants(clips: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Name -> a function that computes the filterbanks of all clips (N, S) -> (N, T, F)."""
    ours, arrays, theirs = FbankConfig().build(), list(clips.numpy()), LhotseFbank(LhotseConfig())

    def batches(frontend: torch.nn.Module, size: int) -> Callable[[], Tensor]:
        def run() -> Tensor:
            parts = [Padded(part, torch.full((len(part),), part.shape[1])) for part in clips.split(size)]
            return torch.cat([frontend(part).data for part in parts])

        return run

    runs = {f"audiotext, batches of {size}": batches(ours, size) for size in (1, 4, 8)}
    runs["lhotse, one clip at a time"] = lambda: stacked([theirs.extract(a, RATE) for a in arrays])
    runs["lhotse, batches of 8"] = lambda: stacked(
        [feats for i in range(0, len(arrays), 8) for feats in theirs.extract_batch(arrays[i : i + 8], RATE)]
    )
    try:
        runs["torchaudio compliance.kaldi"] = batches(FbankConfig(backend="torchaudio").build(), 1)
    except ConfigError as error:
        print(f"left out: {error}")
    return runs


def stacked(feats: list) -> Tensor:
    return torch.stack([torch.as_tensor(f) for f in feats])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (1)")
    parser.add_argument("--clips", type=int, default=16, help=f"clips of {SECONDS} s (16)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    clips = 0.1 * torch.randn(args.clips, SECONDS * RATE, generator=torch.Generator().manual_seed(0))
    runs = contestants(clips)
    clock: dict[str, list[float]] = {name: [] for name in runs}
    processor: dict[str, list[float]] = {name: [] for name in runs}
    with torch.no_grad():
        feats = {name: run() for name, run in runs.items()}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                started, busy = time.perf_counter(), time.process_time()
                run()
                clock[name].append(args.clips * SECONDS / (time.perf_counter() - started))
                processor[name].append(args.clips * SECONDS / (time.process_time() - busy))
    medians = {name: (statistics.median(clock[name]), statistics.median(processor[name])) for name in runs}
    best = [max(speeds[i] for name, speeds in medians.items() if name.startswith("audiotext")) for i in (0, 1)]
    reference = next(iter(feats.values()))
    print(
        f"{args.clips} clips of {SECONDS} s, {args.threads} thread(s) of {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}, torch {torch.__version__}, lhotse {lhotse.__version__}"
    )
    print(f"{'':32}{'x real time':>12}{'per CPU-s':>11}{'our best is':>13}{'in CPU':>9}{'differs':>9}{'> 1e-3':>14}")
    for name, (speed, per_cpu) in medians.items():
        off = (feats[name] - reference).abs()
        ratios = f"{best[0] / speed:12.2f}x{best[1] / per_cpu:8.2f}x"
        apart = f"{int((off > 1e-3).sum())}/{off.numel()}"
        print(f"{name:32}{speed:12.0f}{per_cpu:11.0f}{ratios}{float(off.max()):9.0e}{apart:>14}")


if __name__ == "__main__":
    main()
