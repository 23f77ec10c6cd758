"""How fast the filterbank is on this machine: ours against torchaudio's and lhotse's, in one run.

Prints times real time (audio seconds per second), the median of five rounds in which all take turns, and the ratio
to ours.
Run it on an otherwise idle machine: ``python tools/bench/fbank_speed.py [--threads 1] [--clips 16]``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from lhotse import Fbank as LhotseFbank
from lhotse import FbankConfig as LhotseConfig
from torch import Tensor

from audiotext.frontend.fbank import FbankConfig
from audiotext.types import Padded

SECONDS, RATE, ROUNDS = 10, 16000, 5


def contestants(clips: Tensor) -> dict[str, Callable[[], object]]:
    """Name -> a function that computes the filterbanks of all clips (N, S)."""
    ours, torchaudio = FbankConfig().build(), FbankConfig(backend="torchaudio").build()
    lhotse, arrays = LhotseFbank(LhotseConfig()), list(clips.numpy())

    def batches(frontend: torch.nn.Module, size: int) -> Callable[[], object]:
        def run() -> None:
            for part in clips.split(size):
                frontend(Padded(part, torch.full((len(part),), part.shape[1])))

        return run

    return {
        "audiotext, one clip at a time": batches(ours, 1),
        "audiotext, batches of 4": batches(ours, 4),
        "audiotext, batches of 8": batches(ours, 8),
        "torchaudio compliance.kaldi": batches(torchaudio, 1),
        "lhotse, one clip at a time": lambda: [lhotse.extract(a, RATE) for a in arrays],
        "lhotse, batches of 8": lambda: [
            lhotse.extract_batch(arrays[i : i + 8], RATE) for i in range(0, len(arrays), 8)
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (1)")
    parser.add_argument("--clips", type=int, default=16, help=f"clips of {SECONDS} s (16)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    clips = 0.1 * torch.randn(args.clips, SECONDS * RATE, generator=torch.Generator().manual_seed(0))
    runs = contestants(clips)
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    with torch.no_grad():
        for run in runs.values():
            run()
        for _ in range(ROUNDS):
            for name, run in runs.items():
                started = time.perf_counter()
                run()
                speeds[name].append(args.clips * SECONDS / (time.perf_counter() - started))
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    reference = next(iter(medians.values()))
    print(f"{args.clips} clips of {SECONDS} s, {args.threads} thread(s), torch {torch.__version__}")
    print(f"{'':34}{'x real time':>12}{'lowest':>9}{'highest':>9}{'to ours':>9}")
    for name, median in medians.items():
        low, high = min(speeds[name]), max(speeds[name])
        print(f"{name:34}{median:12.0f}{low:9.0f}{high:9.0f}{median / reference:9.2f}")


if __name__ == "__main__":
    main()
