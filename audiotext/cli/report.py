"""Merge result files into one report: tables, what they show, protocol notes, and plots.

  audiotext report --results exp/results --exp exp --out exp/results.md --plots exp/plots --features-dir data/features

The tables are printed as well. The best and second best of each column are marked where a paired bootstrap tells them
from the others. --out takes several files: .md the whole report, .csv every number with its interval, .tex the tables.
Scores of different protocols are not put into one column: that is an error that names the files. Learning curves come
from EXP/*/metrics.jsonl; the map of held-out clips from the models in EXP.
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
    parser.add_argument(
        "--results", nargs="+", default=["exp/results"], metavar="[LABEL=]DIR",
        help="folders of result files; LABEL goes before the names of their models (exp/results)",
    )  # fmt: skip
    parser.add_argument("--exp", type=Path, default=Path("exp"), help="folder of the runs (%(default)s)")
    parser.add_argument(
        "--out", type=Path, nargs="+", default=[Path("exp/results.md")], metavar="FILE",
        help="what to write: .md, .csv, .tex (exp/results.md)",
    )  # fmt: skip
    parser.add_argument("--intervals", action="store_true", help="show intervals, not deviations over seeds")
    parser.add_argument(
        "--mix-protocols", action="store_true", help="put them into one column all the same, and say so"
    )
    parser.add_argument("--plots", type=Path, help="folder for plots; without it none are drawn")
    parser.add_argument("--features-dir", type=Path, help="folder of <manifest>.jsonl, for the map of held-out clips")
    parser.add_argument("--map", default="heldout", metavar="MANIFEST", help="clips of the map (%(default)s)")


def run(args: argparse.Namespace) -> int:
    from audiotext.evaluate.render import csv_text, latex_text, terminal_text
    from audiotext.evaluate.report import build_report, tables, tables_text, write_text
    from audiotext.evaluate.results import ReportError, read_runs

    strange = [path for path in args.out if path.suffix not in (".md", ".csv", ".tex")]
    if strange:
        raise ReportError(f"--out {strange[0]}: a report ends in .md, .csv or .tex")
    results = read_runs(args.results)
    build_report(results, mix=args.mix_protocols)  # a protocol mismatch ends the run before anything is drawn
    page = draw(args, results) if args.plots else ""
    report = build_report(results, shlex.join(sys.argv), page, args.mix_protocols, args.intervals)
    for path in args.out:
        if path.suffix == ".md":
            write_text(path, report)
        else:
            write_text(path, (csv_text if path.suffix == ".csv" else latex_text)(tables(results, args.intervals)))
    shown = tables_text(report)
    print(terminal_text(shown) if sys.stdout.isatty() else shown)
    LOG.info("report: %s%s", ", ".join(map(str, args.out)), f", plots: {args.plots}" if page else "")
    return 0


def draw(args: argparse.Namespace, results: list) -> str:
    """Draw the plots; the path of their page, relative to the report. Empty where there was nothing to draw."""
    from audiotext.evaluate.plot_material import Material
    from audiotext.evaluate.plots import draw_all, read_curves

    material = Material(results, read_curves(args.exp), maps(args, results))
    if not material.curves:
        LOG.info("no learning curves: no metrics.jsonl below %s", args.exp)
    written = draw_all(material, args.plots)
    page = next((path for path in args.out if path.suffix == ".md"), args.out[0])
    return os.path.relpath(written[-1], page.parent) if written else ""


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
        first = next(r for r in results if r.model == name)
        context = Context(folder, name, args.features_dir, first.path.parent.parent)
        if context.model_hash != first.tree["model_hash"]:
            LOG.warning("no map for %s: %s changed since it was scored; evaluate again", name, folder)
            continue
        frames = context.frames(args.map)
        found[name] = (frames.means().numpy(), [clip.domain for clip in frames.clips])
    return found
