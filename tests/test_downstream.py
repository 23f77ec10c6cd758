"""Every downstream recipe through its run.sh, on its toy corpus: found by the folder, so a new one is tested."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from audiotext.cli import main as cli

ROOT = Path(__file__).resolve().parent.parent
# my_data wants a model that knows texts; a test of its own follows its page.
DOWNSTREAM = sorted(
    {p.parent.name for p in ROOT.glob("egs/*/run.sh") if (p.parent / "local/toy.py").exists()} - {"my_data"}
)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """Weights that learnt nothing."""
    folder = tmp_path_factory.mktemp("init") / "model"
    shape = ROOT / "egs/captionstew/conf/toy.yaml"
    assert cli.main(["init", "--model", str(shape), "--out", str(folder), "--seed", "0"]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("recipe", DOWNSTREAM)
def test_a_recipe_scores_every_task_on_its_toy(recipe, model, tmp_path):
    done = subprocess.run(
        [ROOT / f"egs/{recipe}/run.sh", "--model", model, "--corpus", "toy", "--stop-stage", "2", "--nj", "1",
         f"--data={tmp_path / 'data'}", f"--exp={tmp_path / 'exp'}",
         "--evaluate-args", "--set probe.seeds=[0] probe.poolings=[mean] transcription.seeds=[0] detection.seeds=[0]"],
        env=os.environ | {"AUDIOTEXT_PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    results = {p.stem: json.loads(p.read_text()) for p in tmp_path.glob("exp/results/*/*.json")}
    assert set(results) == {p.stem for p in ROOT.glob(f"egs/{recipe}/conf/*.yaml")}
    for result in results.values():
        assert result["synthetic"] and 0 < result["clips"]["found"] <= result["clips"]["expected"]
