#!/usr/bin/env bash
# Build kaldifeat against the torch of your environment: the fbank backend of that name. About 4 minutes of one core.
#
# Usage: tools/install_kaldifeat.sh
#
# Needs a C++20 compiler, cmake, make, Python's headers and a package index; no CUDA toolkit, also beside a torch that
# has CUDA. Nothing but kaldifeat is installed. AUDIOTEXT_PYTHON names the Python that gets it; without it the active
# environment does, or .venv.
set -euo pipefail

case "${1-}" in
    "") ;;
    -h | --help) sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0" && exit 0 ;;
    *) echo "install_kaldifeat.sh: no option '$1'; known: --help" >&2 && exit 2 ;;
esac
fail() { echo "install_kaldifeat.sh: $*" >&2 && exit 1; }

cd "$(dirname "$(realpath "$0")")/.."
# shellcheck source=../egs/common/path.sh
. egs/common/path.sh
# shellcheck disable=SC2119
find_environment || exit 1

# The backend must give the features that our own implementation gives.
check() {
    "$python" - "$torch_was" << 'END'
import sys
import torch
from audiotext.frontend.fbank import FbankConfig
from audiotext.types import Padded
if torch.__version__ != sys.argv[1]:
    sys.exit(f"torch was {sys.argv[1]} and is now {torch.__version__}")
wave = 0.1 * torch.randn(1, 32000, generator=torch.Generator().manual_seed(0))
ours, theirs = (FbankConfig(backend=b).build()(Padded(wave, torch.tensor([32000]))).data for b in ("torch", "kaldifeat"))
gap = float((ours - theirs).abs().max())
if not gap < 1e-3:
    sys.exit(f"kaldifeat's filterbank differs from ours by {gap:.1e}")
print(f"kaldifeat works with torch {torch.__version__}; its filterbank is within {gap:.1e} of ours")
END
}

torch_was=$("$python" -c 'import torch; print(torch.__version__)')
if "$python" -c 'import kaldifeat' 2> /dev/null; then
    check
    exit
fi

for program in cmake make c++; do
    command -v "$program" > /dev/null || fail "needs $program; on Debian or Ubuntu: sudo apt-get install cmake make g++"
done
headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
[ -f "$headers/Python.h" ] || fail "needs Python's headers ($headers/Python.h); on Debian or Ubuntu: sudo apt-get install python3-dev"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pip=("$python" -m pip --disable-pip-version-check --no-cache-dir) # a cached wheel may be of another torch

# run WHAT COMMAND...: into the log, whose end is shown when it fails.
run() {
    local what=$1
    shift
    echo "$what"
    "$@" > "$work/log" 2>&1 || { tail -n 40 "$work/log" | sed 's/^/| /' >&2 && fail "failed: $what"; }
}

# kaldifeat's own build would fetch pybind11 from elsewhere, and an old one.
run "Fetching pybind11 and build tools" "${pip[@]}" download -q --no-deps --no-binary pybind11 -d "$work" pybind11==3.0.1
mkdir "$work/pybind11" "$work/torch"
tar -xzf "$work"/pybind11-*.tar.gz -C "$work/pybind11" --strip-components 1
run "Fetching setuptools" "${pip[@]}" install -q --target "$work/tools" setuptools wheel

# torch's own CMake file wants a CUDA toolkit where torch has CUDA. kaldifeat has no CUDA code: these are all it needs.
"$python" - > "$work/torch/TorchConfig.cmake" << 'END'
from pathlib import Path
import torch
root = Path(torch.__file__).parent
libraries = ";".join(str(root / "lib" / f"lib{name}.so") for name in ("torch", "torch_cpu", "c10"))
print(f'include_directories(SYSTEM "{root}/include" "{root}/include/torch/csrc/api/include")')
print(f'set(TORCH_LIBRARIES "{libraries}")')
print(f'set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI={int(torch._C._GLIBCXX_USE_CXX11_ABI)}")')
print("set(Torch_FOUND TRUE)")
END

# torch's headers from 2.14 on reject C++17. One compilation per library: most of the time goes into torch's headers.
KALDIFEAT_CMAKE_ARGS="-DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_STANDARD=20 -DCMAKE_INSTALL_LIBDIR=lib \
-DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=0 -DPYTHON_EXECUTABLE=$(command -v "$python") \
-DFETCHCONTENT_SOURCE_DIR_PYBIND11=$work/pybind11 -DTorch_DIR=$work/torch"
KALDIFEAT_MAKE_ARGS="-j$(nproc)"
PYTHONPATH="$work/tools${PYTHONPATH:+:$PYTHONPATH}"
export KALDIFEAT_CMAKE_ARGS KALDIFEAT_MAKE_ARGS PYTHONPATH
run "Building kaldifeat for torch $torch_was" \
    "${pip[@]}" install --no-deps --no-build-isolation --no-binary kaldifeat kaldifeat==1.24
check
