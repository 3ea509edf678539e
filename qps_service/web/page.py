"""The WSGI application (PEP 3333): paths, headers, and what is remembered of answers.

Promises:
- Only GET and HEAD are answered, and only where Host is an address, `localhost` or a name that was allowed: a
  page of somebody else's that has its own name lead here (DNS rebinding) gets nothing.
- No script, style, frame or form but the page's own files is let in by the browser (CSP); nothing is sent on.
- An answer is the same until the next report, and has an ETag by that report's sequence: who has it gets 304,
  before the ledger is asked for more. Of those who ask at once one has it computed.
- A question that takes longer than TIME_LIMIT is given up; what can't be told is one sentence.
"""

import hashlib
import ipaddress
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from qps_service import __version__
from qps_service.errors import UsageError
from qps_service.ledger.database import (
    LedgerError,
    LedgerMissing,
    LedgerSlow,
    LedgerTooNew,
    LedgerUnavailable,
)
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.queries import last_report, last_start, past, standing
from qps_service.looking.moments import HOUR, MINUTE
from qps_service.text.escape import show, show_path
from qps_service.values.counts import Key
from qps_service.values.latency import LatencyKey
from qps_service.values.past import Past, Question
from qps_service.web.answers import PARTS, is_late, routes, series, state, statuses
from qps_service.web.assets import Asset
from qps_service.web.view import View, step_for, view_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

TIME_LIMIT = 10.0  # seconds of one question to the ledger
KEPT = 16  # answers, of some 100 KB
PASTS = 2  # of what they were made of, each of some 15 MB where ten logs have 1,000 routes
PARTS_OF_THE_PAGE = ("/state.json", "/series.json", "/routes.json")
_HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-cache"),  # keep it, and ask whether it is still right
]
Kept = TypeVar("Kept")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_ETAG = re.compile(r'"[^"]*"')  # of If-None-Match; a proxy that compresses has made weak ones of ours: W/"…"


def host_of(text: str) -> str:
    """A name that browsers may ask for. Raises ValueError for what no Host header's name is."""
    found = _HOST.fullmatch(text)
    if not found or found[2] or not found[1].rstrip("."):
        raise ValueError("expected a name without a port, such as stats.example.com")
    return text


class Answer(NamedTuple):
    """What is sent."""

    status: int
    body: bytes
    type: str = "application/json"
    etag: str = ""


class _Asked(NamedTuple):
    """What a view means at this moment."""

    etag: str  # of the answer
    since: int  # Unix nanoseconds
    until: int


class _Remembered(Generic[Kept]):
    """The last that were computed. Who computes takes the lock: others who ask the same have it then."""

    def __init__(self, most: int) -> None:
        self.computing = threading.Lock()
        self._most = most
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def get(self, key: str) -> Kept | None:
        """None if there is nothing."""
        return self._kept.get(key)

    def put(self, key: str, value: Kept) -> Kept:
        """The value; the oldest goes for it."""
        self._kept[key] = value
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return value


class Page:
    """The application."""

    def __init__(
        self,
        ledger: str,
        *,
        assets: Mapping[str, Asset],
        holder: Callable[[], int],  # PID of who holds the ledger, 0 where nobody is seen
        unix: Callable[[], int],  # nanoseconds
        monotonic: Callable[[], float],  # seconds
        names: Iterable[str] = (),  # of hosts, beside addresses and localhost
    ) -> None:
        self.asked_at = monotonic()  # the last request
        self._path = ledger
        self._files = {
            path: Answer(200, asset.body, asset.type, _etag(asset.body.hex()))
            for path, asset in assets.items()
        }
        self._holder = holder
        self._unix, self._monotonic = unix, monotonic
        self._names = {"localhost", *(name.rstrip(".").lower() for name in names)}
        # Charts do not wait for routes, which take longer.
        self._answers = {path: _Remembered[Answer](KEPT) for path in ("/series.json", "/routes.json")}
        self._pasts = _Remembered[Past](PASTS)  # what the routes' answers were made of

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
        """One request."""
        self.asked_at = self._monotonic()
        method = environ["REQUEST_METHOD"]
        known = _ETAG.findall(environ.get("HTTP_IF_NONE_MATCH", ""))
        answer = self._answer(environ, method, known)
        if answer.etag in known:
            answer = answer._replace(status=304, body=b"")
        headers = [*_HEADERS, ("Content-Type", answer.type)]
        if answer.etag:
            headers.append(("ETag", answer.etag))
        if answer.status == 405:
            headers.append(("Allow", "GET, HEAD"))
        if answer.status != 304:
            headers.append(("Content-Length", str(len(answer.body))))
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
        return [] if method == "HEAD" else [answer.body]

    def _answer(self, environ: "WSGIEnvironment", method: str, known: list[str]) -> Answer:
        if not self._is_host(environ.get("HTTP_HOST", "")):
            return _sentence(403, "This name is not one of mine: qps-reporter web --host NAME allows one.")
        if method not in ("GET", "HEAD"):
            return _sentence(405, "Expected GET or HEAD.")
        path = environ.get("PATH_INFO") or "/"
        if file := self._files.get(path):
            return file
        if path not in PARTS_OF_THE_PAGE:
            return _sentence(404, "There is no such page.")
        try:
            view = view_of(environ.get("QUERY_STRING", ""))
        except ValueError as error:
            return _sentence(400, f"{error}.")
        try:
            return self._told(path, view, known)
        except UsageError:
            return _sentence(404, f"The ledger knows no log {view.log}.")
        except LedgerError as error:
            return _sentence(503, self._trouble(error))

    def _is_host(self, host: str) -> bool:
        """An address can't be made to lead elsewhere, as a name can."""
        found = _HOST.fullmatch(host)
        if not found:
            return False
        name = found[1].strip("[]").rstrip(".").lower()
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return True

    @contextmanager
    def _open(self) -> "Iterator[Ledger]":
        ledger = Ledger(self._path, boot="")
        try:
            ledger.open(writable=False, scan=False, copies=False)  # not for each request
            due = self._monotonic() + TIME_LIMIT
            ledger.database.give_up_when(lambda: self._monotonic() > due)
            with ledger.snapshot():
                yield ledger
        finally:
            ledger.close()

    def _told(self, path: str, view: View, known: list[str]) -> Answer:
        if path == "/state.json":
            with self._open() as ledger:
                return _json(self._state(ledger, view))
        if path == "/routes.json":
            view = view._replace(route=None)  # it has all of them, whichever is looked at
        answers = self._answers[path]
        with self._open() as ledger:
            etag = self._asked(ledger, path, view).etag
        if etag in known:
            return Answer(304, b"", etag=etag)
        if kept := answers.get(etag):
            return kept
        # Opened anew: nothing of the ledger is held while it waits, and only now its time begins.
        with answers.computing, self._open() as ledger:
            asked = self._asked(ledger, path, view)
            part = self._series if path == "/series.json" else self._routes
            return answers.get(asked.etag) or answers.put(
                asked.etag, _json(part(ledger, view, asked.since, asked.until))._replace(etag=asked.etag)
            )

    def _asked(self, ledger: Ledger, path: str, view: View) -> "_Asked":
        now = self._unix()
        report = last_report(ledger)
        # Where reports do not come any longer the span goes on, for that to be seen.
        end = (
            now // MINUTE * MINUTE
            if report is None or is_late(report, last_start(ledger), now)
            else report[1]
        )
        since, until = view.span(end)
        return _Asked(_etag(f"{path} {ledger.sequence} {since} {until} {view}"), since, until)

    def _series(self, ledger: Ledger, view: View, since: int, until: int) -> dict[str, Any]:
        step = step_for(until - since)
        question = Question(since, until, step, _takes_log(view), _takes(view), None, _takes_latency(view))
        told = series(past(ledger, question), step, since, until)
        if view.route is not None:
            told |= statuses(past(ledger, question._replace(by="status")), step)
        return told

    def _routes(self, ledger: Ledger, view: View, since: int, until: int) -> dict[str, Any]:
        step = step_for(until - since)
        question = Question(since, until, step, _takes_log(view), by="route", parts=PARTS)
        # Another order or filter is no other question to the ledger.
        key = f"{ledger.sequence} {since} {until} {view.log}"
        return routes(self._pasts.get(key) or self._pasts.put(key, past(ledger, question)), step, view)

    def _state(self, ledger: Ledger, view: View) -> dict[str, Any]:
        now = self._unix()
        began, ended = last_report(ledger) or (now - HOUR, now)
        told = state(standing(ledger, began, max(now, ended), 0, slowest=False), view, now, self._holder())
        return {**told, "charts": "/dygraph.js" in self._files}

    def _trouble(self, error: LedgerError) -> str:
        path = show_path(self._path)
        match error:
            case LedgerMissing():
                return f"There is no ledger at {path} yet: the service has not counted anything."
            case LedgerTooNew():
                return f"The ledger is newer than this page: {error}. Restart qps-reporter-web.service."
            case LedgerSlow():
                return f"The ledger took longer than {TIME_LIMIT:.0f} s to answer. Choose a shorter range."
            case LedgerUnavailable() if "locked" in str(error):
                return f"Another program has locked the ledger {path}. The page goes on when it is done."
        return f"The ledger {path} can't be read: {error}."


def _takes_log(view: View) -> Callable[[str], bool]:
    return lambda name: view.log in (None, show(name.encode()))


def _takes(view: View) -> Callable[[Key], bool] | None:
    return None if view.route is None else lambda key: show(key.route) == view.route


def _takes_latency(view: View) -> Callable[[LatencyKey], bool]:
    return lambda key: view.route in (None, show(key.route))


def _etag(text: str) -> str:
    """Another version of the program may answer otherwise."""
    return f'"{hashlib.sha256(f"{__version__} {text}".encode()).hexdigest()[:32]}"'


def _json(document: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, json.dumps(document, separators=(",", ":")).encode())


def _sentence(status: int, text: str) -> Answer:
    return _json({"sentence": text}, status)
