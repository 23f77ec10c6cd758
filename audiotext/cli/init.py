"""Make a model folder with random weights: the baseline that every pretrained encoder must beat.

With a configuration whose encoder learns nothing (conf/model/floor.yaml) it makes the log-mel statistics floor. A
foreign encoder with pretrained: true fills itself with its own weights, and the folder then holds them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from audiotext.config import from_tree, load_tree, merge
from audiotext.hub import count_parameters, save_model
from audiotext.model import ModelConfig

HELP = "make a model folder with random weights, or with those of a foreign class"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, type=Path, help="model configuration, such as conf/model/tiny.yaml")
    parser.add_argument("--out", required=True, type=Path, help="model folder to write")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random weights (default 0)")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="change fields of the configuration")


def run(args: argparse.Namespace) -> int:
    config = from_tree(ModelConfig, merge(load_tree(args.model), overrides=args.set), str(args.model))
    pretrained = getattr(config.encoder, "pretrained", False)  # building turns it off
    torch.manual_seed(args.seed)
    model = config.pruned(()).build()
    digest = save_model(model, args.out)
    weights = f"weights of {config.encoder.model}" if pretrained else f"random weights, seed {args.seed}"
    print(f"{args.out}: {weights}, {count_parameters(model)} parameters, hash {digest}")
    return 0
