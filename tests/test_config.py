"""Configuration: typed conversion, errors that name the place and the nearest key, registries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiotext.config import ConfigError, Registry, from_tree, load, load_tree, merge, part, save, to_tree

SHAPES = Registry("shape")


@SHAPES.register("circle")
@dataclass
class Circle:
    radius: float = 1.0


@SHAPES.register("box")
@dataclass
class Box:
    sides: list[int] = field(default_factory=lambda: [1, 2])
    label: str = "x"


@dataclass
class Inner:
    rate: float = 0.1
    flag: bool = False
    limit: int | None = None


@dataclass
class Outer:
    title: str
    inner: Inner = field(default_factory=Inner)
    shape: Any = part(SHAPES, "circle")
    mode: Literal["fast", "slow"] = "fast"
    weights: dict[str, float] = field(default_factory=dict)


def test_scalars_take_the_type_of_their_field(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("title: no\ninner: {rate: 1e-3, flag: yes, limit: null}\nweights: {a: 2}\nmode: slow\n")
    config = load(Outer, path)
    assert config.title == "no" and config.inner == Inner(0.001, True, None)
    assert config.weights == {"a": 2.0} and config.mode == "slow"


def test_round_trip_keeps_the_names_of_parts(tmp_path):
    config = Outer("t", shape=Box([3, 4], "y"), inner=Inner(limit=7))
    save(config, tmp_path / "c.yaml")
    assert load(Outer, tmp_path / "c.yaml") == config
    assert to_tree(config)["shape"] == {"name": "box", "sides": [3, 4], "label": "y"}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"title": "t", "innner": {}}, "innner: unknown key, did you mean 'inner'"),
        ({"title": "t", "inner": {"rat": "1"}}, "inner.rat: unknown key, did you mean 'rate'"),
        ({"title": "t", "inner": {"rate": "fast"}}, "inner.rate: expected a number, got 'fast'"),
        ({"title": "t", "inner": {"flag": "maybe"}}, "inner.flag: expected true or false"),
        ({"title": "t", "shape": {"name": "circel"}}, "shape.name: no shape is called 'circel': did you mean 'circle'"),
        ({"title": "t", "shape": {"name": "box", "sides": "3"}}, "shape.sides: expected a list"),
        ({"title": "t", "shape": {"name": "box", "sides": ["3", "x"]}}, r"shape.sides\[1\]: expected a whole number"),
        ({"title": "t", "mode": "fats"}, "mode: 'fats' is not allowed, did you mean 'fast'"),
        ({}, "missing title"),
        ([], "expected keys and values"),
    ],
)
def test_errors_say_what_and_where(tree, message):
    with pytest.raises(ConfigError, match=message):
        from_tree(Outer, tree)


def test_overrides_and_their_errors():
    tree = merge({"title": "t", "inner": {"rate": "1"}}, overrides=["inner.rate=1e-2", "shape.name=box"])
    config = from_tree(Outer, tree)
    assert config.inner.rate == 0.01 and isinstance(config.shape, Box)
    with pytest.raises(ConfigError, match="expected key=value"):
        merge({}, overrides=["title"])


def test_a_duplicate_name_raises():
    with pytest.raises(ConfigError, match="registered twice"):
        SHAPES.register("box")(Circle)


def test_broken_yaml_names_the_file(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("a: [1, 2\n")
    with pytest.raises(ConfigError, match="broken.yaml: not valid YAML"):
        load_tree(path)
    with pytest.raises(ConfigError, match="no such configuration file"):
        load_tree(tmp_path / "absent.yaml")


@given(st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none() | st.integers())
def test_any_value_survives_a_round_trip(rate, flag, limit):
    config = Inner(rate, flag, limit)
    assert from_tree(Inner, to_tree(config)) == config
