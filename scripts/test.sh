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

# Everything that the checks leave behind stays in one directory that git ignores.
export PYTHONPYCACHEPREFIX=$PWD/.cache/python
export RUFF_CACHE_DIR=$PWD/.cache/ruff
export MYPY_CACHE_DIR=$PWD/.cache/mypy
export HYPOTHESIS_STORAGE_DIRECTORY=$PWD/.cache/hypothesis

shellcheck scripts/*.sh .ci/run packaging/debian/qps-reporter.p* packaging/debian/tests/[a-z]*[!l] \
    packaging/systemd/qps-reporter-generator
# Optimised, since some warnings come of that. Where it is built for use, none of them is an error.
includes=$(/usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')
gcc -O3 -std=c11 -Wall -Wextra -Wconversion -Wshadow -Wcast-qual -Wstrict-prototypes -Wundef -Werror \
    -DPy_LIMITED_API=0x030B0000 -isystem "$includes" -fPIC -c -o /dev/null qps_service/scanning/c/module.c
.venv/bin/clang-format --dry-run --Werror qps_service/scanning/c/*.[ch] qps_service/scanning/c/isa/*.h
.venv/bin/ruff check .
.venv/bin/ruff format --check --quiet .
.venv/bin/mypy --strict
# A file's tests stay together, so that its guest boots once. Files go in their order: the long ones,
# tests/fault and tests/system, come first, and the short ones of tests/unit keep both busy to the end.
exec .venv/bin/pytest -o cache_dir=.cache/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder "$@"
