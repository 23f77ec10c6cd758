#!/usr/bin/env bash
# Make .venv in the repository and install audiotext there with what setup.cfg asks for. Quick when that is done.
#
# Usage: tools/setup_env.sh [--dev]
#
#   --dev   what the tests need too
#
# AUDIOTEXT_PYTHON names the Python to start from (3.10 or newer); without it the first fit one on the PATH is taken.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."

extra=""
case "${1-}" in
    "") ;;
    --dev) extra=dev ;;
    -h | --help) sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0" && exit 0 ;;
    *) echo "setup_env.sh: no option '$1'; known: --dev --help" >&2 && exit 2 ;;
esac

stamp=.venv/.audiotext
wanted=$(sha256sum < setup.cfg | cut -c 1-64)
# The second line of the stamp says whether the [dev] extra is in.
if [ -x .venv/bin/python ] && [ "$(sed -n 1p "$stamp" 2> /dev/null)" = "$wanted" ]; then
    [ -n "$extra" ] && [ "$(sed -n 2p "$stamp")" != "$extra" ] || exit 0
fi

is_fit() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2> /dev/null; }

find_python() {
    local candidate
    for candidate in ${AUDIOTEXT_PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        if is_fit "$candidate"; then command -v "$candidate" && return; fi
    done
    echo "setup_env.sh: needs Python 3.10 or newer; install one, or name it: AUDIOTEXT_PYTHON=/path/to/python3" >&2
    return 1
}

# Debian and Ubuntu ship Python without ensurepip; their package of the pip wheel can be unpacked without root.
borrow_pip() {
    local folder
    folder=$(mktemp -d)
    (cd "$folder" && apt-get download -q python3-pip-whl && dpkg-deb -x python3-pip-whl_*.deb .) >&2 || return 1
    find "$folder" -name 'pip-*.whl' | head -n 1
}

make_venv() {
    local python=$1 wheel
    if "$python" -c 'import ensurepip' 2> /dev/null; then
        "$python" -m venv .venv
        return
    fi
    "$python" -m venv --without-pip .venv
    if "$python" -m pip --version > /dev/null 2>&1; then
        "$python" -m pip --python .venv/bin/python install -q pip
    elif wheel=$(borrow_pip) && [ -n "$wheel" ]; then
        PYTHONPATH=$wheel .venv/bin/python -m pip install -q pip
    else
        rm -rf .venv
        echo "setup_env.sh: this Python cannot make environments with pip; run: sudo apt-get install python3-venv" >&2
        return 1
    fi
}

python=$(find_python)
echo "No active environment has audiotext: installing it in $PWD/.venv (with $python; about 3 minutes, 6 GB, once)"
if ! .venv/bin/python -m pip --version > /dev/null 2>&1; then
    rm -rf .venv
    make_venv "$python"
fi
.venv/bin/python -m pip install -q --disable-pip-version-check -e ".${extra:+[$extra]}"
printf '%s\n%s\n' "$wanted" "$extra" > "$stamp.tmp" && mv "$stamp.tmp" "$stamp"
echo "Installed; remove the folder .venv to undo this"
