#!/bin/bash
# Lists the promises of ARCHITECTURE.md's table, with how many tests and broken twins held each in this run of them all.
#
# Fails where a promise has no test, no twin, or one of them failed. Arguments go to pytest: `-m 'not system'`, say.
# Installs what is missing first (scripts/setup.sh test).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh test
source scripts/caches.sh
mapfile -t places < <(.venv/bin/python -m tests.project.promises)
exec "${pytest[@]}" -p tests.project.promises --hold-promises --quiet --numprocesses 3 "${places[@]}" "$@"
