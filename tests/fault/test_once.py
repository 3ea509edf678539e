"""`run --once`, as cron and timers start it: each pass tells what came since the last, exactly once."""

import os
import shutil
import signal
from itertools import pairwise
from typing import NamedTuple

import pytest

from qps_service.reporting.text import format_rate
from tests.fault import broken
from tests.fault.program import MakeSite, Site, run_program
from tests.promised import MadePromise, promises

pytestmark = pytest.mark.real_time


def once(site: Site) -> list[list[str]]:
    """One pass: the lines of each report that it printed."""
    *reports, end = site.once().split("\n\n")
    assert end == ""
    return [report.splitlines() for report in reports]


def sequence(site: Site) -> int:
    """Number of the last report in the ledger."""
    return site.query("SELECT name, value FROM meta WHERE name = 'sequence'")[0][1]


# --- what a pass tells


class Told(NamedTuple):
    """A window as the ledger has it."""

    sequence: int
    requests: int
    length: int  # nanoseconds


def windows(site: Site) -> list[Told]:
    rows = site.query(
        "SELECT sequence, sum(requests), period.ended - period.started"
        " FROM period JOIN count ON count.period = period.id GROUP BY sequence ORDER BY sequence"
    )
    return [Told._make(row) for row in rows]


def looked(site: Site) -> int:
    """Up to when the log was read, CLOCK_BOOTTIME nanoseconds."""
    return site.query("SELECT name, ended FROM log")[0][1]


def each_pass_tells_what_came_since_the_last(make_site: MakeSite) -> None:
    """Three passes with rotations between: one report each, whose number goes up by one. Its rate is over
    the time since the report before, and cron has nothing to mail."""
    site = make_site()
    writer = site.writer()
    writer.lines(20)
    [[_, _, total]] = once(site)
    assert total == "total\t-\t0"
    assert windows(site) == []
    looks = [looked(site)]
    totals = []
    for number in range(2, 5):
        writer.lines(number)
        site.rotate()
        new = site.writer()
        new.lines()
        writer.lines()
        writer.close()
        writer = new
        [[_, rule, *routes, total]] = once(site)
        assert rule == "=" * 29
        assert len(routes) == number + 2
        assert sequence(site) == number
        totals.append(total)
        looks.append(looked(site))
    told = windows(site)
    assert [(each.sequence, each.requests) for each in told] == [(2, 4), (3, 5), (4, 6)]
    assert [each.length for each in told] == [after - before for before, after in pairwise(looks)]
    seen = site.query("SELECT DISTINCT sequence, ended - started FROM windows")
    assert [length for _, length in seen] == pytest.approx([each.length / 1e9 for each in told], abs=1e-6)
    rates = [each.requests / (each.length / 1e9) for each in told]
    assert totals == [f"total\t-\t{format_rate(rate)}" for rate in rates]
    assert site.stderr == ""
    site.check()


test_a_pass, test_the_check_catches_its_twin = promises(
    MadePromise(
        each_pass_tells_what_came_since_the_last,
        broken.commits_no_windows,
        broken.reports_first,
        broken.begins_windows_with_itself,
        broken.gives_rates_the_first_time,
        broken.says_all,
        caught=(ValueError,),
    ),
)


def a_mirror_is_counted_once(make_site: MakeSite) -> None:
    """It takes the log's place between two passes, with more each time. A ledger has the number of the inode
    then that was the log's."""
    site = make_site()
    site.log.touch()
    mirrored, numbers = site.root / "mirrored", range(0, 500, 100)
    for first in numbers:
        with mirrored.open("a") as lines:
            lines.writelines(f"1.2.3.4\tGET /{number}\t200\t5\n" for number in range(first, first + 100))
        site.log.replace(site.log.with_name("ledger.db-wal"))
        shutil.copy2(mirrored, site.log)
        once(site)
    assert site.query("SELECT 'requests', sum(requests) FROM totals") == [("requests", 500)]
    assert "possible" not in site.stderr


test_a_mirror, test_a_search_that_opens_a_ledger_is_noticed = promises(
    MadePromise(a_mirror_is_counted_once, broken.looks_into_ledgers)
)


def test_without_a_ledger_there_is_no_place_to_go_on_from(make_site: MakeSite) -> None:
    site = make_site()
    site.reconfigure(f'state = "{site.state}"\n', "")
    result = run_program("run", "--config", site.config, "--once")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        "qps-reporter: --once goes on where the ledger ends: name a directory for it with --state\n"
    )
    assert not site.state.exists()


# --- two at once


def the_second_is_refused(make_site: MakeSite) -> None:
    """It is told who has the ledger, and the one who has it ends well."""
    site = make_site()
    twins, site.twins = site.twins, [broken.stops_before_the_report]
    site.writer().lines(3)
    process = site.start(once=True)
    os.waitid(os.P_PID, process.process.pid, os.WSTOPPED | os.WNOWAIT)
    result = run_program("run", "--config", site.config, "--once", twins=twins)
    held = f"qps-reporter: the ledger in {site.state} is held by PID {process.process.pid}\n"
    assert (result.returncode, result.stdout, result.stderr) == (3, "", held)
    process.process.send_signal(signal.SIGCONT)
    process.end()
    assert process.process.returncode == 0
    assert sequence(site) == 1
    site.check()


test_the_second_is_refused, test_a_twin_is_not_refused_or_names_another = promises(
    MadePromise(the_second_is_refused, broken.locks_nothing, broken.names_itself_as_the_holder)
)


# --- rules


def check_rules_keep_to_their_time(make_site: MakeSite) -> None:
    """A target on which a rule would be at work for seconds is counted, as `other`, and that is said."""
    site = make_site(more="[[log.access.route]]\nmatch = '(.*)/(.*)/(.*)\\.php$'\nname = '/php'\n")
    site.log.touch()
    once(site)
    site.log.write_text("".join(f"1.2.3.4\tGET {path}\t200\t5\n" for path in ("/" * 270, "/a//b.php", "/c")))
    [[_, _, *routes, _]] = once(site)
    assert sorted(route.split("\t")[0] for route in routes) == ["/c", "/php", "other"]
    assert site.stderr.count("the rule '(.*)/(.*)/(.*)\\.php$' took") == 1


test_rules, test_rules_without_a_limit_are_noticed = promises(
    MadePromise(check_rules_keep_to_their_time, broken.gives_rules_all_the_time_that_they_take)
)
