"""A real Prometheus on loopback, with its data in a test's directory, and what it answers."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.fault.program import GUARD, until
from tests.fault.servers import SERVERS, Server

Sample = tuple[dict[str, str], float]
POLL = 0.2  # seconds between two looks at what has to come


class PrometheusServer(Server):
    """Runs until it is closed."""

    def __init__(self, directory: Path, configuration: str, port: int) -> None:
        """Rule files and targets are named in `configuration` by absolute paths."""
        (directory / "prometheus.yml").write_text(configuration)
        self._address = f"127.0.0.1:{port}"
        command = (
            SERVERS / "bin" / "prometheus",
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={directory}/data",
            f"--web.listen-address={self._address}",
            "--log.level=warn",
        )
        super().__init__(command, directory, port, said="prometheus.log")

    def get(self, path: str, **parameters: str) -> bytes:
        """A page of it; raises OSError where there is none."""
        with urllib.request.urlopen(
            f"http://{self._address}{path}?{urlencode(parameters)}", timeout=GUARD
        ) as answer:
            data = answer.read()
            assert isinstance(data, bytes)
            return data

    def api(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API. An answer that refuses is an AssertionError with its words."""
        try:
            text = self.get(f"/api/v1/{path}", **parameters)
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error
        answer = json.loads(text)
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        """Labels and values at a Unix time, or now."""
        parameters = {"query": expression} | ({"time": f"{at:.3f}"} if at else {})
        return [
            (each["metric"], float(each["value"][1])) for each in self.api("query", **parameters)["result"]
        ]

    def recorded(self, expression: str) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Labels, and Unix times and values, of a selector with a range."""
        return [
            (each["metric"], [(at, float(value)) for at, value in each["values"]])
            for each in self.api("query", query=expression)["result"]
        ]

    def value(self, expression: str, at: float | None = None) -> float:
        """Of the only series; 0 if there is none."""
        found = self.query(expression, at)
        assert len(found) <= 1
        return found[0][1] if found else 0.0

    def is_ready(self) -> bool:
        """Whether it answers queries."""
        try:
            return bool(self.get("/-/ready"))
        except OSError:
            return False

    def wait_for(self, expression: str, value: float) -> None:
        """Until the only answer is this."""
        seen: list[Sample] = []

        def is_there() -> bool:
            nonlocal seen
            self.check()
            seen = self.query(expression) if self.is_ready() else []
            return [each for _, each in seen] == [value]

        until(is_there, lambda: f"{expression} = {value}: {seen}; {self.said.read_text()}", pause=POLL)
