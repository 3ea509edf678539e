"""What the package carries beside the program agrees with the program, and with itself."""

import difflib
import os
import re
import subprocess
from pathlib import Path

import pytest

from qps_service import __version__
from qps_service.configuration.loader import DEFAULT_FILE, Flags, load
from qps_service.configuration.outputs import OUTPUTS
from qps_service.configuration.settings import HISTORY, LOG, SERVICE
from qps_service.errors import ConfigError
from qps_service.service.systemd import LISTENER
from tests.project.test_docs import OPERATIONS, README, Pages, links, pages
from tests.system.package import BUILD_DEPENDS

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
UNITS = PACKAGING / "systemd"

# --- the configuration that the package installs


def example() -> str:
    return (PACKAGING / "qps-reporter.toml").read_text()


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
    assert spelled_out.logs[0]._replace(format=log.format) == log
    assert spelled_out._replace(logs=as_is.logs, outputs=()) == as_is
    tables = re.sub(r"^(?!path)\w+ = .*\n", "", shown[shown.index("[output.") :], flags=re.MULTILINE)
    place.write_text(f"{text}\n{tables[: tables.index('[history]')]}")
    assert spelled_out.outputs == load(Flags(config=str(place)), {}).outputs
    assert len(spelled_out.outputs) == len(OUTPUTS)
    assert not [
        f"{name}.{each.key}"
        for name, kind in OUTPUTS.items()
        for each in kind.settings
        if f"\n{each.key} = " not in shown and each.default
    ]
    assert not [
        each.key for each in (*SERVICE, *HISTORY, *LOG) if f"\n{each.key} = " not in shown and each.default
    ]


def test_the_example_says_the_defaults(tmp_path: Path) -> None:
    check_example(example(), tmp_path)


@pytest.mark.twin
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"10s"', '"15s"'),
        ("max_routes = 1000", "max_routes = 500"),
        ('"drop"', '"keep"'),
        ('#quiet = "60s"\n', ""),
        ("#keep", "#kept"),
        ("#port = 8649", "#port = 8650"),
        ("#[output.json]", "[output.json]"),
    ],
)
def test_an_example_that_is_wrong_is_noticed(right: str, wrong: str, tmp_path: Path) -> None:
    assert right in example()
    with pytest.raises((AssertionError, ConfigError)):
        check_example(example().replace(right, wrong), tmp_path)


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


def check_template(unit: str, template: str) -> None:
    """The template is the unit, with a configuration and a state of the instance's own."""
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


def units() -> tuple[str, str]:
    return (UNITS / "qps-reporter.service").read_text(), (UNITS / "qps-reporter@.service").read_text()


def test_the_template_differs_in_what_is_the_instances_own() -> None:
    check_template(*units())


@pytest.mark.twin
def test_a_template_that_lags_behind_is_noticed() -> None:
    unit, template = units()
    with pytest.raises(AssertionError):
        check_template(unit, template.replace("ProtectHome=yes\n", ""))


def check_socket(text: str) -> None:
    """It listens where the service would by itself, and has the name by which that knows it."""
    settings = dict(line.split("=", 1) for line in text.splitlines() if re.match(r"\w+=", line))
    [listen] = OUTPUTS["prometheus"].settings
    assert settings["ListenStream"] == listen.default
    assert settings["FileDescriptorName"] == LISTENER


def test_the_socket_is_the_one_that_the_service_knows() -> None:
    check_socket((UNITS / "qps-reporter.socket").read_text())


@pytest.mark.twin
@pytest.mark.parametrize(("right", "wrong"), [("9145", "9146"), ("Name=prometheus", "Name=metrics")])
def test_another_socket_is_noticed(right: str, wrong: str) -> None:
    text = (UNITS / "qps-reporter.socket").read_text()
    assert right in text
    with pytest.raises(AssertionError):
        check_socket(text.replace(right, wrong))


# --- what later versions of systemd know


def generated(version: str, tmp_path: Path, generator: str) -> set[str]:
    """The drop-ins that the generator makes under a systemd that says this of its version."""
    programs, output = tmp_path / "bin", tmp_path / "normal"
    programs.mkdir(exist_ok=True)
    output.mkdir()
    systemctl = programs / "systemctl"
    systemctl.write_text(f"#!/bin/sh\necho 'systemd {version}'\necho '+PAM 999'\n")
    systemctl.chmod(0o755)
    script = tmp_path / "generator"
    script.write_text(generator)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}"}
    subprocess.run(["sh", script, output, "/nowhere", "/nowhere"], env=environment, check=True)
    links = [Path(parent) / name for parent, _, names in os.walk(output) for name in names]
    for link in links:
        assert os.readlink(link) == f"/usr/lib/qps-reporter/systemd/{link.name.removeprefix('10-')}"
    return {str(link.relative_to(output)) for link in links}


def expected(*since: int) -> set[str]:
    units = ("qps-reporter.service.d", "qps-reporter@.service.d")
    return {f"{unit}/10-since-{version}.conf" for unit in units for version in since}


@pytest.mark.parametrize(
    ("version", "since"),
    [
        ("252 (252.39-1~deb12u2)", ()),
        ("253 (253.1)", (253,)),
        ("254~rc1 (254~rc1-1)", (253, 254)),
        ("257 (257.13-1~deb13u1)", (253, 254)),
        ("1000", (253, 254)),
        ("", ()),
    ],
)
def test_each_systemd_gets_what_it_knows(version: str, since: tuple[int, ...], tmp_path: Path) -> None:
    generator = (UNITS / "qps-reporter-generator").read_text()
    assert generated(version, tmp_path, generator) == expected(*since)


@pytest.mark.twin
@pytest.mark.parametrize(
    ("right", "wrong"), [("-ge", "-gt"), ("in 253 254", "in 253"), ("qps-reporter@", "qps-reporter")]
)
def test_a_generator_that_is_wrong_is_noticed(right: str, wrong: str, tmp_path: Path) -> None:
    generator = (UNITS / "qps-reporter-generator").read_text()
    assert right in generator
    try:
        made = generated("254", tmp_path, generator.replace(right, wrong))
    except subprocess.CalledProcessError:
        return
    assert made != expected(253, 254)


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
        if target not in installed and target not in INSTALLED
    ]


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
    for name in ("qps-reporter.service", "qps-reporter@.service", "qps-reporter.socket"):
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


def check_build_depends(control: str) -> None:
    """Whoever builds, by hand or in a guest, is told to install all that the build wants."""
    wanted = build_depends(control)
    assert "python3-setuptools" in wanted
    documented = re.search(r"^apt-get install (git .*)$", (ROOT / OPERATIONS).read_text(), re.MULTILINE)
    assert documented
    assert wanted <= set(documented[1].split())
    assert set(documented[1].split()) == set(BUILD_DEPENDS)


def test_what_the_build_wants_is_named_where_it_is_installed() -> None:
    check_build_depends((PACKAGING / "debian" / "control").read_text())


@pytest.mark.twin
def test_a_package_that_is_not_named_is_noticed() -> None:
    control = (PACKAGING / "debian" / "control").read_text()
    with pytest.raises(AssertionError):
        check_build_depends(control.replace(" python3-docutils,\n", " python3-docutils,\n python3-more,\n"))
