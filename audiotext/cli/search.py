"""Find the sound files that a text describes: the nearest first, by the cosine in the space of audio and text.

  audiotext search recordings/ --model exp/contrastive/model --text "a dog barks" "rain"
  audiotext search mine.npz --model exp/contrastive/model --text "a dog barks"

mine.npz is what `audiotext describe --vectors mine.npz` wrote with the same model: then nothing is listened to again.
Files that cannot be read are named and left out; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

HELP = "find sound files by text"
LOG = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="sound files, folders of them, or one .npz")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="model folder with a text encoder")
    parser.add_argument("--text", nargs="+", required=True, metavar="TEXT", help="what to look for")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="files to show for each text (default: 10)")
    parser.add_argument("--longest", type=float, default=30.0, metavar="SECONDS",
                        help="longer files are searched in equal parts (default: 30)")  # fmt: skip
    parser.add_argument("--device", default="cpu", help="where the model runs (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    from audiotext.config import ConfigError
    from audiotext.evaluate.sound_files import describe_files, find_sound_files, own_space, read_vectors
    from audiotext.hub import load_model

    if args.top < 1 or args.longest <= 0:
        raise ConfigError("--top is 1 or more, --longest above 0")
    model = load_model(args.model, args.device)
    space, unread = own_space(model), []
    if [path.suffix for path in args.files] == [".npz"]:
        parts, vectors = read_vectors(args.files[0], model.content_hash)
    else:
        files = find_sound_files(args.files)
        described = describe_files(model, files, args.longest)
        parts, vectors, unread = described.parts, described.shared, described.unread
    for text, scores in zip(args.text, space.text(args.text) @ vectors.T, strict=True):
        best = scores.topk(min(args.top, len(parts)))
        print(text)
        for value, i in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            print(f"  {value:5.2f}  {parts[i]}")
    if unread:
        LOG.error("%d of %d files could not be read and were left out", len(unread), len(files))
    return 1 if unread else 0
