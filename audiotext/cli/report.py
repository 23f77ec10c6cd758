"""Merge result files into one report: tables, what they show, protocol notes, and plots.

  audiotext report --results exp/results --exp exp --out exp/results.md --plots exp/plots --features-dir data/features

The tables are printed as well. Scores of different protocols are never put into one column: that is an error that
names the files. Learning curves come from EXP/*/metrics.jsonl; the map of held-out clips from the models in EXP.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
from pathlib import Path

HELP = "one table and a page of plots from result files"
LOG = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=Path("exp/results"), help="result files (%(default)s)")
    parser.add_argument("--exp", type=Path, default=Path("exp"), help="folder of the runs (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("exp/results.md"), help="report to write (%(default)s)")
    parser.add_argument("--plots", type=Path, help="folder for plots; without it none are drawn")
    parser.add_argument("--features-dir", type=Path, help="folder of <manifest>.jsonl, for the map of held-out clips")
    parser.add_argument("--map", default="heldout", metavar="MANIFEST", help="clips of the map (%(default)s)")


def run(args: argparse.Namespace) -> int:
    from audiotext.evaluate.report import build_report, tables_text, write_text
    from audiotext.evaluate.results import read_results

    results = read_results(args.results)
    build_report(results)  # a protocol mismatch ends the run before anything is drawn
    page = draw(args, results) if args.plots else ""
    report = build_report(results, shlex.join(sys.argv), page)
    write_text(args.out, report)
    print(tables_text(report))
    LOG.info("report: %s%s", args.out, f", plots: {args.plots}" if page else "")
    return 0


def draw(args: argparse.Namespace, results: list) -> str:
    """Draw the plots; the path of their page, relative to the report. Empty where there was nothing to draw."""
    from audiotext.evaluate.plots import Material, draw_all, read_curves

    material = Material(results, read_curves(args.exp), maps(args, results))
    if not material.curves:
        LOG.info("no learning curves: no metrics.jsonl below %s", args.exp)
    written = draw_all(material, args.plots)
    return os.path.relpath(written[-1], args.out.parent) if written else ""


def maps(args: argparse.Namespace, results: list) -> dict:
    """Mean frames and domains of the map's clips for every model that is still there."""
    from audiotext.evaluate.context import Context
    from audiotext.evaluate.results import models

    if args.features_dir is None:
        LOG.info("no map of clips: give --features-dir")
        return {}
    found = {}
    for name in models(results):
        folder = args.exp / name / "model"
        if not folder.is_dir():
            LOG.info("no map for %s: %s is not there", name, folder)
            continue
        context = Context(folder, name, args.features_dir, args.results)
        scored = next(r.tree["model_hash"] for r in results if r.model == name)
        if context.model_hash != scored:
            LOG.warning("no map for %s: %s changed since it was scored; evaluate again", name, folder)
            continue
        frames = context.frames(args.map)
        found[name] = (frames.means().numpy(), [clip.domain for clip in frames.clips])
    return found
