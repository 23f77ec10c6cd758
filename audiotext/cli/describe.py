"""Say what a model hears in any sound files: its caption, the nearest of your labels or texts, its vectors.

  audiotext describe recordings/ --model exp/captioning/model                       captions, where it has a decoder
  audiotext describe a.wav b.mp3 --model exp/contrastive/model --labels dog "door bell"
  audiotext describe recordings/ --model exp/contrastive/model --vectors mine.npz   for audiotext search, or NumPy

A label's number is the cosine of its vector and the recording's, the mean over the templates: it ranks the labels of
one recording, and is no probability. Files that cannot be read are named and left out; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

HELP = "captions, labels and vectors of any sound files"
LOG = logging.getLogger(__name__)
TEMPLATES = ["{}", "the sound of {}"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="sound files, or folders of them")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="model folder")
    parser.add_argument("--labels", nargs="+", default=[], metavar="LABEL", help="words to choose from")
    parser.add_argument("--templates", nargs="+", default=TEMPLATES, metavar="TEXT",
                        help='what a label is put in, at {} (default: "{}" "the sound of {}")')  # fmt: skip
    parser.add_argument("--texts", type=Path, metavar="FILE", help="texts to choose from, one a line, as they are")
    parser.add_argument("--top", type=int, default=3, metavar="N", help="labels and texts to show (default: 3)")
    parser.add_argument("--beam", type=int, default=4, metavar="N", help="caption search; 0: no caption (default: 4)")
    parser.add_argument("--nucleus", type=float, metavar="P",
                        help="draw captions instead, each word from the likeliest that hold P, as 0.9")  # fmt: skip
    parser.add_argument("--longest", type=float, default=30.0, metavar="SECONDS",
                        help="longer files are taken in equal parts (default: 30)")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all of it as JSON lines")
    parser.add_argument("--vectors", type=Path, metavar="FILE.npz", help="write the vectors of the encoder")
    parser.add_argument("--device", default="cpu", help="where the model runs (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    from audiotext.data.corpus import write_lines
    from audiotext.evaluate.sound_files import describe_files, find_sound_files, save_vectors
    from audiotext.hub import load_model
    from audiotext.text.search import Nucleus

    files = find_sound_files(args.files)
    model = load_model(args.model, args.device)
    choices = choose_from(args, model)
    nucleus = Nucleus(args.nucleus) if args.nucleus is not None else None
    beam = 1 if nucleus else args.beam if model.text_decoder is not None else 0
    described = describe_files(model, files, args.longest, beam, nucleus=nucleus)
    rows = []
    for i, part in enumerate(described.parts):
        row = {"path": part.path, "start": round(part.start, 3), "seconds": round(part.seconds, 3)}
        if beam:
            row["caption"] = described.captions[i]
        for name, (texts, vectors) in choices.items():
            row[name] = nearest_texts(described.shared[i] @ vectors.T, texts, args.top)
        rows.append(row)
        print(shown(str(part), row))
    if args.out:
        write_lines(args.out, (json.dumps(row, ensure_ascii=False) for row in rows))
    if args.vectors:
        save_vectors(described, args.vectors, model.content_hash)
    if described.unread:
        LOG.error("%d of %d files could not be read and were left out", len(described.unread), len(files))
    return 1 if described.unread else 0


def choose_from(args: argparse.Namespace, model) -> dict:  # noqa: ANN001
    """Name of a list of texts -> the texts and their unit vectors (C, E). Raises ConfigError, FileNotFoundError."""
    from audiotext.config import ConfigError
    from audiotext.evaluate.sound_files import own_space

    texts = read_texts(args.texts) if args.texts else []
    if bad := [template for template in args.templates if "{}" not in template]:
        raise ConfigError(f"--templates {bad[0]!r}: needs {{}} where the label goes")
    if args.top < 1 or args.beam < 0 or args.longest <= 0:
        raise ConfigError("--top is 1 or more, --beam 0 or more, --longest above 0")
    if not (args.labels or texts):
        if model.text_decoder is None and not args.vectors:
            raise ConfigError(f"{args.model}: writes no captions; give --labels, --texts or --vectors")
        return {}
    space, choices = own_space(model), {}
    if args.labels:
        choices["labels"] = (args.labels, space.prompts([[label] for label in args.labels], args.templates))
    if texts:
        choices["texts"] = (texts, space.text(texts))
    return choices


def read_texts(path: Path) -> list[str]:
    """The lines of a file, each once. Raises DataError naming file and line of one that cannot be read."""
    from audiotext.data.corpus import DataError
    from audiotext.data.lines import read_lines

    texts: dict[str, None] = {}
    for line in read_lines(path):
        if line.fault:
            raise DataError(f"{path}:{line.number}: {line.fault}")
        texts[line.text.strip()] = None
    if not texts:
        raise DataError(f"{path}: holds no text")
    return list(texts)


def nearest_texts(scores, texts: list[str], count: int) -> list[dict]:  # noqa: ANN001
    """The ``count`` texts of the highest scores (C,), best first."""
    best = scores.topk(min(count, len(texts)))
    pairs = zip(best.values.tolist(), best.indices.tolist(), strict=True)
    return [{"text": texts[i], "cosine": round(value, 4)} for value, i in pairs]


def shown(name: str, row: dict) -> str:
    """A row as people read it."""
    lines = [name]
    if "caption" in row:
        lines.append(f"  {row['caption']}")
    for kind in ("labels", "texts"):
        if kind in row:
            lines.append("  " + ", ".join(f"{found['text']} {found['cosine']:.2f}" for found in row[kind]))
    return "\n".join(lines)
