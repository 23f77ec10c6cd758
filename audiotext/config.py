"""Configuration: YAML -> nested dataclasses -> objects.

The config tree is the object tree: every part of the system has a dataclass whose ``build`` makes the part, and a
registry per kind of part maps the ``name`` written in YAML to that dataclass. YAML scalars are read as text and
converted by the type of the field they land in, so ``1e-3`` is a float where a float is wanted and ``no`` is a
string where a string is wanted.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import yaml
from omegaconf import OmegaConf

from audiotext.atomic import replacing

T = TypeVar("T")
_NULL = ("", "null", "Null", "NULL", "~", "none", "None")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class ConfigError(ValueError):
    """Something is wrong in a configuration; the message says what, where, and what would be right."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that ends an error message: the nearest known name, and all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return (f"did you mean {close[0]!r}? " if close else "") + f"known: {', '.join(known) or 'nothing'}"


class Registry:
    """Names of one kind of part -> the config dataclass that builds it.

    A duplicate name raises; an unknown name is an error that suggests the nearest.
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._classes: dict[str, type] = {}

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator for a config dataclass with a ``build`` method."""

        def add(cls: type[T]) -> type[T]:
            if name in self._classes:
                raise ConfigError(f"{self.kind} {name!r} is registered twice: {self._classes[name]} and {cls}")
            cls.part_name = name
            self._classes[name] = cls
            return cls

        return add

    def __getitem__(self, name: str) -> type:
        if name not in self._classes:
            raise ConfigError(f"no {self.kind} is called {name!r}: {nearest(name, self._classes)}")
        return self._classes[name]

    def names(self) -> list[str]:
        return sorted(self._classes)


def part(registry: Registry, default: str | None = None) -> Any:
    """A dataclass field that holds any member of ``registry``; without a default it is None."""
    factory = (lambda: registry[default]()) if default else (lambda: None)
    return dataclasses.field(default_factory=factory, metadata={"registry": registry, "default": default})


def from_tree(cls: type[T], tree: Any, where: str = "") -> T:
    """Build dataclass ``cls`` from a tree of dicts, lists and scalars.

    Raises ConfigError with the dotted path of what is wrong, for unknown keys with the nearest known one.
    """
    if not isinstance(tree, dict):
        raise ConfigError(f"{where or 'the configuration'}: expected keys and values, got {tree!r}")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    values = {}
    for key, value in tree.items():
        path = f"{where}.{key}" if where else str(key)
        if key not in fields:
            raise ConfigError(f"{path}: unknown key, {nearest(str(key), fields)}")
        registry = fields[key].metadata.get("registry")
        values[key] = _part(fields[key], value, path) if registry else _convert(hints[key], value, path)
    try:
        return cls(**values)
    except TypeError as error:
        missing = [n for n, f in fields.items() if n not in values and _required(f)]
        raise ConfigError(f"{where or cls.__name__}: missing {', '.join(missing) or error}") from None
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}" if where else str(error)) from None


def to_tree(config: Any) -> Any:
    """The inverse of from_tree: plain dicts, lists and scalars, with the ``name`` of every registered part."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        named = {"name": type(config).part_name} if hasattr(type(config), "part_name") else {}
        return named | {f.name: to_tree(getattr(config, f.name)) for f in dataclasses.fields(config) if f.init}
    if isinstance(config, dict):
        return {str(k): to_tree(v) for k, v in config.items()}
    if isinstance(config, (list, tuple)):
        return [to_tree(v) for v in config]
    return str(config) if isinstance(config, Path) else config


def load_tree(path: str | Path) -> dict:
    """A YAML file as a tree whose scalars are still text. Raises ConfigError naming file and line."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path}: no such configuration file")
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if tree is None or tree == "":
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected keys and values at the top level")
    return tree


def merge(*trees: dict, overrides: Iterable[str] = ()) -> dict:
    """Merge trees, later ones win; then apply ``a.b.c=value`` overrides. ``${a.b}`` refers to another key."""
    try:
        merged = OmegaConf.merge(*[OmegaConf.create(t) for t in trees])
        for item in overrides:
            key, equals, value = item.partition("=")
            if not equals or not key:
                raise ConfigError(f"--set {item}: expected key=value, such as train.max_steps=100")
            OmegaConf.update(merged, key, yaml.load(value, Loader=yaml.BaseLoader), merge=False)
        return OmegaConf.to_container(merged, resolve=True)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"cannot combine the configuration: {error}") from None


def load(cls: type[T], path: str | Path, overrides: Iterable[str] = ()) -> T:
    """One YAML file, with overrides, as dataclass ``cls``."""
    try:
        return from_tree(cls, merge(load_tree(path), overrides=overrides))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from None


def save(config: Any, path: str | Path) -> None:
    """Write a dataclass as YAML, by atomic rename."""
    text = yaml.safe_dump(to_tree(config), sort_keys=False, allow_unicode=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _required(f: dataclasses.Field) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def _part(f: dataclasses.Field, value: Any, where: str) -> Any:
    registry = f.metadata["registry"]
    if value is None or (isinstance(value, str) and value in _NULL):
        return None
    named = {"name": f.metadata["default"]} if f.metadata["default"] else {}
    tree = {"name": value} if isinstance(value, str) else named | value if isinstance(value, dict) else {}
    if not isinstance(tree.get("name"), str):
        raise ConfigError(f"{where}: needs a name, one of the {registry.kind}s {', '.join(registry.names())}")
    name = tree.pop("name")
    try:
        cls = registry[name]
    except ConfigError as error:
        raise ConfigError(f"{where}.name: {error}") from None
    return from_tree(cls, tree, where)


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        if type(None) in args and (value is None or (isinstance(value, str) and value in _NULL)):
            return None
        return _first_that_fits([a for a in args if a is not type(None)], value, where)
    if origin is Literal:
        for choice in args:
            if str(choice) == str(value):
                return choice
        raise ConfigError(f"{where}: {value!r} is not allowed, {nearest(str(value), map(str, args))}")
    if origin in (list, tuple):
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where}: expected a list, got {value!r}")
        inner = args[0] if args else Any
        return origin(_convert(inner, v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: expected keys and values, got {value!r}")
        return {_convert(args[0], k, where): _convert(args[1], v, f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_tree(hint, value, where)
    return _scalar(hint, value, where)


def _first_that_fits(hints: list, value: Any, where: str) -> Any:
    for i, hint in enumerate(hints):
        try:
            return _convert(hint, value, where)
        except ConfigError:
            if i == len(hints) - 1:
                raise
    raise ConfigError(f"{where}: {value!r} fits none of {hints}")


def _scalar(hint: type, value: Any, where: str) -> Any:
    wanted = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
    if hint not in wanted:
        raise ConfigError(f"{where}: fields of type {hint} cannot be configured")
    text = "true" if value is True else "false" if value is False else str(value)
    if value is not None and not isinstance(value, (dict, list, tuple)):
        try:
            if hint is bool:
                lowered = text.lower()
                if lowered in _TRUE or lowered in _FALSE:
                    return lowered in _TRUE
            elif hint is int:
                return int(text.replace("_", ""))
            else:
                return hint(text)
        except ValueError:
            pass
    raise ConfigError(f"{where}: expected {wanted[hint]}, got {value!r}")
