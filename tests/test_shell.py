"""Shell: every script is clean, the option parser is strict, a step runs exactly when it must."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
import torch
from packaging.tags import sys_tags

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


@pytest.mark.parametrize("word", ["name", "value"])
def test_an_option_may_be_called_like_a_variable_of_the_parser(recipe, tmp_path, word):
    script = tmp_path / "egs/x/run.sh"
    script.write_text(script.read_text().replace("word=hello", f"{word}=hello").replace('"$word"', f'"${word}"'))
    done = recipe(f"--{word}", "given", "--command", 'echo "said $0"')
    assert ran(done) and "said given" in done.stdout


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


@pytest.mark.parametrize("script", sorted(ROOT.glob("tools/install_*.sh")), ids=name)
def test_an_installer_tells_wrong_usage(script):
    assert run(script, "--help").stdout.startswith(("Build", "Install"))
    done = run(script, "--forse")
    assert done.returncode == 2 and "--forse" in done.stderr


@pytest.fixture
def install_k2(tmp_path):
    """Runs tools/install_k2.sh; pip and Python look into tmp_path/site, first of all."""
    site = tmp_path / "site"
    site.mkdir()

    def call(*arguments: str, **variables: str | Path) -> subprocess.CompletedProcess:
        environment = os.environ | {k: str(v) for k, v in variables.items()} | {
            "AUDIOTEXT_PYTHON": sys.executable, "PYTHONPATH": str(site), "PIP_TARGET": str(site), "PIP_NO_INDEX": "1"
        }  # fmt: skip
        command = [str(ROOT / "tools/install_k2.sh"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)

    return call


def write_k2(folder: Path, version: str, offset: float = 0.0) -> Path:
    """A wheel of a k2 that knows nothing but the Swooshes, wrong by ``offset``, for this Python and platform."""
    tag = next(sys_tags())
    wheel = folder / f"k2-{version}-{tag}.whl"
    info = f"k2-{version}.dist-info"
    code = (
        f"import torch\n__version__ = {version!r}\n"
        "def swoosh(x, shift, offset):\n"
        f"    return torch.nn.functional.softplus(x - shift) - 0.08 * x - offset + {offset}\n"
        "def swoosh_l(x, dropout): return swoosh(x, 4, 0.035)\n"
        "def swoosh_r(x, dropout): return swoosh(x, 1, 0.313261687)\n"
    )
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("k2.py", code)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: k2\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def test_the_newest_k2_for_this_torch_is_installed_and_tried(install_k2, tmp_path):
    build = f"cuda{torch.version.cuda}" if torch.version.cuda else "cpu"
    local = f"+{build}.torch{torch.__version__.partition('+')[0]}"
    versions = ["1.24.4.dev20240101", "1.24.4.dev20250307", "1.24.4.dev20241231"]
    wheels = [write_k2(tmp_path, version + local).name for version in versions]
    other = f"k2-1.24.4.dev20990101+{build}.torch0.4.0-{next(sys_tags())}.whl"
    foreign = f"k2-1.24.4.dev20990101{local}-cp27-cp27m-win32.whl"
    links = [f'<a href="{quote(wheel)}">{wheel}</a><br/>' for wheel in [*wheels, other, foreign]]
    (tmp_path / "page.html").write_text("\n".join(links))
    done = install_k2(K2_INDEX="page.html")
    assert done.returncode == 0, done.stderr
    assert wheels[1] in unquote(done.stdout) and f"k2 {versions[1]}{local} works" in done.stdout
    again = install_k2(K2_INDEX="nowhere")  # it is there: nothing is read or installed
    assert again.stdout.strip() == f"k2 {versions[1]}{local} works with torch {torch.__version__}"


def test_a_k2_that_computes_something_else_is_refused(install_k2, tmp_path):
    wheel = write_k2(tmp_path, "1.24.4.dev20250307+cpu.torch0.4.0", offset=0.01)
    done = install_k2(K2_WHEEL=wheel.name)
    assert done.returncode == 1 and "swoosh_l differs from its formula by 1.0e-02" in done.stderr


def test_without_a_k2_that_fits_the_wanted_and_the_existing_are_named(install_k2, tmp_path):
    (tmp_path / "site/torch.py").write_text("class version: cuda = '19.2'\n__version__ = '9.8.7+cu192'\n")
    there = f"k2-1.24.4.dev20250307+cuda12.4.torch2.6.0-{next(sys_tags())}.whl"
    windows = "k2-1.24.4.dev20250307+cuda19.2.torch9.8.7-cp27-cp27m-win32.whl"
    (tmp_path / "cuda.html").write_text(f'<a href="{quote(there)}"></a><a href="{quote(windows)}"></a>')
    done = install_k2(K2_INDEX=tmp_path.as_uri())
    assert done.returncode == 1 and "SKIPPED" not in done.stdout
    assert "no wheel of k2 for cuda19.2.torch9.8.7" in done.stderr and "cuda12.4.torch2.6.0" in done.stderr
    assert "cp27 1.24.4.dev20250307" in done.stderr
    done = install_k2("--optional", K2_INDEX=tmp_path.as_uri())
    assert done.returncode == 0 and done.stdout == "SKIPPED, k2 NOT installed\n"
    (tmp_path / "cuda.html").write_text(f'<a href="{quote(there.replace("12.4.torch2.6.0", "19.2.torch9.8.7"))}"></a>')
    done = install_k2(K2_INDEX=tmp_path.as_uri(), K2_VERSION="1.24.4.dev2024")
    assert done.returncode == 1 and "version 1.24.4.dev2024 for cuda19.2.torch9.8.7" in done.stderr
    for wrong in ({"K2_INDEX": "nowhere"}, {"K2_WHEEL": "none.whl"}):
        done = install_k2(**wrong)
        assert done.returncode == 1 and ("cannot read" in done.stderr or "no file" in done.stderr)
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
