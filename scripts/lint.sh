#!/bin/bash
# Everything that is found by reading alone: shellcheck, the compiler's warnings, clang-format, ruff and mypy --strict.
#
# Needs what `scripts/setup.sh test` installs. `scripts/check.sh` and `scripts/test.sh` begin with it.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

shellcheck scripts/*.sh .ci/run packaging/debian/qps-reporter.p* packaging/debian/tests/[a-z]*[!l] \
    packaging/systemd/qps-reporter-generator
# Four seconds of the quick loop: not again while nothing in there changed since it passed.
c=qps_service/scanning/c passed=.cache/c-passed
if [[ ! -e $passed || -n $(find "$c" scripts/lint.sh -newer "$passed") ]]; then
    mkdir -p .cache
    touch "$passed-now"
    # Optimised, since some warnings come of that. Where it is built for use, none of them is an error.
    includes=$(/usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')
    gcc -O3 -std=c11 -Wall -Wextra -Wconversion -Wshadow -Wcast-qual -Wstrict-prototypes -Wundef -Werror \
        -DPy_LIMITED_API=0x030B0000 -isystem "$includes" -fPIC -c -o /dev/null "$c/module.c"
    .venv/bin/clang-format --dry-run --Werror "$c"/*.[ch] "$c"/isa/*.h
    mv "$passed-now" "$passed"
fi
.venv/bin/ruff check .
.venv/bin/ruff format --check --quiet .
.venv/bin/mypy --strict
