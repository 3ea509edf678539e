#!/bin/bash
# Debian's way of scripts/install.sh, which sources this: the package.
# shellcheck shell=bash disable=SC2034,SC2154,SC2317  # shares variables and functions with install.sh

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes --no-install-recommends -o Dpkg::Use-Pty=0 \
        -o APT::Sandbox::User=root -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}

# What is missing of the packages; this writes nothing, not even apt's cache.
missing_of() {
    apt --simulate -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= satisfy "$1" | sed -n 's/^Inst \([^ ]*\).*/\1/p'
}

# is_installed DEB: whether installing it would change nothing.
is_installed() {
    local part
    [[ $(package_status) == installed ]] || return 1
    for part in md5sums conffiles postinst prerm postrm; do
        cmp -s <(dpkg-deb --info "$1" $part 2>/dev/null) <(dpkg-query --control-show qps-reporter $part 2>/dev/null) ||
            return 1
    done
    part=$(dpkg-deb --fsys-tarfile "$1" | tar -xO ".$configuration" | md5sum)
    [[ $(dpkg-query --show --showformat='${Conffiles}' qps-reporter) == *"${part%% *}"* ]]
}

the_package() {
    if [[ -n $previous ]]; then
        apt install --reinstall --allow-downgrades "$previous" && { [[ $was != active ]] || systemctl restart "$unit"; }
    elif [[ -n $upgrade ]]; then
        echo "install: the version from before is not in dist/: the new one stays installed" >&2
        return 1
    else
        apt "${kept:-purge}" qps-reporter
        systemctl reset-failed "$unit" || true
    fi
}

install_package() {
    local wanted missing version deb
    [[ ! -e $home ]] || die "$home holds a qps-reporter made with --venv: upgrade it with scripts/install.sh --venv," \
        "or run scripts/install.sh --uninstall first, which keeps configuration and ledger"

    wanted="git, build-essential, ca-certificates, $(sed -n '/^Build-Depends:/,/^[^ ]/s/^ //p' packaging/debian/control)"
    wanted=${wanted%,}
    advice="mend what apt-get says above"
    if ! missing=$(missing_of "$wanted" 2>/dev/null) || [[ -n $missing ]]; then
        step "apt-get update" apt update
        missing=$(missing_of "$wanted") || [[ -n $dry_run ]] || die "apt-get can't install what the build wants: $wanted"
        step "installing Debian packages to build with, which stay: ${missing//$'\n'/ }" apt satisfy "$wanted"
    else
        say "the Debian packages to build with are there"
    fi

    version=$(sed -n '1s/^[^(]*(\(.*\)).*/\1/p' packaging/debian/changelog)
    deb=./dist/qps-reporter_${version}_$(dpkg --print-architecture).deb
    [[ $(package_status) != installed ]] || upgrade=yes
    [[ ! -e ${configuration%/*} && ! -e $ledger ]] || kept=remove
    if [[ -z $dry_run && -e $deb ]] && is_installed "$deb"; then
        previous=$work/${deb##*/}
        cp "$deb" "$previous"
    fi
    advice="nothing was changed; mend what scripts/build-deb.sh says above"
    step "building the package: scripts/build-deb.sh" scripts/build-deb.sh
    if [[ -z $dry_run ]] && is_installed "$deb"; then
        say "the package of this commit is installed already"
        start_service
        return
    fi
    if [[ -e $configuration ]]; then
        advice="nothing was changed; correct $configuration"
        [[ -n $dry_run ]] || dpkg-deb --extract "$deb" "$work/tree"
        step "checking $configuration" \
            check_configuration /usr/bin/python3 "$work/tree/usr/lib/qps-reporter/qps-reporter"
    fi
    advice="mend what apt-get says above"
    undo=(the_package)
    step "installing the package: apt-get install $deb" apt install ${upgrade:+--reinstall} "$deb"
    # apt starts one that is enabled and was stopped.
    [[ -z $upgrade || $was == active ]] || step "stopping $unit, as it was" systemctl stop "$unit"
    start_service
}

# remove_package remove|purge
remove_package() {
    # dpkg knows nothing of a template's instances.
    [[ $1 == remove ]] || systemctl disable qps-reporter@.service || true
    apt "$1" qps-reporter
}
