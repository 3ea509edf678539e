"""Chromium without a screen, and the page in front of it: one browser for all tests of a module."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from qps_service.text.units import SECOND
from qps_service.web.assets import assets
from qps_service.web.page import Page
from tests.fault.program import GUARD
from tests.unit.looking.week import BERLIN, Week

CHROMIUM = "/usr/bin/chromium"
DRIVER = "/usr/bin/chromedriver"
# Where the page's own script asks for what is not there, a failed request would stand in the console.
SWITCHES = (
    *("--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
HEIGHT = 900


def missing() -> str | None:
    """Why no browser can be had here, None where nothing is lacking; scripts/setup.sh installs it."""
    for program in (CHROMIUM, DRIVER):
        if not shutil.which(program):
            return f"{program} is not installed"
    if "/dygraph.js" not in assets():
        return "libjs-dygraphs is not installed"
    return None


@contextmanager
def serving(week: Week, **how: Any) -> Iterator[str]:
    """The page of the week on loopback, by waitress; its address."""
    from waitress.server import create_server

    now = week.batches[-1].ended + SECOND
    how.setdefault("assets", assets())
    page = Page(str(week.path), holder=lambda: 1, unix=lambda: now, monotonic=time.monotonic, **how)
    server = create_server(page, listen="127.0.0.1:0", threads=4, clear_untrusted_proxy_headers=True)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}/"
    finally:
        # As its loop ends by itself: when nothing is left to wait for.
        server.trigger.pull_trigger(lambda: [each.close() for each in list(server._map.values())])
        thread.join(GUARD)
        server.task_dispatcher.shutdown()


class Browser:
    """What a person does, and sees."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def run(self, script: str, *arguments: object) -> Any:
        """What JavaScript says."""
        return self.driver.execute_script(script, *arguments)

    def command(self, name: str, **parameters: Any) -> Any:
        """Of Chromium's own protocol (https://chromedevtools.github.io/devtools-protocol/)."""
        return self.driver.execute_cdp_cmd(name, parameters)

    def look(self, width: int, *, dark: bool = False) -> None:
        """Through a window of this width, by somebody of this taste."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=HEIGHT, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        features = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
        self.command(
            "Emulation.setEmulatedMedia",
            features=[{"name": name, "value": value} for name, value in features.items()],
        )

    def visit(self, address: str) -> None:
        """Until all of it is shown."""
        self.driver.get(address)
        self.settle(0)

    def shown(self) -> int:
        """How often the page was shown whole since it was loaded."""
        return int(self.run("return document.body ? document.body.dataset.shown || 0 : 0"))

    def settle(self, before: int) -> None:
        """Until it was shown anew."""
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.driver, GUARD, 0.02).until(lambda _: self.shown() > before)

    def does(self, script: str, *arguments: object) -> None:
        """Something that has the page ask anew, until that is shown."""
        before = self.shown()
        self.run(script, *arguments)
        self.settle(before)

    def press(self, *keys: str) -> None:
        """Keys, for whoever has the focus."""
        from selenium.webdriver.common.action_chains import ActionChains

        actions: Any = ActionChains
        actions(self.driver).send_keys(*keys).perform()

    def drag(self, selector: str, begin: float, end: float) -> None:
        """The mouse over an element, pressed between these parts of its width."""
        x, y, width, height = self.run(
            "const e = document.querySelector(arguments[0]); e.scrollIntoView({block: 'center'});"
            "const r = e.getBoundingClientRect(); return [r.x, r.y, r.width, r.height]",
            selector,
        )
        middle = y + height / 2
        for kind, part, buttons in (
            ("mouseMoved", begin, 0), ("mousePressed", begin, 1), ("mouseMoved", (begin + end) / 2, 1),
            ("mouseMoved", end, 1), ("mouseReleased", end, 0),
        ):  # fmt: skip
            self.command(
                "Input.dispatchMouseEvent",
                type=kind, x=x + part * width, y=middle, buttons=buttons, clickCount=1,
                button="none" if kind == "mouseMoved" and not buttons else "left",
            )  # fmt: skip

    def table(self, name: str) -> list[list[str]]:
        """A table's cells, as they are shown."""
        cells = self.run(
            "return [...document.getElementById(arguments[0]).rows].map("
            "row => [...row.cells].map(cell => cell.textContent))",
            name,
        )
        return [list(map(str, row)) for row in cells]

    def text(self, name: str) -> str:
        """What stands in an element."""
        return str(self.run("return document.getElementById(arguments[0]).textContent", name))

    def said(self) -> list[str]:
        """What came into the console since it was asked last."""
        return [f"{each['level']} {each['message']}" for each in self.driver.get_log("browser")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One process for all; it lives in Berlin."""
    if reason := missing():
        pytest.skip(reason)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options: Any = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in (*SWITCHES, *(("--no-sandbox",) if os.geteuid() == 0 else ())):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service(DRIVER), options=options)
    try:
        made = Browser(driver)
        made.command("Emulation.setTimezoneOverride", timezoneId=str(BERLIN))
        made.look(1280)
        yield made
    finally:
        driver.quit()


def violations(browser: Browser) -> None:
    """From now on, each page remembers what its policy refused."""
    script = (
        "window.refused = []; addEventListener('securitypolicyviolation', "
        "event => window.refused.push(event.effectiveDirective))"
    )
    browser.command("Page.addScriptToEvaluateOnNewDocument", source=script)
