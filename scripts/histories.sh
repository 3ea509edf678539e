#!/bin/bash
# Draws random histories of a log (tests/model) for as many as one likes: scripts/histories.sh 20000
set -euo pipefail
cd "$(dirname "$0")/.."
QPS_REPORTER_HISTORIES="${1:-5000}" exec .venv/bin/pytest -q tests/model -k TestHistories
