"""The files of the page, by an explicit list: nothing else of the disk is served, whatever a path looks like.

They are small and read once. dygraphs is Debian's libjs-dygraphs; where it is not installed the page has its
tables and no charts.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

DYGRAPHS = "/usr/share/javascript/dygraphs"
_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
_OWN = {"/": "page.html", "/page.js": "page.js", "/page.css": "page.css", "/icon.svg": "icon.svg"}
_CHARTS = {"/dygraph.js": "dygraph.min.js", "/dygraph.css": "dygraph.min.css"}


class Asset(NamedTuple):
    """A file as it is sent."""

    type: str
    body: bytes


def assets(dygraphs: str = DYGRAPHS) -> Mapping[str, Asset]:
    """What is served, by path; without charts where these are not installed."""
    own = os.path.join(os.path.dirname(__file__), "assets")
    found = {path: _asset(own, name) for path, name in _OWN.items()}
    try:
        return found | {path: _asset(dygraphs, name) for path, name in _CHARTS.items()}
    except OSError:
        return found


def _asset(directory: str, name: str) -> Asset:
    with open(os.path.join(directory, name), "rb") as file:
        return Asset(_TYPES[name.rpartition(".")[2]], file.read())
