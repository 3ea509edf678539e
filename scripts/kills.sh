#!/bin/bash
# Kills the program at random moments, under ten rotations a second, as often as one likes: scripts/kills.sh 5000
set -euo pipefail
cd "$(dirname "$0")/.."
QPS_REPORTER_KILLS="${1:-1000}" exec .venv/bin/pytest -q tests/fault/test_kills.py -k random_moments
