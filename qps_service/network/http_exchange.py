"""One HTTP exchange as bytes: the head of a request in, the answer out. It knows no socket.

Promise: whatever the head holds, it ends in a request for a path that is there, or in an answer that says
what is wrong with it; nothing of it is taken over into an answer's head. The reading is the standard
library's (http.server).
"""

import re
from collections.abc import Collection
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from urllib.parse import urlsplit

METHODS = ("GET", "HEAD")
TEXT = "text/plain; charset=utf-8"
_WEIGHT_0 = re.compile(r"q=0(\.0*)?")


class Exchange(BaseHTTPRequestHandler):
    """What is asked is in `path`; `is_granted` tells whether an answer is still to be given."""

    protocol_version = "HTTP/1.1"
    # Even who writes no version has an answer with a head.
    default_request_version = "HTTP/1.0"
    error_content_type = TEXT
    error_message_format = "%(code)d %(message)s: %(explain)s\n"

    def __init__(self, head: bytes, paths: Collection[str]) -> None:
        """`head` ends with an empty line, and what comes after is not looked at; `paths` are those that are
        there. The base's own __init__ would read from a socket, and wait."""
        self._written = BytesIO()
        self.rfile, self.wfile = BytesIO(head), self._written
        self.close_connection = True
        self.raw_requestline = self.rfile.readline()
        self.is_granted = self._is_granted(paths)

    def _is_granted(self, paths: Collection[str]) -> bool:
        try:
            if not self.parse_request():
                if not self.written:  # the base closes without a word after an empty line
                    self.send_error(HTTPStatus.BAD_REQUEST)
                return False
            self.path = urlsplit(self.path).path
        # The base reads headers as those of a mail, and whoever asks chooses what goes wrong in there.
        except Exception:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return False
        if self.command not in METHODS:
            self.send_error(HTTPStatus.METHOD_NOT_ALLOWED, explain=f"expected {' or '.join(METHODS)}")
            return False
        if self.path not in paths:
            self.send_error(HTTPStatus.NOT_FOUND, explain=f"there is {' and '.join(paths)}")
            return False
        return True

    def accepts(self, header: str, value: str) -> bool:
        """Whether the list in this header names the value, with any parameters but a weight of 0 (RFC 9110,
        12.4.2)."""
        for each in self.headers.get(header, "").split(","):
            name, *parameters = (part.strip().lower() for part in each.split(";"))
            if name == value and not any(map(_WEIGHT_0.fullmatch, parameters)):
                return True
        return False

    def answer(self, status: HTTPStatus, media_type: str, size: int, encoding: str | None = None) -> None:
        """Write the head of an answer whose body has this size in bytes."""
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(size))
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.send_header("Connection", "close")
        self.end_headers()

    def version_string(self) -> str:
        """Who answers; of which version is in /metrics."""
        return "qps-reporter"

    def end_headers(self) -> None:
        """RFC 9110 wants Allow where a method is not allowed, and allows it anywhere."""
        self.send_header("Allow", ", ".join(METHODS))
        super().end_headers()

    @property
    def written(self) -> bytes:
        """The answer so far."""
        return self._written.getvalue()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """The base would put some of the request into the answer's first line."""
        super().send_error(code, HTTPStatus(code).phrase, explain or message)

    def handle_expect_100(self) -> bool:
        """Nobody waits for what a client would send besides."""
        return True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        """Whoever can connect must not be able to fill the journal."""


def refusal(status: HTTPStatus) -> bytes:
    """The answer to a head that is not read to its end."""
    said = f"{status.value} {status.phrase}"
    fields = f"Content-Type: {TEXT}\r\nContent-Length: {len(said) + 1}\r\nConnection: close"
    return f"HTTP/1.1 {said}\r\n{fields}\r\n\r\n{said}\n".encode()
