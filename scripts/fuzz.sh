#!/bin/bash
# Looks for inputs that the scanners don't bear, for longer than the checks do.
#
#   scripts/fuzz.sh scan [RUNS]       the native scanner under libFuzzer and sanitizers (a million)
#   scripts/fuzz.sh twins [EXAMPLES]  all scanners against reading line by line (a hundred thousand)
#   scripts/fuzz.sh hostile           lines of 10 GiB and 10 million routes, through the whole reader
#
# Installs what is missing first (scripts/setup.sh test). What it finds goes to .cache/fuzz; a case that shows a
# fault belongs into tests/fuzz/corpus or a test when the fault is mended.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
usage() {
    echo "usage: scripts/fuzz.sh scan [RUNS] | twins [EXAMPLES] | hostile" >&2
    exit 2
}
what=${1:-}
[[ $what == @(scan|twins|hostile) && $# -le 2 && ${2:-1} =~ ^[0-9]+$ ]] || usage
scripts/setup.sh test

export PYTHONPYCACHEPREFIX=$PWD/.cache/python
export HYPOTHESIS_STORAGE_DIRECTORY=$PWD/.cache/hypothesis
pytest=(.venv/bin/pytest -o cache_dir=.cache/pytest -q)
case $what in
scan) exec .venv/bin/python -m tests.fuzz.campaign "${2:-1000000}" ;;
twins) FUZZ_EXAMPLES=${2:-100000} CI='' exec "${pytest[@]}" tests/unit/test_twins.py -k "says or spills" ;;
hostile) FUZZ_HOSTILE=long exec "${pytest[@]}" -rP tests/fuzz/test_hostile.py ;;
esac
