"""Which module made the first number that is not finite."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def watched(module: nn.Module) -> Iterator[list[str]]:
    """Inside, a list that names what in ``module`` is not finite, first things first; empty where all is well.

    In this order: a parameter, at once; in a forward pass, a module's output, inner modules before those around them;
    in a backward pass, the gradient that reaches a module's output, or a parameter, the last modules first. Reads
    every number, so each module waits for a GPU.
    """
    found: list[str] = []

    def note(what: str, tensor: Tensor | None) -> None:
        if tensor is not None and tensor.is_floating_point() and not bool(tensor.detach().isfinite().all()):
            found.append(what)

    handles = []
    for name, parameter in module.named_parameters():
        note(f"parameter {name}", parameter)
        if parameter.requires_grad:
            hook = _parameter_hook(f"gradient of parameter {name}", note)
            handles.append(parameter.register_post_accumulate_grad_hook(hook))
    for name, part in module.named_modules():
        hook = _output_hook(f"{name or 'the whole'} ({type(part).__name__})", note)
        handles.append(part.register_forward_hook(hook))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _parameter_hook(what: str, note: Any) -> Any:
    return lambda parameter: note(what, parameter.grad)


def _output_hook(name: str, note: Any) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        for tensor in _tensors(output):
            note(f"output of {name}", tensor)
            if tensor.requires_grad:
                tensor.register_hook(lambda gradient: note(f"gradient at the output of {name}", gradient))

    return hook


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors of what a module returned: one, or containers and dataclasses of them."""
    if isinstance(value, Tensor):
        yield value
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _tensors(getattr(value, field.name))
    elif isinstance(value, (list, tuple)):
        for member in value:
            yield from _tensors(member)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
