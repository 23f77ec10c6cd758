"""Extract features of every clip of a manifest into shards, in parallel.

Clips that cannot be decoded are listed with the reason in OUT.rejected.jsonl. Killed or repeated, the command makes
only what is missing for the same manifest and the same frontend.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiotext.config import from_tree, load_tree, merge, part
from audiotext.frontend.base import FRONTENDS

HELP = "extract filterbanks of a manifest into shards"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--manifest", type=Path, required=True, metavar="CUTS.jsonl", help="clips to read")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT.jsonl", help="the same clips with features")
    config = parser.add_mutually_exclusive_group()
    config.add_argument("--model-config", type=Path, metavar="YAML", help="take the frontend of this model")
    config.add_argument("--frontend", type=Path, metavar="YAML", help="take this frontend (default: fbank, 80 bins)")
    parser.add_argument("--nj", type=int, default=1, metavar="N", help="worker processes, one thread each (1)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change an option of the frontend; repeatable"
    )


def run(args: argparse.Namespace) -> None:
    from audiotext.data.features import extract_features

    frontend = read_frontend(args.model_config, args.frontend, args.set)
    print(f"{args.out}: {extract_features(args.manifest, args.out, frontend, args.nj)}")


@dataclass
class _Holder:
    frontend: Any = part(FRONTENDS, "fbank")


def read_frontend(model: Path | None, frontend: Path | None, overrides: list[str]) -> Any:
    """The frontend's config: of a model's YAML, of its own YAML, or the default one. Raises ConfigError."""
    from audiotext import frontend as _  # noqa: F401  registers the members

    tree: Any = {}
    if model is not None:
        tree = load_tree(model).get("frontend", {})
    elif frontend is not None:
        tree = load_tree(frontend)
    tree = {"name": tree} if isinstance(tree, str) else tree
    tree = merge({"name": "fbank"}, tree, overrides=overrides)
    return from_tree(_Holder, {"frontend": tree}).frontend
