"""Make a model folder from an audio model of Hugging Face: from a folder of it, or by its name on the hub.

The folder can be evaluated beside any other, or start a pretraining (audiotext pretrain --init FOLDER). It needs
transformers (pip install "audiotext[hf]"), but the hub no more. Says how many tensors were dropped (decoder, text
tower, classifier); one that is missing is an error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "make a model folder from an audio model of Hugging Face"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="a folder, or a name such as facebook/hubert-base-ls960")
    parser.add_argument("--out", required=True, type=Path, help="model folder to write")


def run(args: argparse.Namespace) -> int:
    from audiotext.hub import count_parameters, save_model
    from audiotext.interop.huggingface import find_model

    found = find_model(args.model)
    model = found.config.build()
    model.encoder.load_state_dict(found.state)
    digest = save_model(model.eval(), args.out)
    print(f"{args.model}: {len(found.state)} tensors matched, {len(found.dropped)} dropped")
    print(f"{args.out}: {count_parameters(model)} parameters, hash {digest}")
    return 0
