"""waitress with the page, on an address of its own or on systemd's socket.

On systemd's socket the process ends when nobody has asked for some minutes: systemd goes on listening, and
starts the next one for whoever asks next. A page that nobody looks at asks for nothing.
"""

import logging
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from qps_service.errors import UsageError
from qps_service.web.page import Page

if TYPE_CHECKING:
    from types import FrameType

ADDRESS = "127.0.0.1:9146"
THREADS = 8  # one computes what is new, and others hand out what is known
CLIENTS = 100  # connections; more wait in the kernel
HEAD_SIZE = 16 << 10  # bytes of a request's head
# Bytes that are taken in at once, and no more while a request waits for its answer: four whole requests. What
# four are answered is less than BUFFERED, at which waitress's threads wait for who does not read.
TAKEN = 128
BUFFERED = 16 << 20  # bytes of answers, in memory: there may be no place for a file of them
IDLE = 5 * 60  # seconds; longer than the longest common interval of reports
SILENCE = 120  # seconds after which a silent connection is closed


def address_of(text: str) -> tuple[str, int]:
    """Host and port of ADDRESS:PORT. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdecimal() or not 0 <= int(port) < 1 << 16:
        raise ValueError("expected ADDRESS:PORT, such as 127.0.0.1:9146 or [::1]:9146")
    return host.strip("[]"), int(port)


def listen(address: tuple[str, int]) -> socket.socket:
    """A socket of our own. Raises OSError."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    return socket.create_server(address, family=family)


def serve(page: Page, listening: socket.socket, *, ends: bool, monotonic: Callable[[], float]) -> None:
    """Answer until a signal, and where it `ends` until nobody asks any longer."""
    try:
        from waitress.server import create_server
    except ImportError as error:
        raise UsageError("web: Python's waitress is missing: apt install python3-waitress") from error
    # That a request waits for a thread is no news.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    server = create_server(
        page,
        sockets=[listening],
        threads=THREADS,
        connection_limit=CLIENTS + 2,  # it counts the listening socket and its own pipe, too
        max_request_header_size=HEAD_SIZE,
        max_request_body_size=0,
        recv_bytes=TAKEN,
        outbuf_overflow=BUFFERED,
        outbuf_high_watermark=BUFFERED,
        channel_timeout=SILENCE,
        ident=None,
        clear_untrusted_proxy_headers=True,
    )

    def stop(_signal: int, _frame: "FrameType | None") -> NoReturn:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise SystemExit(0)  # waitress ends its loop, and lets its threads finish

    def look(number: int, frame: "FrameType | None") -> None:
        if not server.active_channels and monotonic() - page.asked_at > IDLE:
            stop(number, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if ends:
        signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_REAL, IDLE / 5, IDLE / 5)
    server.run()
