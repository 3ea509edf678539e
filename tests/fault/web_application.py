"""The application that gunicorn, uvicorn and hypercorn serve, once for each of Python's interfaces.

`/status-404` is answered with that status, `/broken` by an error of its own, `/hold` when its client is gone,
and all else with 200.
"""

import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any


def status_of(path: str) -> int:
    """What the answer to this path is."""
    if path == "/broken":
        raise RuntimeError("this is what was asked for")
    if path == "/hold":
        with socket.create_connection(("127.0.0.1", int(os.environ["ORIGIN"]))) as origin:
            origin.sendall(b"GET /hold HTTP/1.1\r\n\r\n")
            origin.recv(1)
    first, _, status = path.partition("-")
    return int(status) if first == "/status" else 200


def body_of(status: int) -> bytes:
    """What comes with it."""
    return b"" if status < 200 or status in (204, 304) else b"ok\n"


def wsgi(environ: Mapping[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """For gunicorn."""
    status = status_of(environ["PATH_INFO"])
    body = body_of(status)
    start_response(f"{status} Status", [("Content-Length", str(len(body)))] if body else [])
    return [body]


async def asgi(
    scope: Mapping[str, Any], receive: Callable[[], Awaitable[object]], send: Callable[..., Awaitable[None]]
) -> None:
    """For uvicorn and hypercorn."""
    if scope["type"] != "http":
        raise NotImplementedError
    status = status_of(scope["path"])
    body = body_of(status)
    headers = [(b"content-length", b"%d" % len(body))] if body else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
