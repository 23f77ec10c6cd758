# shellcheck shell=bash
# The environment of a recipe: sets `python` and `root`, and gives `audiotext`.
#
# An active environment that has audiotext and what it needs is used as it is; otherwise tools/setup_env.sh makes .venv
# in the repository. AUDIOTEXT_PYTHON names another interpreter, which then runs this checkout.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# has_audiotext PYTHON [MODULE...]: it can import the package and finds what the package and the caller need.
has_audiotext() {
    (cd / && "$1" - torch lhotse sentencepiece soundfile safetensors omegaconf sklearn matplotlib "${@:2}") \
        > /dev/null 2>&1 << 'END'
import importlib.util, sys
import audiotext
sys.exit(sys.version_info < (3, 10) or not all(map(importlib.util.find_spec, sys.argv[1:])))
END
}

# find_environment [MODULE...]: MODULEs are needed beside the package; with any, the [dev] extra is installed.
find_environment() {
    if [ -n "${AUDIOTEXT_PYTHON:-}" ]; then
        python=$AUDIOTEXT_PYTHON
        export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
        has_audiotext "$python" "$@" && return
        echo "AUDIOTEXT_PYTHON=$python cannot import audiotext, or lacks a package that setup.cfg asks for" >&2
        return 1
    fi
    for python in python python3; do
        ! has_audiotext "$python" "$@" || return 0
    done
    if [ $# -gt 0 ]; then "$root/tools/setup_env.sh" --dev; else "$root/tools/setup_env.sh"; fi || return 1
    python=$root/.venv/bin/python
    export VIRTUAL_ENV=$root/.venv PATH=$root/.venv/bin:$PATH
}

audiotext() { "$python" -m audiotext.cli.main "$@"; }

# Scores of a run should not hang on how many lines a hash table met first.
export PYTHONHASHSEED=0 PYTHONUNBUFFERED=1
