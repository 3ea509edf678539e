"""What the package carries beside the program agrees with the program, and with itself."""

import difflib
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from qps_service import __version__
from qps_service.configuration.loader import DEFAULT_FILE, Flags, load
from qps_service.configuration.outputs import OUTPUTS, TABLES
from qps_service.configuration.settings import HISTORY, LOG, REPORTS, SERVICE
from qps_service.errors import ConfigError
from qps_service.service.systemd import LISTENER
from qps_service.web.server import ADDRESS
from tests.project.test_docs import OPERATIONS, README, Pages, links, pages
from tests.promised import Promise, promises
from tests.system.package import BUILD_DEPENDS

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
UNITS = PACKAGING / "systemd"

# --- the configuration that the package installs


def check_example(text: str, tmp_path: Path) -> None:
    """It loads as it is. With the comments that show settings made such, it says all defaults."""
    place = tmp_path / "qps-reporter.toml"
    place.write_text(text)
    as_is = load(Flags(config=str(place)), {})
    (log,) = as_is.logs
    assert (log.name, log.path) == ("access", "/var/log/access.log")

    shown = re.sub(r"^#(?=\[|\w+ = )", "", text, flags=re.MULTILINE)
    place.write_text(shown)
    spelled_out = load(Flags(config=str(place)), {})
    # `default` under a name of its own: it differs in that blanks pass for tabs.
    assert spelled_out.logs[0]._replace(format=log.format, logs=log.logs, retired=log.retired) == log
    assert spelled_out._replace(logs=as_is.logs, outputs=()) == as_is
    tables = re.sub(r"^(?!path)\w+ = .*\n", "", shown[shown.index("[output.") :], flags=re.MULTILINE)
    place.write_text(f"{text}\n{tables[: tables.index('[history]')]}")
    assert spelled_out.outputs == load(Flags(config=str(place)), {}).outputs
    assert len(spelled_out.outputs) == len(OUTPUTS)
    assert not [
        f"{name}.{each.key}"
        for name, settings in TABLES.items()
        for each in settings
        if f"\n{each.key} = " not in shown and each.default
    ]
    assert not [
        each.key
        for each in (*SERVICE, *HISTORY, *REPORTS, *LOG)
        if f"\n{each.key} = " not in shown and each.default
    ]


# --- the schema of reports


def schema_misplaced(install: str, pages: str) -> bool:
    """Whether the package has it elsewhere than the pages say."""
    placed = re.search(r"^packaging/(qps-report\.schema\.json) (\S+)$", install, re.MULTILINE)
    return not placed or f"/{placed[2]}/{placed[1]}" not in pages


def test_the_schema_is_where_the_pages_say() -> None:
    install = (PACKAGING / "debian/qps-reporter.install").read_text()
    page = (PACKAGING / "man/qps-reporter.1.rst").read_text()
    assert not schema_misplaced(install, page)
    assert schema_misplaced(install.replace("share/qps-reporter\n", "share/schemas\n"), page)
    assert schema_misplaced(install.replace("packaging/qps-report.schema.json", "#"), page)


# --- the units


def check_template(template: str, tmp_path: Path) -> None:
    """The template is the unit, with a configuration and a state of the instance's own."""
    unit = (UNITS / "qps-reporter.service").read_text()
    lines = difflib.ndiff(unit.splitlines(), template.splitlines())
    changed = [line for line in lines if line[0] in "+-"]
    assert changed == [
        "- Description=Requests per second of web logs, by route and status",
        "+ Description=Requests per second of the web log %i, by route and status",
        f"- Environment=QPS_REPORTER_CONFIG={DEFAULT_FILE}",
        "+ Environment=QPS_REPORTER_CONFIG=/etc/qps-reporter/%i.toml",
        "- StateDirectory=qps-reporter",
        "+ StateDirectory=qps-reporter/%i",
        "- NoExecPaths=/ /var/lib/qps-reporter",
        "+ NoExecPaths=/ /var/lib/qps-reporter/%i",
    ]


def check_socket(text: str, tmp_path: Path) -> None:
    """It listens where the service would by itself, and has the name by which that knows it."""
    settings = dict(line.split("=", 1) for line in text.splitlines() if re.match(r"\w+=", line))
    [listen] = [each for each in OUTPUTS["prometheus"].settings if each.key == "listen"]
    assert settings["ListenStream"] == listen.default
    assert settings["FileDescriptorName"] == LISTENER


def check_page_socket(text: str, tmp_path: Path) -> None:
    """It listens where the command would by itself."""
    assert f"\nListenStream={ADDRESS}\n" in text


def check_page_unit(text: str, tmp_path: Path) -> None:
    """It is exposed to next to nothing, by systemd's own rating, from 0 to 10; it writes nowhere."""
    assert not re.search(
        "^(State|Cache|Logs|Runtime|Configuration)Directory=|^ReadWritePaths=", text, re.MULTILINE
    )
    unit = tmp_path / "qps-reporter-web.service"
    unit.write_text(text)
    rated = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=yes", unit],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", rated.stdout)
    assert found, rated.stdout
    assert float(found[1]) <= 0.5


# --- what later versions of systemd know


def generated(version: str, root: Path, generator: str) -> set[str]:
    """The drop-ins that the generator makes under a systemd that says this of its version."""
    programs, output = root / "bin", root / "normal"
    programs.mkdir(parents=True)
    output.mkdir()
    systemctl = programs / "systemctl"
    systemctl.write_text(f"#!/bin/sh\necho 'systemd {version}'\necho '+PAM 999'\n")
    systemctl.chmod(0o755)
    script = root / "generator"
    script.write_text(generator)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}"}
    subprocess.run(["sh", script, output, "/nowhere", "/nowhere"], env=environment, check=True)
    links = [Path(parent) / name for parent, _, names in os.walk(output) for name in names]
    for link in links:
        assert os.readlink(link) == f"/usr/lib/qps-reporter/systemd/{link.name.removeprefix('10-')}"
    return {str(link.relative_to(output)) for link in links}


SYSTEMDS: dict[str, tuple[int, ...]] = {  # version -> the drop-ins that it gets
    "252 (252.39-1~deb12u2)": (),
    "253 (253.1)": (253,),
    "254~rc1 (254~rc1-1)": (253, 254),
    "257 (257.13-1~deb13u1)": (253, 254),
    "1000": (253, 254),
    "": (),
}


def check_generator(text: str, tmp_path: Path) -> None:
    """Each systemd gets what it knows."""
    for number, (version, since) in enumerate(SYSTEMDS.items()):
        units = ("qps-reporter.service.d", "qps-reporter@.service.d")
        expected = {f"{unit}/10-since-{each}.conf" for unit in units for each in since}
        assert generated(version, tmp_path / str(number), text) == expected


def test_a_drop_in_names_the_systemd_that_knows_it() -> None:
    """What the generator links exists, and what exists is linked."""
    numbers = re.search(r"for since in ([\d ]+);", (UNITS / "qps-reporter-generator").read_text())
    assert numbers
    assert {path.name for path in UNITS.glob("since-*.conf")} == {
        f"since-{n}.conf" for n in numbers[1].split()
    }


# --- the pages

INSTALLED = {"CHANGELOG.md", "LICENSE"}  # under names of Debian's: changelog.gz, copyright
KEPT_AS_THEY_ARE = ("dh_compress -X.md", "dh_installdocs -Xmake_reference.py")


def pages_astray(docs: str, pages: Pages) -> list[str]:
    """Pages that are not installed though they are for whoever has the package, and links that lead nowhere
    there. `docs` lists files and directories; each keeps its path below /usr/share/doc/qps-reporter."""
    listed = docs.split()
    installed = [page for page in pages if page in listed or page.partition("/")[0] in listed]
    missing = {OPERATIONS, README, *(page for page in pages if page.startswith("docs/"))} - {*installed}
    return sorted(missing) + [
        f"{name}: {target}"
        for name, target, _ in links({page: pages[page] for page in installed})
        if target not in installed and target not in INSTALLED and not is_picture(target)
    ]


def is_picture(target: str) -> bool:
    """What is installed with the pages; whether it is there, tests/project/test_docs.py asks."""
    return target.startswith("docs/pictures/") and target.endswith(".png")


def docs() -> str:
    return (PACKAGING / "debian/qps-reporter.docs").read_text()


def test_the_package_has_the_pages_and_their_links_lead_to_each_other() -> None:
    assert pages_astray(docs(), pages()) == []
    rules = (PACKAGING / "debian/rules").read_text()
    assert [line for line in KEPT_AS_THEY_ARE if f"\t{line}\n" not in rules] == []
    assert not [line for line in docs().split() if not (ROOT / line).exists()]


@pytest.mark.twin
def test_a_page_that_is_astray_is_noticed() -> None:
    assert "docs/reference/settings.md" in pages_astray(docs().replace("docs", "doc"), pages())
    assert OPERATIONS in pages_astray(docs().replace(OPERATIONS, ""), pages())
    with_a_link = {**pages(), OPERATIONS: "[this](packaging/told.py)"}
    assert f"{OPERATIONS}: packaging/told.py" in pages_astray(docs(), with_a_link)


def test_the_units_lead_to_the_runbook() -> None:
    for name in sorted(path.name for path in UNITS.iterdir() if path.suffix in (".service", ".socket")):
        [line] = re.findall(r"^Documentation=(.*)$", (UNITS / name).read_text(), re.MULTILINE)
        assert f"file:/usr/share/doc/qps-reporter/{OPERATIONS}" in line.split()


# --- the package


def test_the_package_has_the_programs_version() -> None:
    first, _, _ = (PACKAGING / "debian" / "changelog").read_text().partition("\n")
    assert first.startswith(f"qps-reporter ({__version__}-")


PROVIDED_BY = {
    "debhelper-compat": "debhelper",
    "dh-sequence-installsysusers": "debhelper",
    "dh-sequence-python3": "dh-python",
}


def build_depends(control: str) -> set[str]:
    """The Debian packages that the build wants."""
    _, _, rest = control.partition("Build-Depends:\n")
    names = re.findall(r"^ ([a-z0-9-]+)", rest.partition("\nRules-Requires-Root:")[0], re.MULTILINE)
    return {PROVIDED_BY.get(name, name) for name in names}


def check_build_depends(control: str, tmp_path: Path) -> None:
    """Whoever builds, by hand or in a guest, is told to install all that the build wants."""
    wanted = build_depends(control)
    assert "python3-setuptools" in wanted
    documented = re.search(r"^apt-get install (git .*)$", (ROOT / OPERATIONS).read_text(), re.MULTILINE)
    assert documented
    assert wanted <= set(documented[1].split())
    assert set(documented[1].split()) == set(BUILD_DEPENDS)


# --- each file, and each with a fault


def file_promise(check: Callable[..., None], path: Path, *faults: tuple[str, str]) -> Promise:
    """Of the text of a file, which each fault (what is right, what is there instead) spoils."""
    text = path.read_text()
    assert all(right in text for right, _ in faults)
    twins = {f"{right} -> {wrong}": text.replace(right, wrong) for right, wrong in faults}
    return Promise(check, text, twins, (ConfigError, subprocess.CalledProcessError))


test_a_file_is_as_it_should_be, test_a_fault_is_noticed = promises(
    file_promise(
        check_example,
        PACKAGING / "qps-reporter.toml",
        ('"10s"', '"15s"'),
        ("max_routes = 1000", "max_routes = 500"),
        ('"drop"', '"keep"'),
        ('#quiet = "60s"\n', ""),
        ("#keep", "#kept"),
        ("#port = 8649", "#port = 8650"),
        ("#[output.json]", "[output.json]"),
    ),
    file_promise(check_template, UNITS / "qps-reporter@.service", ("ProtectHome=yes\n", "")),
    file_promise(
        check_socket, UNITS / "qps-reporter.socket", ("9145", "9146"), ("Name=prometheus", "Name=metrics")
    ),
    file_promise(check_page_socket, UNITS / "qps-reporter-web.socket", ("9146", "9145")),
    file_promise(
        check_page_unit,
        UNITS / "qps-reporter-web.service",
        ("PrivateNetwork=yes\n", ""),
        ("DynamicUser=yes\n", "DynamicUser=yes\nStateDirectory=qps-reporter\n"),
    ),
    file_promise(
        check_generator,
        UNITS / "qps-reporter-generator",
        ("-ge", "-gt"),
        ("in 253 254", "in 253"),
        ("qps-reporter@", "qps-reporter"),
    ),
    file_promise(
        check_build_depends,
        PACKAGING / "debian" / "control",
        (" python3-docutils,\n", " python3-docutils,\n python3-more,\n"),
    ),
)
