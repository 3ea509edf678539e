#!/bin/bash
# Runs every check: lint and types (scripts/lint.sh), then all tests: units first. Arguments go to pytest.
#
# Installs what is missing first (scripts/setup.sh test). As root it also boots systemd guests for
# tests/system; other users see those tests skipped. With CI=true a skipped test fails the run.
#
# Several processes share the tests, since much of their time is waiting; `scripts/test.sh -n 0` runs them in one.
# At the end stand the slowest tests, and what the run says of each promise of ARCHITECTURE.md.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh test
source scripts/caches.sh

# Downloads and builds what the guests need while everything else is checked. Whoever names tests may not want it.
if [[ $EUID -eq 0 && $# -eq 0 ]]; then
    .venv/bin/python -m tests.system.prepare &
    prepare=$!
    trap 'kill "$prepare" 2>/dev/null || true' EXIT
fi
# Every guest's programs take some of root's inotify instances, and Linux has 128 for each user.
instances=/proc/sys/fs/inotify/max_user_instances
if [[ -w $instances && $(<$instances) -lt 1024 ]]; then
    echo 1024 >$instances || true
fi
# Compiles the tests once: each of the processes would do it for itself, all at the same time.
"${pytest[@]}" --collect-only --quiet >/dev/null &
scripts/lint.sh
wait "$!" || true # what can't be collected is said below
"${pytest[@]}" -p tests.project.promises --numprocesses 6 --dist loadgroup --no-loadscope-reorder \
    --durations=25 "$@"
