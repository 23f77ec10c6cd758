"""What clips are labelled with, as a task reads it: one class each, or several."""

from __future__ import annotations

import torch
from torch import Tensor

from audiotext.evaluate.context import Context
from audiotext.evaluate.frames import EvalClip
from audiotext.evaluate.protocol import ProtocolError


def carrying(context: Context, manifest: str, label: str, none: tuple = (None,)) -> list[EvalClip]:
    """The clips of a manifest whose label is not one of ``none``. Raises ProtocolError naming the labels there are."""
    every = context.clips(manifest)
    clips = [clip for clip in every if clip.labels.get(label) not in none]
    if not clips:
        known = ", ".join(sorted({key for clip in every for key in clip.labels})) or "none"
        raise ProtocolError(f"{context.manifest_path(manifest)}: no clip has the label {label!r}; labels: {known}")
    return clips


def labelled(context: Context, manifest: str, label: str, several: bool = False) -> list[EvalClip]:
    """The clips of a manifest that carry a label, or with ``several`` a list of them.

    Raises ProtocolError naming the labels there are, or a clip whose label is of the other kind.
    """
    none = (None, "") if several else (None, "", [])  # a clip of no class is an example of every other's absence
    clips = carrying(context, manifest, label, none)
    kinds, wanted = ((list, tuple), "a list of classes") if several else ((str, int), "one class per clip")
    wrong = next((clip for clip in clips if not isinstance(clip.labels[label], kinds)), None)
    if wrong is not None:
        hint = "" if several else "; set several: true where clips have lists"
        raise ProtocolError(f"{wrong.id}: label {label!r} is {wrong.labels[label]!r}; this probe wants {wanted}{hint}")
    return clips


def numbers(clips: list[EvalClip], label: str, classes: list[str]) -> Tensor:
    """Class numbers (N,). Raises ProtocolError for a class that training has not seen."""
    _check_known(clips, label, classes)
    index = {name: i for i, name in enumerate(classes)}
    return torch.tensor([index[str(clip.labels[label])] for clip in clips])


def _check_known(clips: list[EvalClip], label: str, classes: list[str]) -> None:
    known = set(classes)
    odd = [(clip.id, name) for clip in clips for name in names_of(clip, label) if name not in known]
    if odd:
        names = ", ".join(sorted({repr(name) for _, name in odd})[:10])
        number = len({id_ for id_, _ in odd})
        raise ProtocolError(
            f"{number} clips, the first {odd[0][0]}, have a {label} that is not one of the {len(classes)} known "
            f"classes: {names}; classes are those of the training clips that have frames: {', '.join(classes):.300}"
        )


def names_of(clip: EvalClip, label: str) -> list[str]:
    """The classes of a clip: one, or several where its label is a list."""
    value = clip.labels[label]
    return [str(x) for x in (value if isinstance(value, (list, tuple)) else [value])]


def targets(clips: list[EvalClip], label: str, classes: list[str], several: bool) -> Tensor:
    """Class numbers (N,), or with ``several`` truth values (N, C) as floats. Raises ProtocolError as ``numbers``."""
    if not several:
        return numbers(clips, label, classes)
    _check_known(clips, label, classes)
    index = {name: i for i, name in enumerate(classes)}
    found = torch.zeros(len(clips), len(classes))
    for row, clip in enumerate(clips):
        for name in names_of(clip, label):
            found[row, index[name]] = 1.0
    return found
