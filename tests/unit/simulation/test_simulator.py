"""The simulator's loop and its truth."""

import json
from random import Random

from qps_service.simulation.simulator import IrregularPace, Pace, SteadyPace
from qps_service.text.units import SECOND
from tests.simulated import Clock, simulate


def test_the_same_seed_gives_the_same_lines_at_any_pace() -> None:
    def lines(seed: int, pace: Pace, duration: float) -> list[bytes]:
        return simulate(seed=seed, pace=pace, duration=duration)[1].written[:3000]  # several blocks

    slow = lines(7, IrregularPace(Random(9)), 300)
    assert len(slow) == 3000
    assert slow == lines(7, SteadyPace(200_000), 0.1)
    assert slow != lines(8, SteadyPace(200_000), 0.1)


def test_each_line_comes_when_it_is_due() -> None:
    _, log = simulate(pace=SteadyPace(10), duration=2)
    assert log.moments == [(50 + count) * SECOND // 10 for count in range(1, 21)]


def test_how_it_ends() -> None:
    """On time, also where no line is due; at once where it is stopped."""
    clock = Clock()
    assert simulate(pace=SteadyPace(1), clock=clock, duration=3.25)[1].rotations == 0
    assert clock.now == (5 + 3.25) * SECOND
    _, log = simulate(pace=SteadyPace(10), clock=Clock(stop_at=2 * SECOND), duration=0)
    assert log.moments[-1] == (5 + 1.9) * SECOND


def test_after_a_suspension_there_is_one_rotation_and_no_line_is_skipped() -> None:
    lateness = iter([0, 0, 0, 60 * SECOND])
    _, log = simulate(clock=Clock(lambda: next(lateness, 0)), interval=2, duration=61)
    assert [moment // SECOND - 5 for moment in log.rotated] == [60]
    assert log.lines == 61_000


def test_the_truth_to_the_letter() -> None:
    simulation, log = simulate(seed=22, pace=SteadyPace(3), interval=0.7)
    assert log.written == [
        b"107.184.245.226\tPOST /\t200\t674\n",
        b"156.149.6.227\tGET /\t200\t216\n",
        b"23.242.47.24\tGET /\t200\t487\n",
    ]
    assert json.loads(simulation.truth()) == {
        "lines": 3,
        "rotations": 1,
        "rows": [
            {"method": "GET", "route": "/", "status": 200, "requests": 2, "bytes": 216 + 487},
            {"method": "POST", "route": "/", "status": 200, "requests": 1, "bytes": 674},
        ],
    }
