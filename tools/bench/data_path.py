"""Does the loader keep up with the model? What a batch costs to read, decode, perturb, filter and collate, per step.

Trains conf/model/tiny.yaml as conf/pretrain/contrastive.yaml does (no cache), from stored features, from audio, and
from audio with speed perturbation and noise. Prints medians of at least five batches: each part of making a batch, in
one process; the whole of it by one worker process that nothing waits for; a training step; how many batches a worker
makes in the time of a step (below 1 the model starves); and the share of time that training with that worker waits.

    python tools/bench/data_path.py [--threads 1] [--workers 1] [--rate 16000] [--steps 10]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch

from audiotext.config import from_tree, load_tree, merge
from audiotext.data.audio import read_cut
from audiotext.data.corpus import Clip, Decoded
from audiotext.data.dataset import AudioTextDataset, collate
from audiotext.data.features import extract_features
from audiotext.data.loader import make_loader
from audiotext.data.manifest import clip_to_cut, write_manifest
from audiotext.data.perturb import DRAWS
from audiotext.frontend.fbank import FbankConfig
from audiotext.text.tokenizer import Tokenizer
from audiotext.train.build import build_trainer
from audiotext.train.config import PretrainConfig
from audiotext.types import Padded

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 5.0
PERTURB = {"speeds": ["0.9", "1.0", "1.1"], "noise_probability": "1.0"}
VARIANTS = {
    "stored features": ("feats", {}),
    "audio": ("plain", {}),
    "audio, speed, noise": ("plain", PERTURB),
}
PARTS = ("parse", "read", "perturb", "fbank", "collate")


def make_corpus(folder: Path, name: str, clips: int, seconds: float, rate: int) -> None:
    """NAME.jsonl: noise in 16-bit wav files."""
    rng, cuts = np.random.default_rng(0), []
    for i in range(clips):
        path, samples = folder / f"{name}{i}.wav", int(seconds * rate)
        soundfile.write(path, 0.1 * rng.standard_normal(samples), rate)
        captions = [f"caption {k} of clip {i}" for k in range(3)]
        clip = Clip(f"{name}{i}", path, captions, ["human"] * 3, "sound", "bench", "CC0-1.0")
        cuts.append(clip_to_cut(clip, Decoded("", rate, samples, 1, 0, samples / rate)))
    write_manifest(cuts, folder / f"{name}.jsonl")


def config_of(folder: Path, manifest: str, perturb: dict, args: argparse.Namespace) -> PretrainConfig:
    data = {"train": str(folder / f"{manifest}.jsonl"), "cache": "false", "workers": str(args.workers)}
    if perturb:
        data["perturb"] = perturb | {"noise": str(folder / "noise.jsonl")}
    trees = [load_tree(ROOT / "conf/pretrain/contrastive.yaml"), {"model": load_tree(ROOT / "conf/model/tiny.yaml")}]
    overrides = ["data.sampler.max_duration=50", f"train.threads={args.threads}"]
    return from_tree(PretrainConfig, merge(*trees, {"data": data}, overrides=overrides))


def median_ms(work: Callable[[], object], runs: int) -> float:
    """Milliseconds; the first run is not counted."""
    times = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times[1:])


def parts_of(dataset: AudioTextDataset, batch: list[int], runs: int) -> list[float]:
    """Milliseconds of each of PARTS for one batch."""
    cuts, rate, perturb = [dataset.index.cut(i) for i in batch], 16000, dataset.perturb
    examples = [dataset[(0, i)] for i in batch]
    parse = median_ms(lambda: [dataset.index.cut(i) for i in batch], runs)
    joined = median_ms(lambda: collate(examples), runs)
    if dataset.index.feature_dim is not None:
        return [parse, median_ms(lambda: [dataset[(0, i)] for i in batch], runs) - parse, 0, 0, joined]
    plain = [read_cut(cut, rate) for cut in cuts]
    read = median_ms(lambda: [read_cut(cut, rate) for cut in cuts], runs)
    fbank = median_ms(lambda: [dataset.frontend(Padded(w[None], torch.tensor([len(w)]))) for w in plain], runs)
    if perturb is None:
        return [parse, read, 0, fbank, joined]
    draws = np.random.default_rng(0).random((len(cuts), DRAWS)).tolist()

    def perturbed() -> None:
        for cut, draw in zip(cuts, draws, strict=True):
            change = perturb(draw)
            change.read(cut, rate, 0.0, cut.duration / change.speed)

    return [parse, read, median_ms(perturbed, runs) - read, fbank, joined]


def measure(name: str, folder: Path, args: argparse.Namespace) -> None:
    """Print the row of one variant."""
    config = config_of(folder, *VARIANTS[name], args)
    trainer = build_trainer(config, Tokenizer(folder / "tokenizer"))
    loader = trainer.stream.loader
    torch.set_num_threads(1)  # as in a worker
    parts = parts_of(loader.dataset, loader.sampler.batches(0)[0], args.steps)
    torch.set_num_threads(args.threads)
    alone = iter(make_loader(loader.dataset, replace(config.data.sampler), args.workers, seed=1))
    worker = median_ms(lambda: next(alone), args.steps)
    waits, steps = [], []
    for _ in range(args.steps + 2):
        started = time.perf_counter()
        batch = next(trainer.stream)
        fetched = time.perf_counter()
        trainer.step([batch])
        waits.append(1000 * (fetched - started))
        steps.append(1000 * (time.perf_counter() - fetched))
    step, waiting = statistics.median(steps[2:]), sum(waits[2:]) / sum(waits[2:] + steps[2:])
    cells = "".join(f"{ms:9.1f}" for ms in [*parts, sum(parts), worker, step])
    print(f"{name:20}{cells}{step / worker:9.1f}x{100 * waiting:9.1f}%", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="threads of the model (1)")
    parser.add_argument("--workers", type=int, default=1, help="processes that read (1)")
    parser.add_argument("--rate", type=int, default=16000, help="of the recordings")
    parser.add_argument("--steps", type=int, default=10, help="batches that count; at least 5")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    clips = 10 * (2 * args.steps + 10)
    print(
        f"batches of 10 clips of {SECONDS:g} s at {args.rate} Hz, {args.workers} worker(s), model on {args.threads} "
        f"thread(s), {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}, torch "
        f"{torch.__version__}; milliseconds a batch"
    )
    names = "".join(f"{name:>9}" for name in (*PARTS, "sum", "worker", "step"))
    print(f"{'':20}{names}{'ahead':>10}{'waits':>10}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_corpus(folder, "plain", clips, SECONDS, args.rate)
        make_corpus(folder, "noise", 20, 30.0, 16000)
        extract_features(folder / "plain.jsonl", folder / "feats.jsonl", FbankConfig())
        Tokenizer.train([f"caption 0 of clip {i}" for i in range(clips)], 60, folder / "tokenizer", 0)
        for variant in VARIANTS:
            measure(variant, folder, args)


if __name__ == "__main__":
    main()
