"""What an evaluation holds in memory: frozen frames read from disk against all of them held, in one run.

Writes shards of random frames (10 s clips at 25 frames a second) as the embedding pass does, and then does what an
attention probe does with them, each time in a process of its own: means, scale, statistics pooling, two epochs of
training on standardised frames, a prediction. Once with the frames read when they are needed; once with all held in
memory, and standardised there to a float32 copy. Memory is the peak resident size above that of the imports. Results
must be equal to the bit. Needs Linux, about three times the largest size in memory, and that size on the disk, which is
freed at the end: ``python tools/bench/frozen_frames.py [--gb 0.5 1] [--dim 512] [--runs 3] [--quick]``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from audiotext.data.progress import progress
from audiotext.evaluate.attentive import AttentiveConfig, Member, fit_attentive, predict
from audiotext.evaluate.fit import FitConfig
from audiotext.evaluate.frames import EvalClip, FrozenFrames
from audiotext.evaluate.pooled import vectors
from audiotext.evaluate.shard import Shard, packed, stored_frames, write_shard

LENGTHS = (200, 300)  # frames of a clip, at least and at most
SHARD = 30  # clips, as many as 300 s of audio have
CLASSES = 50
WAYS = ("in memory", "from disk")


def write(folder: Path, gigabytes: float, dim: int) -> int:
    """Shards of about that size, a class in the mean of each clip. Returns the number of clips."""
    clips = max(2 * SHARD, round(gigabytes * 1e9 / (2 * dim * sum(LENGTHS) / 2)))
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(CLASSES, dim, generator=generator)
    shards = range(0, clips, SHARD)
    for n, first in enumerate(progress(shards, len(shards), "frames written")):
        found = {}
        for i in range(first, min(first + SHARD, clips)):
            length = int(torch.randint(*LENGTHS, (), generator=generator))
            found[f"clip-{i:07d}"] = torch.randn(length, dim, generator=generator) + 0.1 * centres[i % CLASSES]
        write_shard(folder / f"shard-{n:05d}.safetensors", packed(found))
    return clips


def evaluate(folder: Path, way: str) -> dict[str, float | str]:
    """Peak memory (MB above that of the imports), processor seconds, and a hash of every number that came out."""
    before, started = memory("VmRSS"), time.process_time()
    shards = [Shard.open(path) for path in sorted(folder.glob("shard-*"))]
    ids = [id_ for shard in shards for id_ in shard.ids]
    clips = [EvalClip(id_, [], {}, "train", id_, "sound", "bench", 10.0, []) for id_ in ids]
    frames = FrozenFrames(clips, stored_frames(shards, ids)[0], [])
    if way == "in memory":
        frames = FrozenFrames(clips, list(frames.frames), [])
    found = [torch.from_numpy(vectors(frames, pooling, mixed=False)) for pooling in ("mean", "statistics")]
    found += frames.scale()
    even = frames.standardised(*frames.scale())
    if way == "in memory":
        even = FrozenFrames(clips, list(even.frames), [])
    targets = torch.arange(len(even)) % CLASSES
    config = AttentiveConfig(fit=FitConfig(epochs=2, batch_size=32, weight_decay=0.1, max_norm=0.0))
    probes = fit_attentive(config, even, targets, CLASSES, [Member(config.grid()[0], 0, range(len(even)))], seed=0)
    found.append(predict(probes, even, several=True))
    digest = hashlib.sha256(b"".join(x.detach().contiguous().numpy().tobytes() for x in found)).hexdigest()
    accuracy = float((found[-1][0].argmax(1) == targets).float().mean())
    return {"mb": memory("VmHWM") - before, "seconds": time.process_time() - started, "sha256": digest,
            "accuracy": accuracy}  # fmt: skip


def memory(field: str) -> float:
    """MB of this process: VmRSS now, VmHWM at its peak."""
    return int(Path("/proc/self/status").read_text().split(f"{field}:")[1].split()[0]) / 1000


def apart(folder: Path, way: str) -> dict[str, float | str]:
    """``evaluate`` in a process of its own."""
    command = [sys.executable, __file__, "--of", str(folder), "--way", way]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{way}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(gigabytes: float, dim: int, runs: int, folder: Path | None) -> None:
    with tempfile.TemporaryDirectory(dir=folder, prefix="frozen_frames") as name:
        place = Path(name)
        clips = write(place, gigabytes, dim)
        size = sum(path.stat().st_size for path in place.iterdir()) / 1e6
        found = {way: [] for way in WAYS}
        for _ in range(runs):  # in turn, so that whatever else the machine does meets both
            for way in WAYS:
                found[way].append(apart(place, way))
    every = [run for way in found.values() for run in way]
    if len({run["sha256"] for run in every}) != 1:
        sys.exit(f"{clips} clips: the results of the two ways differ: {found}")
    for way, own in found.items():
        mb, seconds = (statistics.median(run[key] for run in own) for key in ("mb", "seconds"))
        base_mb, base_seconds = (statistics.median(r[key] for r in found[WAYS[0]]) for key in ("mb", "seconds"))
        print(f"{clips:>8}{size:>8.0f}  {way:12}{mb:>9.0f}{max(run['mb'] for run in own):>9.0f}{seconds:>10.1f}"
              f"{mb / base_mb:>9.3f}{seconds / base_seconds:>10.2f}", flush=True)  # fmt: skip
    print(f"{clips:>8}          equal to the bit in {len(every)} runs (accuracy {every[0]['accuracy']:.3f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, nargs="+", default=[0.5, 1.0], help="sizes of the frames on disk (0.5 1)")
    parser.add_argument("--dim", type=int, default=512, help="width of the frames (512)")
    parser.add_argument("--runs", type=int, default=3, help="of each way (3)")
    parser.add_argument(
        "--folder", type=Path, help="where the frames lie meanwhile (default: that for temporary files)"
    )
    parser.add_argument("--quick", action="store_true", help="one run of 0.1 and 0.2 GB")
    parser.add_argument("--of", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.of:
        print(json.dumps(evaluate(args.of, args.way)))
        return
    sizes, runs = ([0.1, 0.2], 1) if args.quick else (args.gb, args.runs)
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, 1 thread, frames of width {args.dim} in half precision")
    print(f"{'clips':>8}{'MB disk':>8}  {'frames':12}{'peak MB':>9}{'most':>9}{'CPU s':>10}{'x MB':>9}{'x CPU s':>10}")
    for gigabytes in sizes:
        compare(gigabytes, args.dim, runs, args.folder)
    print("peak MB and CPU s: medians; the last two columns: to frames in memory")


if __name__ == "__main__":
    main()
