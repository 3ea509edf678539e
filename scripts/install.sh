#!/bin/bash
# Installs qps-reporter from this checkout as a service of this machine, and starts it. Run again in a newer
# checkout it upgrades: configuration and ledger stay. Needs systemd, and root.
#
#   scripts/install.sh               on Debian and its relatives: builds the package and installs it;
#                                    elsewhere like --venv
#   scripts/install.sh --venv        into a virtual environment in /opt/qps-reporter
#   scripts/install.sh --uninstall   removes the program and its units; configuration and ledger stay
#   scripts/install.sh --purge       removes these, too
#   scripts/install.sh --dry-run     with any of them: says each step, and does nothing
#
# Says each step before it is done. Stops at the first that fails, takes back what was done, and says what to do.
# Two things always stay: the user _qps-reporter, so that nobody else gets its number and with it files of its
# own, and the Debian packages that the build wants, which are named. pip heeds its variables (PIP_INDEX_URL).
set -euo pipefail

unset CDPATH
cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 022
# The distribution's own programs: what the service is made with must still be there when it starts.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin
export PYTHONDONTWRITEBYTECODE=1

home=/opt/qps-reporter
configuration=/etc/qps-reporter/qps-reporter.toml
ledger=/var/lib/qps-reporter
unit=qps-reporter.service
action=install venv='' dry_run='' work=''
# doing: the step under way; undo: functions that take back what was done, the last one first.
doing='' advice='' undo=() previous='' release='' upgrade='' kept='' python='' stamp=''

say() {
    echo "install: $*" >&2
}

die() {
    say "$*"
    exit 1
}

# step TEXT COMMAND...: what the command prints is shown if it fails.
step() {
    say "${dry_run:+(dry run) }$1"
    [[ -z $dry_run ]] || return 0
    doing=$1
    "${@:2}" >"$work/log" 2>&1
    doing=
}

# shellcheck disable=SC2317  # the trap calls it
finish() {
    local status=$? last
    trap - EXIT
    set +e
    exec >&3 2>&3
    if [[ -n $doing ]]; then
        tail -n 40 "$work/log"
        say "FAILED: $doing"
        for ((last = ${#undo[@]} - 1; last >= 0; last--)); do
            say "taking back: ${undo[last]//_/ }"
            "${undo[last]}" >"$work/log" 2>&1 || cat "$work/log"
        done
        say "$advice; then run this again"
    fi
    rm -rf "$work"
    exit "$status"
}

# check_configuration PROGRAM...: the new program reads it before anything is changed.
check_configuration() {
    QPS_REPORTER_CONFIG=$configuration "$@" check --config-only
}

# run_service restart|start
run_service() {
    systemctl "$1" $unit && systemctl is-active $unit && return
    journalctl --unit $unit --lines 20 --no-pager --output cat
    return 1
}

# start_service [restart]: an upgrade leaves a service disabled, or stopped, that its administrator left so.
start_service() {
    local verb=${1:-start}
    advice="mend what the service says above (journalctl --unit $unit has more)"
    if [[ -n $upgrade && $was != active ]]; then
        say "$unit was not running, and is left so"
        return
    fi
    [[ -n $upgrade ]] || systemctl is-enabled --quiet $unit 2>/dev/null || step "enabling $unit" systemctl enable $unit
    if [[ $verb == start ]] && systemctl is-active --quiet $unit; then
        say "$unit is running"
    else
        step "${verb}ing $unit" run_service "$verb"
    fi
}

package_status() {
    dpkg-query --show --showformat='${db:Status-Status}' qps-reporter 2>/dev/null || true
}

# Whether the package is there in any state but removed.
package_present() {
    case $(package_status) in '' | not-installed | config-files) return 1 ;; esac
}

# shellcheck source=scripts/install-package.sh
. scripts/install-package.sh
# shellcheck source=scripts/install-venv.sh
. scripts/install-venv.sh

is_debian() {
    # shellcheck source=/dev/null
    [[ " $(. /etc/os-release && echo "${ID:-} ${ID_LIKE:-}") " == *" debian "* ]] &&
        command -v apt-get >/dev/null && command -v dpkg >/dev/null
}

uninstall() {
    local verb=remove found=
    [[ $action == uninstall ]] || verb=purge
    advice="mend what is said above"
    if [[ -L $home/current || -n $(compgen -G "$home/release-*/root") ]]; then
        found=yes
        step "stopping the service, and removing $home, the units and /usr/local/bin/qps-reporter" remove_venv
    fi
    if package_present || [[ $verb == purge && $(package_status) == config-files ]]; then
        step "removing the package: apt-get $verb qps-reporter" remove_package "$verb"
    elif [[ -z $found ]]; then
        say "the program is not installed"
    fi
    if [[ $verb == purge && (-e ${configuration%/*} || -e $ledger) ]]; then
        step "removing ${configuration%/*} and $ledger" rm -rf "${configuration%/*}" "$ledger"
    fi
}

while (($#)); do
    case $1 in
    --uninstall | --purge) action=${1#--} ;;
    --venv) venv=yes ;;
    --dry-run) dry_run=yes ;;
    -h | --help)
        sed -n '2,/^set/{/^#/s/^# \?//p}' "${BASH_SOURCE[0]}"
        exit
        ;;
    *)
        echo "usage: scripts/install.sh [--venv | --uninstall | --purge] [--dry-run]" >&2
        exit 2
        ;;
    esac
    shift
done

[[ -d /run/systemd/system ]] || die "this machine was not booted with systemd, which the service needs"
was=$(systemctl is-active "$unit" 2>/dev/null) || true
if [[ -z $dry_run ]]; then
    ((EUID == 0)) || die "this needs root: sudo scripts/install.sh (or --dry-run, to see what it would do)"
    work=$(mktemp -d)
    exec 3>&2
    trap finish EXIT
fi

if [[ $action != install ]]; then
    uninstall
    exit
elif [[ -z $venv ]] && is_debian; then
    install_package
else
    install_venv
fi
[[ -n $upgrade ]] || say "to find and name the logs of this machine's web servers:" \
    "qps-reporter setup --write && systemctl reload qps-reporter"
