#!/bin/bash
# Runs every check: lint and types (scripts/lint.sh), then all tests: units first, then faults, then guests. Arguments go to pytest.
#
# Installs what is missing first (scripts/setup.sh test). As root it also boots systemd guests for
# tests/system; other users see those tests skipped. With CI=true a skipped test fails the run.
#
# Several processes share the tests, since much of their time is waiting; `scripts/test.sh -n 0` runs them in one.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh test
scripts/lint.sh
source scripts/caches.sh
exec .venv/bin/pytest --numprocesses 3 --durations=25 "$@"
