#!/bin/bash
# Has the real Prometheus scrape for as long as one likes, in seconds, with a SIGKILL in between: scripts/scrapes.sh 600
set -euo pipefail
cd "$(dirname "$0")/.."
QPS_REPORTER_SCRAPED="${1:-120}" exec .venv/bin/pytest -q -rP tests/fault/test_prometheus.py -k truth_over_a_sigkill
