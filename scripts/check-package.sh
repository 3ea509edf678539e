#!/bin/bash
# Checks the Debian package that scripts/build-deb.sh left in a directory, with Debian's own tools.
#
#   scripts/check-package.sh lintian DIRECTORY       nothing may be left, down to pedantic
#   scripts/check-package.sh autopkgtest DIRECTORY [OPTION...]
#                                            runs packaging/debian/tests on THIS MACHINE: installs the package there
#   scripts/check-package.sh piuparts DIRECTORY [OPTION...]
#                                            installs, upgrades, removes and purges it in a chroot
#
# Options go to the tool. piuparts bootstraps a chroot of Debian's unstable from the network unless they say otherwise:
# --distribution=trixie, or --existing-chroot=TREE --keep-sources-list for one that is there. Says which tool is
# missing. autopkgtest and piuparts want root. The exit status is 0 when there is nothing to complain about.
set -euo pipefail
unset CDPATH
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
    sed -n '2,/^set/{/^#/s/^# \?//p}' "${BASH_SOURCE[0]}"
}

die() {
    echo "check-package: $*" >&2
    exit 1
}

case ${1:-} in
lintian | autopkgtest | piuparts) (($# >= 2)) || { usage >&2; exit 2; } ;;
-h | --help)
    usage
    exit
    ;;
*)
    usage >&2
    exit 2
    ;;
esac
tool=$1 directory=$(cd "$2" && pwd)
shift 2
command -v "$tool" >/dev/null || die "$tool is missing: apt-get install $tool"

# the_one SUFFIX: the file that the directory has of this checkout's version.
the_one() {
    local version found
    version=$(sed -n '1s/^[^(]*(\(.*\)).*/\1/p' "$here/packaging/debian/changelog")
    mapfile -t found < <(compgen -G "$directory/qps-reporter_$version$1")
    ((${#found[@]} == 1)) || die "expected one qps-reporter_$version$1 in $directory"
    echo "${found[0]}"
}

check_with_lintian() {
    local changes complaints suppress=()
    changes=$(the_one '_*.changes')
    # What only the lintian of Debian 12 says; the one of Debian 13 calls an override of it wrong. The policy of 2025 is
    # news to it. It wants an init script, too: without systemd the program runs from cron (run --once) or by hand.
    ! dpkg --compare-versions "$(lintian --print-version)" lt 2.122 ||
        suppress=(--suppress-tags "newer-standards-version,package-supports-alternative-init-but-no-init.d-script")
    # Not --fail-on: it takes what is suppressed, or masked by lintian itself, for a failure.
    complaints=$(lintian --allow-root --pedantic --display-info "${suppress[@]}" "$changes" 2>&1) ||
        die "lintian: $complaints"
    [[ -z $complaints ]] || die "lintian: $complaints"
}

check_with_autopkgtest() {
    local deb dsc
    deb=$(the_one "_$(dpkg --print-architecture).deb") dsc=$(the_one '.dsc')
    # That this machine may be changed is said by calling this; Debian 13's null no longer claims it by itself.
    autopkgtest --no-built-binaries --ignore-restrictions=isolation-container "$@" "$deb" "$dsc" -- null
}

# The version to upgrade from is the package itself under a lower number, in an archive of its own.
check_with_piuparts() {
    local deb
    deb=$(the_one "_$(dpkg --print-architecture).deb")
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/older" "$work/scripts"
    dpkg-deb --raw-extract "$deb" "$work/tree"
    sed -i 's/^Version: .*/Version: 0~older/' "$work/tree/DEBIAN/control"
    dpkg-deb --root-owner-group --build "$work/tree" "$work/older" >/dev/null
    (cd "$work/older" && dpkg-scanpackages --multiversion . >Packages 2>/dev/null)
    cat >"$work/scripts/post_chroot_unpack_older" <<END
#!/bin/sh
echo "deb [trusted=yes] file:$work/older ./" >/etc/apt/sources.list.d/older.list
END
    chmod -R go+rX "$work"
    chmod 755 "$work/scripts/post_chroot_unpack_older"
    piuparts --bindmount="$work/older" --scriptsdir="$work/scripts" "$@" "$deb" | tee "$work/log"
    grep --quiet 'PASS: Installation, upgrade and purging tests' "$work/log" || die "piuparts didn't test the upgrade"
}

"check_with_$tool" "$@"
