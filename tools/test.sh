#!/usr/bin/env bash
# Set up the environment and run the tests; arguments go to pytest.
#
# Usage: tools/test.sh [PYTEST ARGUMENT]...
#
#   tools/test.sh                  everything
#   tools/test.sh -m 'not slow'    without the runs that take a minute
#   tools/test.sh tests/test_text.py -k tokenizer -n 0     in one process, so that -s shows what is printed
set -euo pipefail
case "${1-}" in -h | --help) sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0" && exit 0 ;; esac
cd "$(dirname "$(realpath "$0")")/.."

# shellcheck source=../egs/common/path.sh
. egs/common/path.sh
find_environment pytest xdist hypothesis kaldi_native_fbank psds_eval
# Small tensors: more than one thread per process costs more than it brings.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# A file of tests stays in one process, since its tests share what is slow to make.
exec "$python" -m pytest -n auto --maxprocesses 8 --dist loadfile "$@"
