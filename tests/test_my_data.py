"""The page of egs/my_data: every command on it runs, on synthesised recordings and a small model."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from audiotext.config import from_tree
from audiotext.hub import load_model, save_model
from audiotext.model import ModelConfig
from audiotext.text.tokenizer import Tokenizer

ROOT = Path(__file__).resolve().parent.parent
PART = {"name": "transformer", "dim": 16, "layers": 1, "heads": 2}
SHAPE = {"encoder": {**PART, "ff_dim": 16}, "text_encoder": {**PART, "feedforward": 16}, "embed_dim": 16}
# What makes the page long but not different.
SHORTER = {
    "train.max_steps=200 train.valid_interval=50": "train.max_steps=4 train.valid_interval=2 train.threads=1",
    "./run.sh --model $model": "./run.sh --stop-stage 2 --model $model",
    "--exp exp/mine\n": "--exp exp/mine --nj 1 --evaluate-args '--set seeds=[0] probe.poolings=[mean]'\n",
}


def page() -> str:
    """The commands of the page, in their order."""
    text = "".join(re.findall(r"```sh\n(.*?)```", (ROOT / "egs/my_data/README.md").read_text(), re.DOTALL))
    for long, short in SHORTER.items():
        assert long in text, f"the page no longer says {long!r}"
        text = text.replace(long, short)
    return text


@pytest.fixture(scope="module")
def read(tmp_path_factory) -> tuple[Path, str]:
    """The folder of the recipe after its page was typed in it, and what was shown."""
    house = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "conf", house / "conf")
    for part in ("common", "my_data"):
        shutil.copytree(ROOT / "egs" / part, house / "egs" / part, ignore=shutil.ignore_patterns("data", "exp", "mine"))
    Tokenizer.train(["air hisses", "one long tone", "the take of a hiss"], 40, house / "tokenizer")
    torch.manual_seed(0)
    model = from_tree(ModelConfig, SHAPE).build(Tokenizer(house / "tokenizer"))
    save_model(model, house / "egs/captionstew/exp/contrastive/model")
    (house / "bin").mkdir()
    (house / "bin/audiotext").write_text(f'#!/bin/sh\nexec {sys.executable} -m audiotext.cli.main "$@"\n')
    (house / "bin/audiotext").chmod(0o755)
    path = f"{house / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    names = {"AUDIOTEXT_PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": path}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", page()], cwd=house / "egs/my_data", env=os.environ | names, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    return house / "egs/my_data", done.stdout


@pytest.mark.slow
def test_every_command_of_the_page_runs(read):
    folder, shown = read
    assert len((folder / "data/mine/manifests/cuts.jsonl").read_text().splitlines()) == 42
    assert "mine/recordings/hiss-0.wav" in shown and shown.count("\nair hisses\n") == 1
    assert load_model(folder / "exp/mine/contrastive/model").content_hash


@pytest.mark.slow
def test_both_models_are_scored_on_the_clips_of_the_page(read):
    folder, shown = read
    for name in ("contrastive", "tuned"):
        probe, retrieval = (
            json.loads((folder / f"exp/mine/results/{name}/{task}.json").read_text()) for task in ("probe", "retrieval")
        )
        assert probe["clips"] == {"expected": 12, "found": 12} and retrieval["clips"] == {"expected": 42, "found": 42}
        assert probe["synthetic"] and list(retrieval["scores"]) == ["direct"]
        assert name in (folder / "exp/mine/results.md").read_text()
