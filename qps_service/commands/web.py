"""`qps-reporter web`: the page, from the ledger."""

import argparse
import os
import socket
import sys
import time
from functools import partial

from qps_service.commands import read_by
from qps_service.commands.reading import add_state
from qps_service.errors import EXIT_OK, UsageError
from qps_service.files.kernel import LEDGER
from qps_service.service.state_directory import holder_of
from qps_service.service.systemd import handed_back
from qps_service.web.assets import assets
from qps_service.web.page import Page, host_of
from qps_service.web.server import ADDRESS, address_of, listen, serve

EPILOG = """\
examples:
  qps-reporter web                                  on http://127.0.0.1:9146/, until Ctrl-C
  qps-reporter web --state DIR --listen '[::1]:8080'
  systemctl enable --now qps-reporter-web.socket    the same as a service that ends when nobody looks

Reads only, and never disturbs the service. It has no passwords: it listens on this machine alone, and a web
server in front of it asks for them. A browser that asks for a name other than localhost or an address gets
nothing, unless --host allows that name. Exits 0 after SIGTERM or Ctrl-C, 1 if it can't listen, 2 if the
command line is wrong.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    add_state(parser)
    parser.add_argument(
        "--listen", metavar="ADDRESS:PORT", type=read_by(address_of), default=address_of(ADDRESS),
        help=f"where to listen (default: {ADDRESS}, or systemd's socket)",
    )  # fmt: skip
    parser.add_argument(
        "--host", metavar="NAME", action="append", type=read_by(host_of), default=[],
        help="a name that browsers may ask for, beside localhost and addresses",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Serve; the exit status."""
    handed = handed_back(os.environ, os.getpid())
    state = os.path.abspath(arguments.state)
    page = Page(
        os.path.join(state, LEDGER),
        assets=assets(),
        holder=partial(holder_of, state),
        unix=time.time_ns,
        monotonic=time.monotonic,
        names=arguments.host,
    )
    if handed:
        if len(handed) > 1:
            raise UsageError("web: expected one socket of systemd's")
        listening = socket.socket(fileno=handed[0][0])
    else:
        listening = listen(arguments.listen)
        host, port = listening.getsockname()[:2]
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        sys.stderr.write(f"qps-reporter: http://{place}/ shows {state}, until Ctrl-C\n")
    with listening:
        serve(page, listening, ends=bool(handed), monotonic=time.monotonic)
    return EXIT_OK
