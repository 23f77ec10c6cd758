"""Clean captions, merge duplicates, keep test clips out of pretraining, hold out families, train the tokenizer.

Writes OUT/{pretrain,valid,heldout,probe}.jsonl, removed.jsonl (what, in which step, why), report.md (how much each rule
mended or removed, with twenty random examples), statistics.md, statistics.json and tokenizer/; with --nested also
pretrain-SIZE.jsonl, each within the next larger, with its share of every source, the same on every machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "turn prepared manifests into training and test subsets"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--manifests", nargs="+", type=Path, required=True, metavar="DIR",
        help="manifests, folders that hold cuts.jsonl, or a folder of such folders")  # fmt: skip
    add("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    add("--vocab-size", type=int, default=1000, metavar="N", help="tokenizer pieces (default: 1000)")
    add("--heldout", type=int, default=330, metavar="N", help="clips to test on (default: 330)")
    add("--valid", type=int, default=150, metavar="N", help="clips to validate on (default: 150)")
    add("--seed", type=int, default=0, metavar="N", help="draws another split (default: 0)")
    add("--nested", nargs="+", default=[], metavar="SIZE",
        help="subsets of the clips to pretrain on, such as 400k 1m 25%% 0.5")  # fmt: skip
    add("--probe-labels", nargs="+", metavar="NAME",
        help="label names that belong to probes (default: those of the mini corpus)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from audiotext.curate.entry import PROBE_LABELS
    from audiotext.curate.pipeline import CurateConfig, run
    from audiotext.curate.subsets import SubsetConfig

    config = CurateConfig(
        vocab_size=args.vocab_size,
        seed=args.seed,
        probe_labels=tuple(args.probe_labels or PROBE_LABELS),
        subsets=SubsetConfig(heldout=args.heldout, valid=args.valid),
        nested=tuple(args.nested),
    )
    print(run(args.manifests, args.out, config))
    return 0
