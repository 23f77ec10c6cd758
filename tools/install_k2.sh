#!/usr/bin/env bash
# Install the wheel of k2 that was built for exactly the torch, CUDA and Python of your environment: faster Swooshes.
#
# Usage: tools/install_k2.sh [--optional]
#
#   --optional   where no wheel fits, say so and go on (exit 0); without it that is an error
#
# Nothing else is installed or changed. AUDIOTEXT_PYTHON names the Python that gets it; without it the active
# environment does, or .venv. Of several wheels that fit, the newest is taken. Variables, all of them empty as a rule:
#
#   K2_VERSION   take this version only, such as 1.24.4.dev20250307, or one that begins so
#   K2_INDEX     a page of links to wheels, or what cpu.html and cuda.html lie under; an address or a path
#   K2_WHEEL     a wheel that is here already; no index is read
set -euo pipefail

optional=""
for argument; do
    case $argument in
        --optional) optional=yes ;;
        -h | --help) sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0" && exit 0 ;;
        *) echo "install_k2.sh: no option '$argument'; known: --optional --help" >&2 && exit 2 ;;
    esac
done
fail() {
    echo "install_k2.sh: $*" >&2
    [ -n "$optional" ] || exit 1
    echo "SKIPPED, k2 NOT installed"
    exit 0
}

here=$PWD
cd "$(dirname "$(realpath "$0")")/.."
# shellcheck source=../egs/common/path.sh
. egs/common/path.sh
# shellcheck disable=SC2119
find_environment || exit 1

torch_version() { "$python" -c 'import importlib.metadata as m; print(m.version("torch"))'; }

# k2 computes what the formulas say (Zipformer, arXiv 2310.11230, section 3.4).
check() {
    "$python" << 'END'
import sys
import k2
import torch
x = torch.linspace(-20, 20, 4001)
for name, shift, offset in (("swoosh_l", 4, 0.035), ("swoosh_r", 1, 0.313261687)):
    wanted = torch.logaddexp(torch.zeros(()), x - shift) - 0.08 * x - offset
    gap = float((getattr(k2, name)(x, 0.0) - wanted).abs().max())
    if not gap < 1e-4:
        sys.exit(f"k2.{name} differs from its formula by {gap:.1e}")
print(f"k2 {getattr(k2, '__version__', '')} works with torch {torch.__version__}")
END
}

# Prints the address of the newest wheel that fits; where none does, says what was wanted and what there is.
choose() {
    "$python" - "${K2_INDEX:-https://k2-fsa.github.io/k2}" "${K2_VERSION:-}" "$here" << 'END'
import re, sys
from collections import defaultdict
from pathlib import Path
from urllib.parse import unquote, urljoin
from urllib.request import urlopen
import torch
from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

index, wanted_version, here = sys.argv[1:]
cuda = torch.version.cuda
build = f"{f'cuda{cuda}' if cuda else 'cpu'}.torch{torch.__version__.partition('+')[0]}"
if "://" not in index:
    index = Path(here, index).resolve().as_uri()
page = index if index.endswith(".html") else f"{index.rstrip('/')}/{'cuda' if cuda else 'cpu'}.html"
try:
    text = urlopen(page, timeout=60).read().decode()
except (OSError, ValueError) as error:
    sys.exit(f"cannot read {page}: {error}; name a mirror with K2_INDEX or a wheel with K2_WHEEL")
tags, fits, others = set(sys_tags()), [], defaultdict(set)
for link in re.findall(r"""href\s*=\s*["']([^"'#]+\.whl)""", text):
    try:
        name, version, _, wheel_tags = parse_wheel_filename(unquote(link.rpartition("/")[2]))
    except InvalidWheelFilename:
        continue
    if name != "k2" or version.local is None:
        continue
    here_too = not tags.isdisjoint(wheel_tags)
    if version.local == build and here_too and version.public.startswith(wanted_version):
        fits.append((version, urljoin(page, link)))
    others[here_too].add((version.local, next(iter(wheel_tags)).interpreter, version.public))
if fits:
    print(max(fits)[1])
    sys.exit()
tag = next(sys_tags())
said = f" version {wanted_version}" if wanted_version else ""
lines = [f"no wheel of k2{said} for {build}, {tag.interpreter}, {tag.platform} in {page}"]
builds = sorted({local for local, *_ in others[True]})
lines.append(f"for this Python and platform there are: {', '.join(builds) or 'none'}")
if same := sorted({(python, public) for group in others.values() for local, python, public in group if local == build}):
    lines.append(f"for this torch there are: {', '.join(f'{python} {public}' for python, public in same)}")
lines.append("install one of these torches, or leave k2 out: the same Swooshes in plain torch are the default")
sys.exit("\n".join(lines))
END
}

if "$python" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("k2") is None)'; then
    ! check || exit 0
    echo "k2 is installed, but does not work; looking for another"
fi
torch_was=$(torch_version)
if [ -n "${K2_WHEEL:-}" ]; then
    case $K2_WHEEL in /*) wheel=$K2_WHEEL ;; *) wheel=$here/$K2_WHEEL ;; esac
    [ -f "$wheel" ] || fail "K2_WHEEL: no file $wheel"
else
    wheel=$(choose) || fail "see above"
fi
echo "Installing $wheel"
"$python" -m pip install --disable-pip-version-check --no-deps "$wheel" || fail "pip could not install it"
if ! check; then
    "$python" -m pip uninstall -y k2 || true
    fail "it does not work here"
fi
[ "$(torch_version)" = "$torch_was" ] || fail "torch was $torch_was and is now $(torch_version)"
