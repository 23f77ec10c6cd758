"""Make a model folder from a Zipformer that icefall or Auden trained.

Takes a checkpoint of icefall (speech recognition, audio tagging; its running average where it has one), an Auden model
folder, or any state dict with icefall's names. Says what was matched and dropped; a tensor that is missing or has
another shape is an error. The folder can be evaluated, or start a pretraining: audiotext pretrain --init FOLDER.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from audiotext.hub import count_parameters, save_model
from audiotext.interop.checkpoint import STATES, ForeignCheckpointError, find_weights, read_tensors
from audiotext.interop.zipformer import find_encoder, infer_config
from audiotext.model import ModelConfig

HELP = "make a model folder from an icefall or Auden Zipformer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", required=True, type=Path, help="a .pt or .safetensors file, or a model folder")
    parser.add_argument("--out", required=True, type=Path, help="model folder to write")
    parser.add_argument("--state", choices=STATES, help="which weights of the checkpoint (default: the first there is)")
    parser.add_argument("--part", metavar="PREFIX", help="where its names begin, if the model has several Zipformers")
    parser.add_argument("--query-dim", type=int, default=32, help="width of a head's queries (default 32)")


def run(args: argparse.Namespace) -> int:
    weights = find_weights(args.checkpoint)
    try:
        tensors, state = read_tensors(weights, args.state)
        found = find_encoder(tensors, args.part)
        model = ModelConfig(encoder=infer_config(found.state, args.query_dim)).pruned(()).build()
    except ForeignCheckpointError as error:
        named = str(weights) in str(error)
        raise ForeignCheckpointError(str(error) if named else f"{weights}: {error}") from None
    own = model.encoder.state_dict()
    missing, unknown = own.keys() - found.state.keys(), found.state.keys() - own.keys()
    odd = {k for k in own.keys() & found.state.keys() if own[k].shape != found.state[k].shape}
    for what, names in (("missing", missing), ("unknown", unknown), ("of another shape", odd)):
        if names:
            raise ForeignCheckpointError(f"{weights}: {len(names)} tensors {what}: {', '.join(sorted(names)[:8])}")
    model.encoder.load_state_dict(found.state)
    digest = save_model(model.eval(), args.out)
    source = " ".join(filter(None, (str(weights), state, found.prefix and f"below {found.prefix}")))
    print(f"{source}: {len(own)} tensors matched, {len(found.dropped)} dropped, 0 missing")
    for part, count in sorted(Counter(name.removeprefix("module.").split(".")[0] for name in found.dropped).items()):
        print(f"dropped: {part}, {count} tensors")
    print(f"{args.out}: {count_parameters(model)} parameters, hash {digest}")
    return 0
