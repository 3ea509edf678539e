#!/bin/bash
# Shows qps-reporter at work: a simulated web server writes a log and rotates it every 3 seconds, and
# the service reports on it every 5 seconds.
#
#   scripts/demo.sh                  until Ctrl-C
#   scripts/demo.sh --for SECONDS    until then
#
# Installs what is missing first (scripts/setup.sh run). Writes into a temporary directory only,
# and removes it at the end.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
seconds=infinity

usage() {
    echo "usage: scripts/demo.sh [--for SECONDS]" >&2
    exit 2
}

while (($#)); do
    case $1 in
    --for)
        seconds=${2:-}
        [[ $seconds =~ ^[0-9]+(\.[0-9]+)?$ ]] || usage
        shift 2
        ;;
    -h | --help)
        sed -n '2,/^set/{/^#/s/^# \?//p}' "${BASH_SOURCE[0]}"
        exit
        ;;
    *) usage ;;
    esac
done

"$here/scripts/setup.sh" run

export PYTHONPYCACHEPREFIX=$here/.venv/pycache
work=$(mktemp -d)
log=$work/access.log
service='' stopping=

stop() {
    [[ -n $service ]] || exit 0
    stopping=yes
    kill -TERM "$service" 2>/dev/null || true
}

# shellcheck disable=SC2317  # the trap calls it
cleanup() {
    trap '' INT TERM HUP
    local process
    for process in $(jobs -p); do
        kill -TERM "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    rm -rf "$work"
}

trap cleanup EXIT
trap stop INT TERM HUP

echo "demo: $log, rotated every 3 s, reported every 5 s; Ctrl-C ends" >&2

# Sessions of their own keep the terminal's Ctrl-C from them: it reaches this script alone, which
# stops each of them once, and the service first, so that its last report covers all that was written.
: >"$log" # so that it is there when the service looks, whichever of the two comes first
setsid "$here/.venv/bin/qps-reporter" simulate --output-file "$log" --log-rotation-interval 3 --keep 3 &
setsid "$here/.venv/bin/qps-reporter" run "$log" --format default --interval 5s --start start --state "$work/state" &
service=$!
setsid sleep "$seconds" &
timer=$!

status=0
wait -n || status=$?
if [[ -z $stopping ]] && ! kill -0 "$timer" 2>/dev/null; then
    stop
fi
if [[ -n $stopping ]]; then
    # A second Ctrl-C interrupts this, and the cleanup ends what is left.
    wait "$service" || true
    exit 0
fi
exit "$status"
