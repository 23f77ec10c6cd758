"""The house rules that a machine can hold: floors of imports, what lies where, every configuration loads."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from audiotext.config import from_tree, load, load_tree, merge
from audiotext.evaluate.protocol import load_tasks
from audiotext.model import ModelConfig
from audiotext.train.config import PretrainConfig

ROOT = Path(__file__).resolve().parent.parent
# From the ground up. A module may import from its own floor and from those below, its own package included.
FLOORS = [
    {"atomic", "types", "config", "distributed", "metric", "optim"},
    {"frontend", "encoder", "text", "head"},
    {"data", "curate", "model"},
    {"objective", "hub"},
    {"evaluate", "train", "interop"},
    {"cli"},
]
FLOOR = {name: i for i, names in enumerate(FLOORS) for name in names}
MODULES = sorted(p for p in (ROOT / "audiotext").rglob("*.py") if p != ROOT / "audiotext/__init__.py")
MUST_NOT = {"evaluate": {"train"}, "data": {"model", "encoder", "text", "head"}, "curate": {"model", "encoder", "head"}}
UNWANTED = {"utils.py", "common.py", "misc.py", "helpers.py", "tools.py"}


def tracked() -> list[Path]:
    """Files of the repository; outside a checkout, every file that is not made by running it."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout
        return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).exists()]
    except (OSError, subprocess.CalledProcessError):
        made = {"data", "exp", "download", ".venv", "__pycache__"}
        return [p for p in ROOT.rglob("*") if p.is_file() and not made & set(p.relative_to(ROOT).parts)]


def imports(path: Path) -> set[str]:
    """Parts of audiotext that a module imports, at the top or within functions: data, train.distributed, ..."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            whole = [node.module] if node.module != "audiotext" else [f"audiotext.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            whole = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.removeprefix("audiotext.") for name in whole if name.startswith("audiotext.")}
    return found


def part_of(path: Path) -> str:
    return path.relative_to(ROOT / "audiotext").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    mine = part_of(path)
    for name in imports(path):
        other = name.split(".")[0]
        if mine not in FLOOR or other not in FLOOR or other == mine:
            continue
        if FLOOR[other] > FLOOR[mine]:
            pytest.fail(f"{path.relative_to(ROOT)} imports audiotext.{name}, which lies above it")
        assert other not in MUST_NOT.get(mine, ()), f"{path.relative_to(ROOT)} must not import audiotext.{name}"


def test_every_part_has_a_floor():
    """A new file or folder of the package takes its place in FLOORS."""
    assert {part_of(p) for p in MODULES} <= {*FLOOR, "testing"}


def test_one_file_knows_of_several_processes():
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        if "torch.distributed" in text and path != ROOT / "audiotext/distributed.py":
            names = [n for n in ast.walk(ast.parse(text)) if isinstance(n, (ast.Import, ast.ImportFrom))]
            assert not any("torch.distributed" in ast.unparse(n) for n in names), path


def test_no_symlinks_and_no_drawer_for_everything():
    for path in tracked():
        assert not path.is_symlink(), f"{path} is a link"
        assert path.name not in UNWANTED, f"{path}: name a file after what it holds"


def test_recipes_hold_python_only_under_local():
    for path in tracked():
        parts = path.relative_to(ROOT).parts
        if parts[0] == "egs" and path.suffix == ".py":
            assert parts[2] == "local", f"{path.relative_to(ROOT)}: Python of a recipe lies in local/"
            assert "backward(" not in path.read_text(encoding="utf-8"), f"{path}: the training loop is the package's"


@pytest.mark.parametrize("path", sorted((ROOT / "egs").glob("*/run.sh")), ids=lambda p: p.parent.name)
def test_a_recipe_has_its_files(path):
    assert (path.parent / "README.md").is_file()


MODELS = sorted([*ROOT.glob("conf/model/*.yaml"), ROOT / "egs/captionstew/conf/toy.yaml"])


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_every_model_builds(path):
    with torch.device("meta"):  # shapes only: no memory for a large model
        assert load(ModelConfig, path).build(SimpleNamespace(vocab_size=100)).encoder.output_dim > 0


@pytest.mark.parametrize("path", sorted(ROOT.glob("conf/pretrain/*.yaml")), ids=lambda p: p.stem)
def test_every_pretraining_configuration_loads(path):
    tree = merge(load_tree(path), {"model": load_tree(ROOT / "conf/model/tiny.yaml")})
    config = from_tree(PretrainConfig, tree, str(path))
    config.model.pruned(config.objective.build().parts)


DATA = sorted(ROOT.glob("conf/data/*.yaml"))


@pytest.mark.parametrize("path", DATA, ids=lambda p: p.stem)
def test_every_data_configuration_loads(path):
    own, data = load_tree(ROOT / "conf/pretrain/contrastive.yaml"), {"data": load_tree(path)}
    model = {"model": load_tree(ROOT / "conf/model/tiny.yaml")}
    config = from_tree(PretrainConfig, merge(own, model, data), str(path))
    if path.stem == "mini":
        assert config == from_tree(PretrainConfig, merge(own, model))  # it says what holds without it


TASKS = sorted({*ROOT.glob("conf/evaluate/*.yaml"), *ROOT.glob("egs/*/conf/*.yaml")} - {*MODELS})


@pytest.mark.parametrize("path", TASKS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_task_loads(path):
    assert [task.name for task in load_tasks([path], [])] == [path.stem]


def test_no_yaml_is_without_a_test():
    known = {*MODELS, *TASKS, *DATA, *ROOT.glob("conf/pretrain/*.yaml"), *ROOT.glob("conf/frontend/*.yaml")}
    known |= {*ROOT.glob("egs/benchmark/conf/peers/*.yaml")}  # test_peers.py
    extra = [p for p in tracked() if p.suffix == ".yaml" and p.name != ".pre-commit-config.yaml" and p not in known]
    assert not extra
