"""Clean captions, merge duplicates, keep test clips out of pretraining, hold out families, train the tokenizer.

Writes OUT/{pretrain,valid,heldout,probe}.jsonl, removed.jsonl (what, in which step, why), report.md (how much each rule
mended or removed, with twenty random examples), leaks.tsv (clips that are in an evaluation set, and what says so),
statistics.md, statistics.json and tokenizer/; with --nested also pretrain-SIZE.jsonl, each within the next larger, with
its share of every source, the same on every machine.

Works in pieces, so that ten million clips need no more memory than it takes to hold some numbers of each. What is done
lies in OUT/work until all is: the same command goes on where a killed one was.
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
    add("--evaluation", nargs="+", default=[], metavar="FILE",
        help="tables (key, set, item) of evaluation clips, which must not train")  # fmt: skip
    add("--audio-matches", default="", metavar="FILE",
        help="table of clips that sound like evaluation clips, which must not train either")  # fmt: skip
    add("--audio-duplicates", default="", metavar="FILE",
        help="table of clips that share audio, which then stay on one side of every split")  # fmt: skip
    add("--licences", default="", metavar="NAMES",
        help='that training clips may have, such as "CC0 CC-BY", in all versions (default: any)')  # fmt: skip
    add("--nj", type=int, default=1, metavar="N", help="processes (default: 1)")
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
        evaluation=tuple(map(str, args.evaluation)),
        audio_matches=str(args.audio_matches),
        audio_duplicates=str(args.audio_duplicates),
        licences=args.licences,
    )
    print(run(args.manifests, args.out, config, args.nj))
    return 0
