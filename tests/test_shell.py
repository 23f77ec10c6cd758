"""Shell: every script is clean, the option parser is strict, a step runs exactly when it must."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted([*ROOT.glob("egs/*/*.sh"), *ROOT.glob("egs/*/conf/*.sh"), *ROOT.glob("tools/*.sh"),
                  *ROOT.glob("tools/slurm/*.sbatch"), ROOT / ".ci/run"])  # fmt: skip
RECIPES = sorted(ROOT.glob("egs/*/run.sh"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def run(*command: str | Path, **more) -> subprocess.CompletedProcess:
    environment = os.environ | {"AUDIOTEXT_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, env=environment, **more)


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_scripts_parse_and_can_be_run(script):
    assert run("bash", "-n", script).returncode == 0
    sourced = script.parent.name in ("common", "conf")
    assert os.access(script, os.X_OK) != sourced


def test_shellcheck_is_content():
    beside = Path(sys.executable).parent / "shellcheck"
    found = str(beside) if beside.exists() else shutil.which("shellcheck")
    assert found, "shellcheck is part of the [dev] extra"
    done = run(found, "-x", *SCRIPTS, cwd=ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("recipe", RECIPES, ids=name)
def test_help_names_every_option(recipe, tmp_path):
    done = run(recipe, "--help", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    for line in recipe.read_text().split("\n. ")[0].splitlines():
        if not line.startswith("#") and "=" in line and line.split("=")[0].isidentifier():
            assert "--" + line.split("=")[0].replace("_", "-") in done.stdout


@pytest.mark.parametrize("recipe", RECIPES, ids=name)
@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--stop-stagge", "3"], "--stop-stage?"),
        (["--stage"], "needs a value"),
        (["--stage", "--nj", "2"], "needs a value"),
        (["--stage", "one"], "whole number"),
        (["contrastive"], "not an option"),
        (["--path", "x"], "no option '--path'"),
    ],
)
def test_wrong_usage_is_exit_2(recipe, arguments, says, tmp_path):
    done = run(recipe, *arguments, cwd=tmp_path)
    assert done.returncode == 2 and says in done.stderr and done.stdout == ""


@pytest.fixture
def recipe(tmp_path):
    """A recipe of one step in a house of its own: returns what runs it."""
    (tmp_path / "egs/x").mkdir(parents=True)
    shutil.copytree(ROOT / "egs/common", tmp_path / "egs/common")
    script = tmp_path / "egs/x/run.sh"
    script.write_text(
        "#!/usr/bin/env bash\n# One step.\nstage=0\nstop_stage=1\nword=hello\nfile=input\ncommand='cat'\n"
        '. "$(dirname "$0")/../common/recipe.sh" "$@"\npaths file\n'
        'if stage 1 "Work"; then once work/step --in "$file" --out work -- bash -c "$command" "$word" "$file"; fi\n'
    )
    script.chmod(0o755)
    (tmp_path / "egs/x/input").write_text("the input\n")
    return lambda *arguments, **more: run(script, *arguments, **more)


def ran(done: subprocess.CompletedProcess) -> bool:
    assert done.returncode == 0, done.stderr
    assert ("done in" in done.stdout) != ("skipped, up to date" in done.stdout)
    return "done in" in done.stdout


def test_a_finished_step_is_skipped_until_its_command_input_or_output_changes(recipe, tmp_path):
    assert ran(recipe())
    assert not ran(recipe())
    assert ran(recipe("--command", "true"))
    assert not ran(recipe("--command", "true"))
    (tmp_path / "egs/x/input").write_text("another\n")
    assert ran(recipe("--command", "true"))
    shutil.rmtree(tmp_path / "egs/x/work")
    assert ran(recipe("--command", "true"))


def test_a_failed_step_shows_its_log_and_is_never_skipped(recipe):
    for _ in range(2):
        done = recipe("--command", "echo about to fail; exit 3")
        assert done.returncode == 1 and "exit 3" in done.stderr and "| about to fail" in done.stderr


def test_stages_outside_the_range_do_not_run(recipe):
    assert "stage 1" not in recipe("--stop-stage", "0").stdout
    assert "stage 1" not in recipe("--stop_stage=0").stdout
    assert "stage 1: Work" in recipe("--stage", "1").stdout


def test_a_missing_input_is_named(recipe):
    done = recipe("--file", "nowhere")
    assert done.returncode == 1 and "nowhere" in done.stderr


def test_typed_paths_count_from_where_they_were_typed(recipe, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here/mine").write_text("mine\n")
    done = recipe("--file", "mine", "--command", 'cat "$1"; cat ../../here/mine', "--word", "w", cwd=tmp_path / "here")
    assert ran(done)


def test_a_signal_ends_the_step_too(recipe, tmp_path):
    script = tmp_path / "egs/x/run.sh"
    environment = os.environ | {"AUDIOTEXT_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    words = [str(script), "--command", "echo $$ > pid; exec sleep 60"]
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    pid = tmp_path / "egs/x/pid"
    deadline = time.monotonic() + 30
    while not (pid.exists() and pid.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.05)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 143
    assert time.monotonic() - began < 20
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize("wrong", [[], ["UPPER"], ["1st"], ["a-b"], ["../out"], ["common"], ["esc50"], ["a", "b"]])
def test_new_recipe_refuses(wrong):
    done = run(ROOT / "tools/new_recipe.sh", *wrong)
    assert done.returncode == 2 and done.stderr.startswith("new_recipe.sh: ")


def test_set_up_tells_wrong_usage():
    assert run(ROOT / "tools/setup_env.sh", "--everything").returncode == 2
    assert run(ROOT / "tools/setup_env.sh", "--help").returncode == 0
    assert run(ROOT / "tools/test.sh", "--help").returncode == 0


def test_the_slurm_script_starts_one_process_for_each_gpu_of_every_machine(tmp_path):
    script = ROOT / "tools/slurm/pretrain.sbatch"
    for command, says in (("srun", 'printf "%s\\n" "$@"'), ("scontrol", "printf 'node7\\nnode8\\n'")):
        (tmp_path / command).write_text(f"#!/bin/sh\n{says}\n")
        (tmp_path / command).chmod(0o755)
    job = {"SLURM_JOB_ID": "40123", "SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_NUM_NODES": "2"}
    job |= {"SLURM_GPUS_ON_NODE": "4", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    words = [str(script), "--out", "a folder"]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | job)
    assert done.returncode == 0, done.stderr
    given = done.stdout.splitlines()
    for option, value in (("--nnodes", "2"), ("--nproc-per-node", "4"), ("--rdzv-endpoint", "node7:20123")):
        assert given[given.index(option) + 1] == value
    assert given[-5:] == ["-m", "audiotext.cli.main", "pretrain", "--out", "a folder"]
    assert "sbatch [SBATCH OPTION]" in run(script, "--help").stdout
    assert run(script, "--out", "x").returncode == 2


def test_a_python_without_the_package_is_an_error(tmp_path):
    environment = os.environ | {"AUDIOTEXT_PYTHON": "/nowhere/python"}
    done = subprocess.run([str(RECIPES[0])], capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and "AUDIOTEXT_PYTHON" in done.stderr
