#!/bin/bash
# Makes what this checkout needs to run, on Debian and its relatives: apt packages, .venv and, for
# the tests, servers in .cache, and for the benchmarks our peers: unpacked, not installed.
#
#   scripts/setup.sh run     to run qps-reporter; with the native scanner where there is a compiler
#   scripts/setup.sh test    to run every check too (as root: with a systemd guest for tests/system)
#   scripts/setup.sh bench   to run python -m benchmarks
#
# Says what it is going to install before it does. When nothing is missing it is quick, silent and
# needs no network.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
purpose=${1:-}

# python3-systemd comes from Debian because PyPI has only its source, which needs a compiler.
packages=(python3 python3-venv python3-systemd)
extra=
case $purpose in
run) ;;
test)
    extra='[test]'
    packages+=(shellcheck strace faketime logrotate bzip2 xz-utils zstd)
    # To build the native scanner, which must be there, and to fuzz it.
    packages+=(gcc libc6-dev python3-dev clang libclang-rt-dev)
    # To build the man pages and read them, and to try the completions.
    packages+=(python3-docutils man-db groff-base bash zsh fish)
    # To have StatsD, which is Node's; a Node that is not Debian's may have brought it.
    command -v npm >/dev/null || packages+=(npm)
    # The page, and a browser in front of it. Neither brings a daemon.
    packages+=(python3-waitress libjs-dygraphs chromium chromium-driver python3-selenium)
    # What gmond and gmetad load, and who reads what gmetad writes.
    packages+=(libganglia1 libpcre3 rrdtool)
    if [[ $EUID -eq 0 ]]; then
        packages+=(systemd-container mmdebstrap debian-archive-keyring uidmap util-linux mount e2fsprogs)
    fi
    ;;
bench)
    extra='[bench]'
    packages+=(gcc libc6-dev python3-dev mawk coreutils util-linux python3-waitress)
    ;;
*)
    echo "usage: scripts/setup.sh run|test|bench" >&2
    exit 2
    ;;
esac

die() {
    echo "setup: $*" >&2
    exit 1
}

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || true
    [[ $status == installed ]] || missing+=("$package")
done

# The packages of web servers would start them, now and at each boot, those of carbon, Ganglia and mtail daemons, and
# gawk's would become the system's awk: their programs alone are enough, with the libraries that may be missing.
unpack=()
case $purpose in
test)
    folder=.cache/servers unpack=(nginx ganglia-monitor gmetad)
    unpack+=(apache2-bin apache2-utils libapr1 libaprutil1 cronolog runit lighttpd caddy)
    unpack+=(haproxy liblua5.3-0 libopentracing1 libopentracing-c-wrapper0)
    unpack+=(graphite-carbon python3-whisper python3-cachetools python3-twisted python3-attr python3-automat)
    unpack+=(python3-constantly python3-hyperlink python3-idna python3-incremental python3-six)
    unpack+=(python3-typing-extensions python3-zope.interface)
    # prometheus_client: the oldest that is supported, beside the newest in .venv.
    unpack+=(prometheus prometheus-node-exporter python3-prometheus-client python3-decorator)
    ;;
bench) folder=.cache/peers unpack=(mtail gawk goaccess libsigsegv2 libmaxminddb0) ;;
esac
[[ $purpose == run || ! -e $folder/unpacked || $(<"$folder/unpacked") != "${unpack[*]}" ]] || unpack=()

if ((${#missing[@]} + ${#unpack[@]})); then
    as_root=()
    if [[ $EUID -ne 0 ]]; then
        command -v sudo >/dev/null || die "this needs root or sudo"
        as_root=(sudo)
    fi
    apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
    "${as_root[@]}" "${apt[@]}" update >&2
fi

if ((${#missing[@]})); then
    echo "setup: installing Debian packages: ${missing[*]}" >&2
    "${as_root[@]}" "${apt[@]}" install --yes --no-install-recommends "${missing[@]}" >&2
fi

if ((${#unpack[@]})); then
    echo "setup: unpacking Debian's packages into $folder, without installing them: ${unpack[*]}" >&2
    rm -rf "$folder"
    mkdir -p "$folder"
    (
        cd "$folder"
        "${apt[@]}" -o APT::Sandbox::User=root download "${unpack[@]}"
        for package in *.deb; do
            dpkg-deb --extract "$package" .
        done
        rm -- *.deb
        echo "${unpack[*]}" >unpacked
    ) >&2
fi

# Debian's own interpreter, whatever else PATH offers: python3-systemd belongs to it.
python=/usr/bin/python3
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "expected $python to be Python 3.11 or newer, found $version"

[[ ! -e .venv || -w .venv ]] || die "$PWD/.venv belongs to another user: remove it, or run as that user"
# Paths and version are part of a virtual environment: where they change, it is made anew.
origin="$python $version $PWD"
if [[ ! -e .venv/origin || $(<.venv/origin) != "$origin" ]]; then
    echo "setup: making $PWD/.venv" >&2
    rm -rf .venv
    "$python" -m venv --system-site-packages .venv
    # Without this, setuptools leaves an egg-info directory in the checkout.
    printf '[egg_info]\negg_base = .venv\n' >.venv/setuptools.cfg
    echo "$origin" >.venv/origin
fi

compiler=$("$python" scripts/compiler.py)
# state: what the installation was made of and with, and whether the native scanner came of it.
state() {
    cat pyproject.toml setup.py qps_service/scanning/c/*.[ch] qps_service/scanning/c/isa/*.h | sha256sum
    echo "$compiler" qps_service/scanning/_scan*.so
}

stamp=.venv/made-to-$purpose
if [[ ! -e $stamp || $(<"$stamp") != "$(state)" ]]; then
    needs=$("$python" - "$purpose" <<'END'
import sys, tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
print(*project["dependencies"], *project["optional-dependencies"].get(sys.argv[1], ()))
END
    )
    echo "setup: installing into .venv what is missing of these Python packages: $needs" >&2
    rm -f qps_service/scanning/_scan*.so
    DIST_EXTRA_CONFIG=$PWD/.venv/setuptools.cfg \
        .venv/bin/pip install --no-cache-dir --quiet --disable-pip-version-check \
        --config-settings editable_mode=compat --editable ".$extra" >&2
    scanner=$(.venv/bin/python -c 'from qps_service.scanning.built import describe; print(describe({}))')
    case $purpose:$scanner in
    test:native*) ;;
    test:*) die "the native scanner must be there to be tested, and it is the $scanner" ;;
    *) echo "setup: it has the $scanner" >&2 ;;
    esac
    state >"$stamp"
    [[ $purpose == run ]] || state >.venv/made-to-run
fi

# Its optional parts would be compiled, and nothing here wants them.
statsd=statsd@0.9.0
if [[ $purpose == test && (! -e .cache/statsd/made || $(<.cache/statsd/made) != "$statsd") ]]; then
    echo "setup: installing $statsd into .cache/statsd" >&2
    rm -rf .cache/statsd
    mkdir -p .cache/statsd
    npm install --prefix .cache/statsd --cache .cache/statsd/npm --omit=optional --ignore-scripts --no-audit --no-fund \
        --loglevel=error "$statsd" >&2
    echo "$statsd" >.cache/statsd/made
fi

# In an environment of its own: it is old, and asks for what we don't. The benchmarks go on without it.
if [[ $purpose == bench && ! -x .cache/peers/ngxtop/bin/ngxtop ]]; then
    echo "setup: installing ngxtop into .cache/peers/ngxtop" >&2
    "$python" -m venv .cache/peers/ngxtop
    .cache/peers/ngxtop/bin/pip install --no-cache-dir --quiet --disable-pip-version-check ngxtop >&2 ||
        echo "setup: ngxtop can't be installed" >&2
fi
