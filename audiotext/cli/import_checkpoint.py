"""Make a model folder from a Zipformer that icefall or Auden trained.

Takes a checkpoint of icefall (speech recognition, audio tagging; its running average where it has one), an Auden model
folder, or any state dict with icefall's names. Says what was matched and dropped; a tensor that is missing or has
another shape is an error. The folder can be evaluated, or start a pretraining: audiotext pretrain --init FOLDER.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from audiotext.head.classifier import ClassifierConfig
from audiotext.hub import count_parameters, save_model
from audiotext.interop.checkpoint import STATES, ForeignCheckpointError, find_weights, read_tensors
from audiotext.interop.classifier import find_classifier, read_labels
from audiotext.interop.zipformer import FoundEncoder, find_encoder, infer_config
from audiotext.model import AudioTextModel, ModelConfig

HELP = "make a model folder from an icefall or Auden Zipformer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    # fmt: off
    add("--checkpoint", required=True, type=Path, help="a .pt or .safetensors file, or a model folder")
    add("--out", required=True, type=Path, help="model folder to write")
    add("--state", choices=STATES, help="which weights of the checkpoint (default: the first there is)")
    add("--part", metavar="PREFIX", help="where its names begin, if the model has several Zipformers")
    add("--query-dim", type=int, default=32, help="width of a head's queries (default 32)")
    add("--chunk-size", type=int, nargs="+", default=[-1], metavar="N",
        help="of a causal Zipformer, in front frames (20 ms); evaluation takes the first (default -1, the whole clip)")
    add("--left-context-frames", type=int, nargs="+", default=[-1], metavar="N",
        help="of a causal Zipformer: what it sees before the chunk (default -1, everything)")
    add("--classifier", choices=("keep", "drop"), default="drop", help="of an audio tagger (default drop)")
    add("--labels", type=Path, metavar="FILE",
        help="names of the classifier's classes, one a line (default: Auden's id2label.json, else numbers)")
    # fmt: on


def run(args: argparse.Namespace) -> int:
    weights = find_weights(args.checkpoint)
    try:
        tensors, state = read_tensors(weights, args.state)
        found = find_encoder(tensors, args.part)
        model, kept = _model(args, weights, tensors, found)
        _load(model, found)
    except ForeignCheckpointError as error:
        named = str(weights) in str(error)
        raise ForeignCheckpointError(str(error) if named else f"{weights}: {error}") from None
    digest = save_model(model.eval(), args.out)
    source = " ".join(filter(None, (str(weights), state, found.prefix and f"below {found.prefix}")))
    dropped = Counter(name.removeprefix("module.").split(".")[0] for name in found.dropped)
    if kept:
        dropped -= Counter(classifier=kept)
    print(f"{source}: {len(found.state) + kept} tensors matched, {dropped.total()} dropped, 0 missing")
    for part, count in sorted(dropped.items()):
        print(f"dropped: {part}, {count} tensors")
    if model.config.encoder.causal:
        chunks, left = model.config.encoder.chunk_size, model.config.encoder.left_context_frames
        print(f"causal: chunk_size {list(chunks)}, left_context_frames {list(left)}; the weights do not tell them")
    print(f"{args.out}: {count_parameters(model)} parameters, hash {digest}")
    return 0


def _model(args: argparse.Namespace, weights: Path, tensors: dict, found: FoundEncoder) -> tuple[AudioTextModel, int]:
    """The model to fill, its classifier filled, and how many tensors that took."""
    chunks = tuple(args.chunk_size), tuple(args.left_context_frames)
    config = ModelConfig(encoder=infer_config(found.state, args.query_dim, *chunks)).pruned(())
    if args.classifier == "drop":
        return config.build(), 0
    head = find_classifier({name: tensors[name] for name in found.dropped}, max(config.encoder.dims))
    config.classifier = ClassifierConfig(read_labels(args.labels, weights, len(head["bias"])))
    model = config.build()
    model.classifier.linear.load_state_dict(head)
    return model, len(head)


def _load(model: AudioTextModel, found: FoundEncoder) -> None:
    """Fill the encoder. Raises ForeignCheckpointError naming tensors that do not fit."""
    own = model.encoder.state_dict()
    missing, unknown = own.keys() - found.state.keys(), found.state.keys() - own.keys()
    odd = {k for k in own.keys() & found.state.keys() if own[k].shape != found.state[k].shape}
    for what, names in (("missing", missing), ("unknown", unknown), ("of another shape", odd)):
        if names:
            raise ForeignCheckpointError(f"{len(names)} tensors {what}: {', '.join(sorted(names)[:8])}")
    model.encoder.load_state_dict(found.state)
