# shellcheck shell=bash
# What the tests share: the service with a configuration of the test's, and waiting for what the journal says.
# The configuration that was there is put back at the end, for the test after this one.
set -euo pipefail

unit=qps-reporter.service
configuration=/etc/qps-reporter/qps-reporter.toml
ledger=/var/lib/qps-reporter/ledger.db
# shellcheck disable=SC2034  # the tests use it
report=c06d9b30cc7b47849d384a0dfa9edfde # the MESSAGE_ID of reports
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
    printf 'interval = "1s"\n[log.access]\npath = "%s"\nstart = "start"\n' "$log" >"$configuration"
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

# await CURSOR PATTERN MATCH...: the first entry after the cursor, one line of JSON, in which the pattern stands.
await() {
    local from=$1 pattern=$2 end=$((SECONDS + hang)) entries reader
    shift 2
    while ((SECONDS < end)); do
        # An entry that comes just as journalctl begins to follow may not wake it: it is looked for again.
        exec {entries}< <(
            exec timeout 3 journalctl --quiet --follow --no-tail --all --output=json --after-cursor="$from" \
                "_SYSTEMD_UNIT=$unit" "$@" 2>/dev/null
        )
        reader=$!
        if grep --max-count=1 --extended-regexp --regexp="$pattern" <&"$entries"; then
            kill "$reader" 2>/dev/null || true
            exec {entries}<&-
            return
        fi
        exec {entries}<&-
    done
    fail "waited $hang seconds for $pattern"
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
