"""What the figures were measured on, and with which versions."""

import os
import platform
import re
import subprocess
from pathlib import Path

from benchmarks.peers import NGXTOP, UNPACKED, libraries
from benchmarks.processes import environment
from qps_service import __version__

VERSIONS = {  # program -> what prints its version
    "mawk": ["mawk", "-W", "version"],
    "gawk": [str(UNPACKED / "usr/bin/gawk"), "--version"],
    "mtail": [str(UNPACKED / "usr/bin/mtail"), "--version"],
    "GoAccess": [str(UNPACKED / "usr/bin/goaccess"), "--version"],
    "ngxtop": [str(NGXTOP.parent / "pip"), "--disable-pip-version-check", "show", "ngxtop"],
    "coreutils": ["wc", "--version"],
}
NUMBER = re.compile(r"\d+\.\d[\w.~+-]*")


def version(command: list[str]) -> str:
    """The first thing in what it prints that looks like a version."""
    try:
        done = subprocess.run(
            command, capture_output=True, env=environment(libraries()), text=True, check=False
        )
    except OSError:
        return "not there"
    found = NUMBER.search(done.stdout + done.stderr)
    return found[0].rstrip(".") if found else "unknown"


def description() -> str:
    """Processor, cores, kernel, Python, and every peer's version, in one paragraph."""
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    versions = ", ".join(f"{name} {version(command)}" for name, command in VERSIONS.items())
    return (
        f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load average {os.getloadavg()[0]:.1f} at the end; "
        f"qps-reporter {__version__}, {versions}."
    )
