"""How fast a Zipformer trains and infers, and which of its modules take the time.

Prints audio-seconds per second of the clock and of processor time, medians of five runs in which training and inference
take turns; then each kind of module's share of the time, from further runs with a clock in every module. A module's
share leaves out the modules inside it. The reference implementation (icefall, with k2) measured 5.3 training and 16.8
inference for Zipformer-M on two quiet cores.

    python tools/bench/encoder_shares.py [--model conf/model/zipformer_m.yaml] [--threads 2] [--batch 4] [--seconds 10]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from audiotext.config import load
from audiotext.encoder.base import Encoder
from audiotext.encoder.front.base import Front
from audiotext.encoder.zipformer.attention import AttentionWeights, NonlinAttention, SelfAttention
from audiotext.encoder.zipformer.balance import Balancer, Whiten
from audiotext.encoder.zipformer.convolution import ConvolutionModule
from audiotext.encoder.zipformer.layer import Bypass, FeedForward
from audiotext.encoder.zipformer.norm import BiasNorm
from audiotext.model import ModelConfig
from audiotext.types import Padded

MODEL = Path(__file__).resolve().parents[2] / "conf/model/zipformer_m.yaml"
FRAMES_PER_SECOND, BANDS, STEP = 100, 80, 20_000
KINDS = {
    "front": Front,
    "attention weights": AttentionWeights,
    "self-attention": SelfAttention,
    "non-linear attention": NonlinAttention,
    "feed-forward": FeedForward,
    "convolution": ConvolutionModule,
    "norm and bypass": (BiasNorm, Bypass),
    "balancer and whiten": (Balancer, Whiten),
}
REST = "everything else"


class Shares:
    """Seconds spent in each kind of module, forward and backward, by hooks that stop and start one clock."""

    def __init__(self, model: nn.Module):
        self.seconds: dict[str, float] = defaultdict(float)
        self.inside: list[str] = [REST]
        self.last = time.perf_counter()
        self.hooks = []
        for module in model.modules():
            kind = next((name for name, classes in KINDS.items() if isinstance(module, classes)), None)
            if kind:
                enter, leave = self._enter(kind), self._leave(kind)
                self.hooks += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
                if isinstance(
                    module, Front
                ):  # returns no tensor, which hooks of modules need; its backward is the last
                    self.hooks.append(
                        module.register_forward_hook(lambda *a, enter=enter: self._on_gradient(a[2], enter))
                    )
                else:
                    backward = module.register_full_backward_pre_hook(enter), module.register_full_backward_hook(leave)
                    self.hooks += backward

    @staticmethod
    def _on_gradient(output: Padded, enter: Callable) -> None:
        if output.data.requires_grad:
            output.data.register_hook(lambda gradient: enter())

    def _charge(self) -> None:
        now = time.perf_counter()
        self.seconds[self.inside[-1]] += now - self.last
        self.last = now

    def _enter(self, kind: str) -> Callable:
        def hook(*_: object) -> None:
            self._charge()
            self.inside.append(kind)

        return hook

    def _leave(self, kind: str) -> Callable:
        def hook(*_: object) -> None:
            self._charge()
            if kind in self.inside:
                del self.inside[len(self.inside) - 1 - self.inside[::-1].index(kind) :]

        return hook

    def start(self) -> None:
        self.inside, self.last = [REST], time.perf_counter()

    def stop(self) -> None:
        self._charge()


def train(encoder: Encoder, feats: Padded) -> None:
    encoder.train()
    encoder(feats).frames.square().mean().backward()
    encoder.zero_grad()


def infer(encoder: Encoder, feats: Padded) -> None:
    encoder.eval()
    with torch.inference_mode():
        encoder(feats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    encoder = load(ModelConfig, args.model).encoder.build(BANDS)
    encoder.set_step(STEP)  # past every warm-up
    frames, audio = int(args.seconds * FRAMES_PER_SECOND), args.batch * args.seconds
    feats = Padded(torch.randn(args.batch, frames, BANDS) * 4 - 8, torch.full((args.batch,), frames))
    print(
        f"{args.model.stem}, batch {args.batch} x {args.seconds:g} s, {args.threads} threads, torch {torch.__version__}"
    )
    modes = {"training": train, "inference": infer}
    clock, processor = defaultdict(list), defaultdict(list)
    for run in range(args.runs + 1):
        for name, step in modes.items():
            start, busy = time.perf_counter(), time.process_time()
            step(encoder, feats)
            if run:
                clock[name].append(time.perf_counter() - start)
                processor[name].append(time.process_time() - busy)
    print(f"{'':22} {'audio-s/s':>10} {'per CPU-s':>10}")
    for name in modes:
        speeds = audio / statistics.median(clock[name]), audio / statistics.median(processor[name])
        print(f"{name:22} {speeds[0]:10.1f} {speeds[1]:10.1f}")
    print(f"{'share of the time':22} {'training':>10} {'inference':>10}")
    shares = {name: measure(encoder, feats, step, args.runs) for name, step in modes.items()}
    for kind in (*KINDS, REST):
        print(f"{kind:22} " + " ".join(f"{shares[name][kind]:10.1%}" for name in modes))


def measure(encoder: Encoder, feats: Padded, step: Callable, runs: int) -> dict[str, float]:
    """Kind of module -> its share of ``runs`` steps."""
    shares = Shares(encoder)
    for _ in range(runs):
        shares.start()
        step(encoder, feats)
        shares.stop()
    for hook in shares.hooks:
        hook.remove()
    total = sum(shares.seconds.values())
    return {kind: shares.seconds[kind] / total for kind in (*KINDS, REST)}


if __name__ == "__main__":
    main()
