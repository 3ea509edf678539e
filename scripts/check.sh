#!/bin/bash
# The checks for everyday: scripts/check.sh [fast] [PYTEST'S ARGUMENTS]
#
#   scripts/check.sh fast   lint, types, and the unit tests but for twins, builds and what waits: after each change
#   scripts/check.sh        also twins and builds, the random histories, and tests/project: before a commit
#
# What is left is for scripts/test.sh: programs beside ours, kills, fuzzing, and guests with a systemd of their own.
# Installs what is missing first (scripts/setup.sh test). Lint and tests run side by side.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh test
source scripts/caches.sh

if [[ ${1:-} == fast ]]; then
    shift
    export FUZZ_EXAMPLES=100 # of lines for all scanners: a tenth
    what=(-m 'not twin and not build and not real_time' --hypothesis-profile quick tests/unit)
else
    what=(-m 'not real_time' tests/unit tests/project tests/model)
fi

said=$(mktemp)
trap 'rm "$said"' EXIT
scripts/lint.sh >"$said" 2>&1 &
lint=$! failed=
"${pytest[@]}" --quiet --numprocesses 2 "${what[@]}" "$@" || failed=yes
wait "$lint" || { failed=yes && cat "$said"; }
[[ -z $failed ]]
