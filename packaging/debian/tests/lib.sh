# shellcheck shell=bash
# What the tests share: the service with a configuration of the test's, and waiting for what the journal says.
# The configuration that was there is put back at the end, for the test after this one.
set -euo pipefail

unit=qps-reporter.service
configuration=/etc/qps-reporter/qps-reporter.toml
ledger=/var/lib/qps-reporter/ledger.db
# shellcheck disable=SC2034  # the tests use it
report=c06d9b30cc7b47849d384a0dfa9edfde # the MESSAGE_ID of reports
# shellcheck disable=SC2034
reloaded=1c20831ce8c04493a9c03d9da0f29625
# shellcheck disable=SC2034
waiting=50caf5a7bd054a4380349efbc51ce579
hang=120                                # seconds after which what is waited for is taken to hang

work=$(mktemp -d)
log=/var/log/qps-reporter-test/access.log
cp -p "$configuration" "$work/configuration"

restore() {
    systemctl stop "$unit"
    cp -p "$work/configuration" "$configuration"
    rm -rf "$work" "${log%/*}" /var/lib/qps-reporter/*
    systemctl start "$unit"
}
trap restore EXIT

fail() {
    echo "$*" >&2
    systemctl status --full --lines=30 "$unit" >&2 || true
    exit 1
}

# same WANTED GOT WHAT
same() {
    [[ $1 == "$2" ]] || fail "expected $3 to be $1, found $2"
}

property() {
    systemctl show --property "$1" --value "$unit"
}

configure() {
    printf 'interval = "1s"\n[output.journal]\nidle = "0"\n[log.access]\npath = "%s"\nstart = "start"\n' "$log" >"$configuration"
}

# An empty ledger, so that each test's totals are its own.
start_anew() {
    systemctl stop "$unit"
    rm -rf /var/lib/qps-reporter/*
    mkdir -p "${log%/*}"
    systemctl start "$unit"
}

cursor() {
    journalctl --sync
    journalctl --quiet --lines=0 --show-cursor | sed -n 's/^-- cursor: //p'
}

# entries CURSOR ID [OPTION...]: the unit's entries after the cursor with a MESSAGE_ID, a line of JSON each. The
# matches are not journalctl's: with an entry that doesn't match as the cursor, it leaves out the first that does.
entries() {
    local from=$1 id=$2
    shift 2
    exec 2>/dev/null
    timeout "$hang" journalctl --quiet --all --output=json --after-cursor="$from" "$@" |
        grep --line-buffered --extended-regexp "\"_SYSTEMD_UNIT\" *: *\"$unit\"" | grep --line-buffered --fixed-strings "$id"
}

# await CURSOR ID PATTERN: the first of these entries in which the pattern stands.
await() {
    local stream reader found=0
    exec {stream}< <(entries "$1" "$2" --follow --no-tail)
    reader=$!
    grep --max-count=1 --extended-regexp --regexp="$3" <&"$stream" || found=$?
    pkill --parent "$reader" || true
    exec {stream}<&-
    ((found == 0)) || fail "waited $hang seconds for $3"
}

# field NAME: of an entry.
field() {
    python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# The ledger's totals are what simulate wrote, row by row, and its own audit finds nothing amiss.
compare_with_truth() {
    python3 - "$1" "$ledger" <<'END'
import json, sqlite3, sys

with open(sys.argv[1]) as file:
    truth = json.load(file)
names = "method", "route", "status", "requests", "bytes"
written = sorted(tuple(row[name] for name in names) for row in truth["rows"] if row["requests"])
totals = sqlite3.connect(f"file:{sys.argv[2]}?mode=ro", uri=True)
counted = sorted(totals.execute("SELECT method, route, status, requests, bytes FROM totals WHERE requests"))
for row in sorted(set(written) ^ set(counted)):
    print("written " if row in written else "counted ", *row)
lines = sum(row[3] for row in counted)
print(f"{truth['lines']} lines written, {lines} counted, {truth['rotations']} rotations")
sys.exit(written != counted or lines != truth["lines"] or not lines)
END
    qps-reporter audit >"$work/audit" || fail "$(<"$work/audit")"
}
