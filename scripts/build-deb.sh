#!/bin/bash
# Builds the Debian package and its source package from what is committed, and leaves them in dist/.
#
#   scripts/build-deb.sh [DIRECTORY]     into DIRECTORY instead
#   scripts/build-deb.sh --fetch         only download what the build needs
#
# Wants Debian's build tools and says which are missing. The one thing that it downloads is the source of
# inotify_simple, which Debian doesn't have: pinned by hash, kept in .cache/sources. The build itself needs no
# network. The same commit gives the same packages, byte for byte, wherever and whenever it is built on one
# release of Debian.
set -euo pipefail

unset CDPATH
cd "$(dirname "${BASH_SOURCE[0]}")/.."

output=dist fetch_only=
case ${1:-} in
--fetch) fetch_only=yes ;;
-*)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "${BASH_SOURCE[0]}"
    [[ $1 == -h || $1 == --help ]]
    exit
    ;;
?*) output=$1 ;;
esac

# The last release that the setuptools of Debian 12 builds.
sdist=inotify_simple-1.3.5.tar.gz
sdist_url=https://files.pythonhosted.org/packages/51/41/59ca6011f5463d5e5eefcfed2e7fe470922d3a958b7f3aad95eda208d7d3/$sdist
sdist_sha256=8440ffe49c4ae81a8df57c1ae1eb4b6bfa7acb830099bfb3e305b383005cc128

die() {
    echo "build-deb: $*" >&2
    exit 1
}

# At the start, so that the build itself needs no network.
mkdir -p .cache/sources
if ! sha256sum --check --status <<<"$sdist_sha256  .cache/sources/$sdist" 2>/dev/null; then
    echo "build-deb: downloading $sdist" >&2
    python3 -c 'import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])' \
        "$sdist_url" ".cache/sources/$sdist" || die "cannot download $sdist_url"
    sha256sum --check --status <<<"$sdist_sha256  .cache/sources/$sdist" || die "$sdist is not what it was: its hash differs"
fi
[[ -z $fetch_only ]] || exit 0

command -v dpkg-buildpackage >/dev/null || die "dpkg-buildpackage is missing: apt-get install dpkg-dev"
missing=$(dpkg-checkbuilddeps packaging/debian/control 2>&1) ||
    die "${missing##*error: }; apt-get install them, without what stands in brackets"

# git refuses the directory of another user, as with sudo: this names the one that is meant.
# What else git's configuration and environment say would be felt in the tarball.
git() {
    env -u GIT_DIR -u GIT_WORK_TREE -u GIT_INDEX_FILE GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null \
        git -c safe.directory="$PWD" -c tar.umask=0002 -c core.autocrlf=false -c core.attributesFile=/dev/null "$@"
}
commit=$(git rev-parse --verify --quiet HEAD) || die "$PWD is no git checkout: the package is built from a commit"
[[ -z $(git status --porcelain --untracked-files=no) ]] ||
    echo "build-deb: there are changes that are not committed; the package is built without them" >&2

version=$(sed -n '1s/^[^(]*(\(.*\)-[^-]*).*/\1/p' packaging/debian/changelog)
grep -qx "__version__ = \"$version\"" qps_service/__init__.py ||
    die "packaging/debian/changelog has version $version, qps_service/__init__.py another"

mkdir -p "$output"
output=$(cd "$output" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
tree=$work/qps-reporter-$version
git archive --format=tar --prefix="qps-reporter-$version/" "$commit" | gzip -9n >"$work/qps-reporter_$version.orig.tar.gz"
cp ".cache/sources/$sdist" "$work/qps-reporter_$version.orig-inotify-simple.tar.gz"
tar -xf "$work/qps-reporter_$version.orig.tar.gz" -C "$work"
mkdir "$tree/inotify-simple"
tar -xf ".cache/sources/$sdist" -C "$tree/inotify-simple" --strip-components=1
# Links are followed: a source package must not have any here.
cp -rL "$tree/packaging/debian" "$tree/debian"

echo "build-deb: building qps-reporter $version of commit ${commit:0:12}" >&2
# Debian's own tools, whatever else PATH and the environment offer.
(cd "$tree" && env -i HOME="$work" LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    dpkg-buildpackage --unsigned-source --unsigned-changes) >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    die "the build failed"
}
# dh_python3 says in passing what it leaves out; Debian 13's tells of shebangs in the same way.
! grep -F 'I: dh_python3' "$work/log" | grep -Ev 'inotify_simple|replacing shebang' >&2 || die "dh_python3 doesn't know a requirement"
cp "$work"/qps-reporter_* "$output/"
(cd "$output" && sha256sum "qps-reporter_$version"-*.deb) >&2
