"""Make a model folder from one checkpoint of a run, or from the mean of several.

A run keeps its newest checkpoints and the best by validation loss in OUT/checkpoints:

  audiotext average --checkpoints exp/contrastive/checkpoints/best.pt --tokenizer data/curated/tokenizer --out exp/best
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audiotext.hub import save_model
from audiotext.text.tokenizer import Tokenizer
from audiotext.train.combine import combine

HELP = "make a model folder from checkpoints of a run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoints", required=True, nargs="+", type=Path, help="checkpoints of one run")
    parser.add_argument("--tokenizer", type=Path, help="folder of the tokenizer that the run used")
    parser.add_argument("--out", required=True, type=Path, help="model folder to write")
    parser.add_argument(
        "--weights",
        choices=("average", "model"),
        default="average",
        help="each checkpoint's running average (default), or its weights as the optimizer left them",
    )


def run(args: argparse.Namespace) -> int:
    tokenizer = Tokenizer(args.tokenizer) if args.tokenizer else None
    model, steps = combine(args.checkpoints, tokenizer, args.weights)
    digest = save_model(model, args.out)
    print(f"{args.out}: {args.weights} of step {', '.join(map(str, steps))}, hash {digest}")
    return 0
