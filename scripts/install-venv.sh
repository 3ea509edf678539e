#!/bin/bash
# The way of scripts/install.sh for other distributions, which sources this: a virtual environment.
#
# Each release is a directory of its own in /opt/qps-reporter, and `current` is a link to one: until the switch
# nothing is touched that runs, and the way back is another switch. A release's directory `root` has what belongs
# outside, and so tells what to remove. The units go to /usr/local/lib: /etc is for the administrator's own, with
# which they are overridden and masked. Which settings systemd understands is left to the package's generator.
# shellcheck shell=bash disable=SC2034,SC2154,SC2317  # shares variables and functions with install.sh

find_python() {
    local minor
    for minor in '' .{20..11}; do
        python=$(command -v "python3$minor") &&
            "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    done
    die "Python 3.11 or newer is needed: install it with the distribution's package manager, then run this again"
}

# What the files outside must look like here: paths, the linker's directories, and a group that may be missing.
render() {
    local lib=$release/root/usr/local/lib libraries adapt name
    libraries=$("$python" -c 'import sys; print(f"-{sys.base_prefix}/lib -{sys.base_prefix}/lib64")')
    adapt="s|/usr/bin/qps-reporter|$home/current/bin/qps-reporter|g"
    adapt+="; s|/usr/bin/python3|$(readlink -f "$python")|g; s|/usr/lib/qps-reporter/systemd|$home/current/systemd|g"
    getent group adm >/dev/null || adapt+='; /^SupplementaryGroups=adm$/d; /^m _qps-reporter adm$/d'
    mkdir -p "$lib/systemd/system-generators" "$lib/systemd/system" "$lib/sysusers.d" "$release/systemd" \
        "$release/root/usr/local/bin"
    sed "$adapt" packaging/systemd/qps-reporter.socket >"$lib/systemd/system/qps-reporter.socket"
    for name in qps-reporter.service qps-reporter@.service; do
        sed "$adapt" packaging/systemd/$name >"$lib/systemd/system/$name"
        mkdir "$lib/systemd/system/$name.d"
        printf '[Service]\nExecPaths=%s\n' "$home -/lib64 $libraries" >"$lib/systemd/system/$name.d/opt.conf"
    done
    for name in since-253.conf since-254.conf; do
        sed "$adapt" packaging/systemd/$name >"$release/systemd/$name"
    done
    sed "$adapt" packaging/systemd/qps-reporter-generator >"$lib/systemd/system-generators/qps-reporter-generator"
    chmod 755 "$lib/systemd/system-generators/qps-reporter-generator"
    sed "$adapt" packaging/systemd/qps-reporter.sysusers.conf >"$lib/sysusers.d/qps-reporter.conf"
    [[ ! -e packaging/systemd/qps-reporter.catalog ]] ||
        install -D -m 644 packaging/systemd/qps-reporter.catalog "$lib/systemd/catalog/qps-reporter.catalog"
    ln -s "$home/current/bin/qps-reporter" "$release/root/usr/local/bin/qps-reporter"
}

make_release() {
    local site=() path
    mkdir -p "$home"
    release=$(mktemp -d "$home/release-XXXXXX")
    chmod 755 "$release"
    # PyPI has only systemd-python's source: the distribution's own is taken, where there is one.
    ! "$python" -c 'import systemd.daemon, systemd.journal' 2>/dev/null || site=(--system-site-packages)
    "$python" -m venv "${site[@]}" "$release"
    # pip would leave directories in the checkout.
    mkdir "$work/source"
    cp -r pyproject.toml setup.py MANIFEST.in README.md LICENSE qps_service "$work/source"
    "$release/bin/pip" install --no-cache-dir --disable-pip-version-check "$work/source"
    render
    echo "$stamp" >"$release/stamp"
    [[ -z $previous ]] || return 0
    while read -r path; do
        [[ ! -e $path ]] || die "$path is there, and not from here: move it away"
    done < <(outside "$release")
}

# Without a compiler the program is installed all the same.
say_scanner() {
    local scanner
    # -I: not the checkout's.
    scanner=$("$release/bin/python" -I -c 'from qps_service.scanning.built import describe; print(describe({}))')
    say "it has the $scanner"
    [[ $scanner == native* ]] || say "to have the native one: a C compiler and Python's headers (Debian: gcc and" \
        "python3-dev; Fedora: gcc and python3-devel); then run this again"
}

the_new_directory() {
    [[ -z $release ]] || rm -rf "$release"
    rmdir --ignore-fail-on-non-empty "$home"
}

the_configuration() {
    rm -f "$configuration"
    rmdir --ignore-fail-on-non-empty "${configuration%/*}"
}

# What belongs outside of the directory RELEASE, as paths.
outside() {
    (cd "$1/root" && find . ! -type d -printf '/%P\n')
}

# remove_outside RELEASE [BUT_NOT_OF]
remove_outside() {
    local path
    while read -r path; do
        [[ -n ${2:-} && -e $2/root$path ]] || rm -f "$path"
    done < <(outside "$1")
    # Directories that others may use, too, go only when they are empty, and /usr/local's own never.
    (cd "$1/root" && find . -mindepth 4 -depth -type d -printf '/%P\n') |
        xargs -r rmdir --ignore-fail-on-non-empty 2>/dev/null || true
}

refresh() {
    [[ ! -e $home/current/root/usr/local/lib/systemd/catalog && -z ${1:-} ]] || journalctl --update-catalog
    systemctl daemon-reload
}

# switch RELEASE [FROM]: its files outside, and `current`.
switch() {
    cp -R --no-dereference --remove-destination "$1/root/." /
    ln -sfn "$1" "$home/next"
    mv -T "$home/next" "$home/current"
    [[ -z ${2:-} ]] || remove_outside "$2" "$1"
    ! command -v restorecon >/dev/null || restorecon -R "$home" /usr/local/bin /usr/local/lib/systemd
    systemd-sysusers /usr/local/lib/sysusers.d/qps-reporter.conf
    refresh
}

the_units_and_the_program() {
    if [[ -n $previous ]]; then
        switch "$previous" "$release"
        [[ $was != active ]] || systemctl restart "$unit"
    else
        systemctl disable --now "$unit"
        remove_outside "$release"
        rm -f "$home/current" "$home/next"
        refresh always
        systemctl reset-failed "$unit" || true
        [[ -n $kept ]] || rm -rf "$ledger"
    fi
}

is_current() {
    local path
    [[ -n $previous && $(<"$previous/stamp") == "$stamp" ]] || return 1
    while read -r path; do
        cmp -s "$previous/root$path" "$path" || return 1
    done < <(outside "$previous")
}

install_venv() {
    ! package_present ||
        die "the Debian package is installed: upgrade it with scripts/install.sh," \
            "or apt-get remove qps-reporter first, which keeps configuration and ledger"
    find_python
    [[ -x /bin/kill ]] || die "/bin/kill is missing, which the unit needs: install procps (or util-linux), then run this again"
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        die "$python can't make virtual environments: install python3-venv (Debian's name), then run this again"
    "$python" -c 'import systemd.daemon, systemd.journal' 2>/dev/null || pkg-config --exists libsystemd 2>/dev/null ||
        die "$python has no module systemd: install python3-systemd (Arch: python-systemd)," \
            "or what pip needs to build it: a C compiler, pkg-config, and the headers of Python and libsystemd;" \
            "then run this again"

    previous=$(readlink -e "$home/current") || true
    upgrade=${previous:+yes}
    stamp=$({
        "$python" -c 'import sys; print(sys.version, sys.executable)'
        getent group adm | cut -d: -f1
        "$python" scripts/compiler.py
        find qps_service packaging pyproject.toml setup.py MANIFEST.in scripts/install*.sh -type f \
            ! -name '*.pyc' ! -name '*.so' -print0 |
            LC_ALL=C sort -z | xargs -0 sha256sum
    } | sha256sum)
    if is_current; then
        say "$previous is of this checkout already"
        start_service
        return
    fi
    [[ ! -e $ledger ]] || kept=yes
    undo=(the_new_directory)
    advice="mend what pip says above"
    step "making a virtual environment below $home with $python" make_release
    [[ -n $dry_run ]] || say_scanner
    if [[ -e $configuration ]]; then
        advice="nothing was changed; correct $configuration"
        step "checking $configuration" check_configuration "$release/bin/qps-reporter"
    else
        undo+=(the_configuration)
        advice="mend what is said above"
        step "installing $configuration" install -D -m 644 packaging/qps-reporter.toml "$configuration"
    fi
    undo+=(the_units_and_the_program)
    advice="mend what is said above"
    step "installing the units, the user _qps-reporter and /usr/local/bin/qps-reporter" switch "$release" "$previous"
    start_service "${previous:+re}start"
    [[ -z $dry_run ]] || return 0
    systemctl try-restart 'qps-reporter@*.service'
    find "$home" -mindepth 1 -maxdepth 1 -name 'release-*' ! -path "$release" -exec rm -rf {} +
}

remove_venv() {
    local release
    # The socket before what it would start again.
    systemctl stop qps-reporter.socket "$unit" 'qps-reporter@*.service' || true
    # With a template its instances are disabled, too.
    systemctl disable qps-reporter.socket "$unit" qps-reporter@.service || true
    for release in "$home"/release-*; do
        [[ ! -d $release/root ]] || remove_outside "$release"
    done
    refresh always
    rm -rf "$home"
}
