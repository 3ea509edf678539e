#!/bin/bash
# Looks for faults for longer than the checks have time for; `scripts/campaign.sh --help` tells how.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
usage() {
    cat <<'END'
usage: scripts/campaign.sh CAMPAIGN [SIZE]

  histories [NUMBER]     random histories of a log, against the oracle of numbered lines (5,000)
  timed [NUMBER]         likewise, but each line has a time, so that none is like another (20,000)
  kills [NUMBER]         SIGKILL at random moments, under ten rotations a second, logrotate's in seven modes (1,000)
  steps                  SIGKILL and power loss before each call of a commit; the checks take every ninth write
  logrotate [MINUTES]    the real logrotate, every minute of simulated time, in each of its modes (1,440)
  vhosts [NUMBER]        so many virtual hosts by one pattern, rotated at once by the real logrotate, over stops (300)
  alarms [DAYS]          days of Debian's stock logrotate on each of 64 machines, without a false alarm (7)
  siege [MINUTES]        a hostile client, local user and scrapers, with nginx and bad days; a line a minute (60)
  scrapes [SECONDS]      the real Prometheus scrapes, with a SIGKILL in between (120)
  fuzz scan [RUNS]       the native scanner under libFuzzer and sanitizers (1,000,000)
  fuzz twins [EXAMPLES]  all scanners against reading line by line (100,000)
  fuzz hostile           lines of 10 GiB and 10 million routes, through the whole reader
  debians                all that runs in guests, on each Debian; the checks run some of it on one

Installs what is missing first (scripts/setup.sh test). What `fuzz scan` finds goes to .cache/fuzz; a case that
shows a fault belongs into tests/fuzz/corpus or a test when the fault is mended.
END
}

if [[ ${1:-} == @(-h|--help) ]]; then
    usage
    exit
fi
campaign=${1:-}
if [[ $campaign == fuzz ]]; then
    campaign+=" ${2:-}"
    shift
fi
size=${2:-}
if [[ $campaign != @(histories|timed|kills|steps|logrotate|vhosts|alarms|siege|scrapes|fuzz scan|fuzz twins|fuzz hostile|debians) || $# -gt 2 ]] ||
    [[ -n $size && ($campaign == @(steps|fuzz hostile|debians) || ! $size =~ ^[1-9][0-9]*$) ]]; then
    usage >&2
    exit 2
fi

scripts/setup.sh test
source scripts/caches.sh
pytest+=(--quiet)
case $campaign in
histories) QPS_REPORTER_HISTORIES=${size:-5000} exec "${pytest[@]}" -rP tests/model -k every_line_once ;;
timed) QPS_REPORTER_EQUAL_LINES=no QPS_REPORTER_HISTORIES=${size:-20000} exec "${pytest[@]}" -rP tests/model -k every_line_once ;;
kills) QPS_REPORTER_KILLS=${size:-1000} exec "${pytest[@]}" tests/fault/test_kills.py -k random_moments ;;
steps) QPS_REPORTER_EVERY_STEP=yes exec "${pytest[@]}" tests/fault/test_kills.py tests/fault/test_power_loss.py -k every_step ;;
logrotate) QPS_REPORTER_LOGROTATED=${size:-1440} exec "${pytest[@]}" tests/fault/test_logrotate.py -k every_line_once ;;
vhosts) QPS_REPORTER_VHOSTS=${size:-300} exec "${pytest[@]}" -rP tests/fault/test_vhosts.py -k "promise and many" ;;
alarms) QPS_REPORTER_DAYS=${size:-7} exec "${pytest[@]}" -rP tests/fault/test_alarms.py -k no_false_alarm ;;
siege) exec .venv/bin/python -m tests.fault.siege "${size:-60}" ;;
scrapes) QPS_REPORTER_SCRAPED=${size:-120} exec "${pytest[@]}" -rP tests/fault/test_prometheus.py -k truth_over_a_sigkill ;;
'fuzz scan') exec .venv/bin/python -m tests.fuzz.campaign "${size:-1000000}" ;;
# New examples, where CI=true would draw the same each time.
'fuzz twins') FUZZ_EXAMPLES=${size:-100000} CI='' exec "${pytest[@]}" tests/unit/scanning/test_twins.py -k "says or spills" ;;
debians) QPS_REPORTER_ON_EACH_DEBIAN=yes exec "${pytest[@]}" --numprocesses 3 --dist loadgroup --no-loadscope-reorder tests/system ;;
'fuzz hostile') FUZZ_HOSTILE=long exec "${pytest[@]}" -rP tests/fuzz/test_hostile.py ;;
esac
