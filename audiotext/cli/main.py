"""The command line: one file per verb in this folder, found by name."""

from __future__ import annotations

import argparse
import importlib
import logging
import pkgutil
import sys

import audiotext
from audiotext import cli


def verbs() -> list[str]:
    """Names of the verbs: every module of this folder but this one."""
    return sorted(m.name for m in pkgutil.iter_modules(cli.__path__) if m.name != "main")


def build_parser(verb: str | None = None) -> argparse.ArgumentParser:
    """The parser; only ``verb``'s module is imported in full where one is named, so that start-up stays quick."""
    parser = argparse.ArgumentParser(prog="audiotext", description=audiotext.__doc__)
    parser.add_argument("--version", action="version", version=audiotext.__version__)
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name in verbs() if verb is None else [verb]:
        module = importlib.import_module(f"audiotext.cli.{name}")
        command = subparsers.add_parser(
            name.replace("_", "-"),
            help=module.HELP,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one verb. Exit codes: 0 done, 1 failed, 2 wrong usage."""
    argv = sys.argv[1:] if argv is None else argv
    first = argv[0].replace("-", "_") if argv else None
    args = build_parser(first if first in verbs() else None).parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    try:
        return args.run(args) or 0
    except (ValueError, FileNotFoundError, PermissionError) as error:
        print(f"audiotext {args.verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"audiotext {args.verb}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
