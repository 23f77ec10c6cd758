"""How fast features of a manifest are made, end to end: ours against lhotse's compute_and_store_features, in one run.

Both read a manifest of wav files made for this, decode, resample where the rate is not 16 kHz, compute 80 log-mels,
store them and write a manifest, with the same number of processes of one thread each. Prints audio seconds per second,
the median of five rounds in which both take turns, per processor second as well (other work on the machine disturbs
that less), how many times faster ours is, and the mean difference of the features; at 44.1 kHz that is of the two
lowpasses. A side that cannot be run here is said to be left out.

    python tools/bench/extraction_speed.py [--clips 120] [--seconds 10] [--nj 1 2] [--rates 16000 44100]
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import lhotse
import numpy as np
import soundfile
import torch
from lhotse import CutSet, Fbank, LilcomChunkyWriter, NumpyFilesWriter
from lhotse.utils import is_module_available

from audiotext.data.corpus import Clip, Decoded
from audiotext.data.features import extract_features
from audiotext.data.manifest import clip_to_cut, read_manifest, write_manifest
from audiotext.frontend.fbank import FbankConfig

RATE, ROUNDS, WIDTH = 16000, 5, 26


Extract = Callable[[Path, Path, int], Path]
"""(manifest, folder to write to, processes) -> the manifest written."""


def make_corpus(folder: Path, clips: int, seconds: float, rate: int) -> Path:
    """A manifest of noise in 16-bit wav files."""
    rng, cuts = np.random.default_rng(0), []
    for i in range(clips):
        path, samples = folder / f"{rate}_{i}.wav", int(seconds * rate)
        soundfile.write(path, 0.1 * rng.standard_normal(samples), rate)
        clip = Clip(f"clip{i}", path, ["a caption"], ["human"], "sound", "bench", "CC0-1.0")
        cuts.append(clip_to_cut(clip, Decoded("", rate, samples, 1, 0, samples / rate)))
    write_manifest(cuts, folder / f"{rate}.jsonl")
    return folder / f"{rate}.jsonl"


def by_us(manifest: Path, out: Path, nj: int) -> Path:
    shards = max(1, len(manifest.read_text().splitlines()) // (4 * nj))
    extract_features(manifest, out / "feats.jsonl", FbankConfig(), nj, shard_clips=shards)
    return out / "feats.jsonl"


def by_lhotse(storage: type, manifest: Path, out: Path, nj: int) -> Path:
    """Processes are forked, as ours, not spawned, which would take seconds."""
    cuts = CutSet.from_file(manifest).to_eager()
    if {cut.sampling_rate for cut in cuts} != {RATE}:
        cuts = cuts.resample(RATE)
    options = {"storage_path": out / "feats", "storage_type": storage, "progress_bar": False}
    if nj == 1:
        done = cuts.compute_and_store_features(Fbank(), num_jobs=1, **options)
    else:
        with ProcessPoolExecutor(nj) as pool:
            done = cuts.compute_and_store_features(Fbank(), num_jobs=nj, executor=pool, **options)
    done.to_file(out / "cuts.jsonl")
    return out / "cuts.jsonl"


def timed(extract: Extract, manifest: Path, nj: int) -> tuple[float, float, np.ndarray]:
    """(seconds of the clock, of the processor, features (T, F) of one clip)."""
    out = Path(tempfile.mkdtemp(dir=manifest.parent))
    started, busy = time.perf_counter(), processor_seconds()
    written = extract(manifest, out, nj)
    seconds, busy = time.perf_counter() - started, processor_seconds() - busy
    feats = next(cut for cut in read_manifest(written) if cut.id == "clip1").load_features()
    shutil.rmtree(out)
    return seconds, busy, feats


def processor_seconds() -> float:
    """Of this process and of those it has waited for."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def contestants() -> dict[str, Extract]:
    runs = {"audiotext": by_us, "lhotse, numpy files": partial(by_lhotse, NumpyFilesWriter)}
    if is_module_available("lilcom"):
        runs["lhotse, lilcom (default)"] = partial(by_lhotse, LilcomChunkyWriter)
    else:
        print("left out: lhotse with its default storage, which needs: pip install lilcom")
    return runs


def compare(runs: dict[str, Extract], manifest: Path, audio: float, rate: int, nj: int) -> None:
    """Print the rows of one rate and one number of processes."""
    found: dict[str, list] = {}
    for name, extract in runs.items():
        try:
            found[name] = [timed(extract, manifest, nj)]  # not counted: caches fill
        except Exception as error:  # a lhotse that cannot resample here fails in many ways
            print(f"{rate:7}{nj:4}  {name} left out: {' '.join(str(error).split())[:150]}")
    for _ in range(ROUNDS):
        for name, results in found.items():
            results.append(timed(runs[name], manifest, nj))
    ours = found["audiotext"]
    for name, results in found.items():
        clock, busy = (statistics.median(run[i] for run in results[1:]) for i in (0, 1))
        faster, cheaper = (x / statistics.median(run[i] for run in ours[1:]) for i, x in enumerate((clock, busy)))
        off = np.abs(results[0][2] - ours[0][2]).mean()
        speeds = f"{audio / clock:12.0f}{audio / busy:12.0f}{faster:9.2f}x{cheaper:9.2f}x"
        print(f"{rate:7}{nj:4}  {name:{WIDTH}}{speeds}{off:10.0e}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--nj", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rates", type=int, nargs="+", default=[16000, 44100])
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{args.clips} clips of {args.seconds:g} s, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python "
        f"{sys.version.split()[0]}, torch {torch.__version__}, lhotse {lhotse.__version__}, soundfile "
        f"{soundfile.__version__}"
    )
    speeds = f"{'x real time':>12}{'per CPU-s':>12}{'ours is':>10}{'in CPU':>10}"
    print(f"{'rate':>7}{'nj':>4}  {'':{WIDTH}}{speeds}{'differs':>10}")
    runs = contestants()
    with tempfile.TemporaryDirectory() as folder:
        for rate in args.rates:
            manifest = make_corpus(Path(folder), args.clips, args.seconds, rate)
            for nj in args.nj:
                compare(runs, manifest, args.clips * args.seconds, rate, nj)


if __name__ == "__main__":
    main()
