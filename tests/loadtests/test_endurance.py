"""A soak passes when nothing grows after warm-up, and says what did."""

import pytest

from loadtests import endurance
from loadtests.samples import Sample
from loadtests.spread import Spread

MIB = 1 << 20
LIMIT = 100 * MIB
CYCLE = 10.0


def run(
    *, growth: float = 0.0, dies: bool = False, file_growth: float = 0.0, lag: float = 0.0, swing: int = 0
) -> list[Sample]:
    """Ten cycles of ten looks; a worker that doubles in warm-up, then grows by a share, swings in a cycle.

    The monitor may end, and may fall behind. Looks before the first cycle and behind the last show anything.
    """
    found = [Sample(-1.0, {"worker": MIB}, {}, lag=1000), Sample(100.0, {"worker": MIB}, {}, lag=1000)]
    for place in range(100):
        memory = {"worker": round((50 + min(place, 10) * 5) * MIB * (1 + growth * place / 100))}
        memory["worker"] += swing * MIB * (place % 10 > 4)
        if not (dies and place > 80):
            memory["monitor"] = 80 * MIB
        files = {"log": 90 * MIB, "rollouts.db": round(MIB + file_growth * place * MIB), "lock": 4096}
        found.append(Sample(float(place), memory, files, lag=lag * place / 100))
    return found


def spreads(*p99_ms: float, bad: int = 0) -> list[Spread]:
    """Ten minutes, the last of which are these: every answer took so long."""
    found = []
    for value in [*[p99_ms[0]] * (10 - len(p99_ms)), *p99_ms]:
        spread = Spread()
        spread.bad = bad
        for _ in range(10):
            spread.took(round(value * 1e6))
        found.append(spread)
    return found


def failed(samples: list[Sample], minutes: list[Spread], limit: int = LIMIT) -> set[str]:
    """The names of the criteria that do not hold."""
    return {check.name for check in endurance.judge(samples, minutes, CYCLE, limit) if not check.passed}


def test_a_flat_run_passes() -> None:
    """Growth in warm-up is no growth, and a minute may be a fifth slower."""
    assert failed(run(), spreads(2.0, 5.0, 2.3)) == set()


def test_what_swings_within_each_cycle_is_flat() -> None:
    """A canary's memory comes and goes in every cycle, and whole cycles are compared."""
    assert failed(run(swing=40), spreads(2.0, 2.0)) == set()


@pytest.mark.parametrize(
    ("samples", "name"),
    [
        (run(growth=0.2), "RSS of worker"),
        (run(dies=True), "RSS of monitor"),
        (run(file_growth=0.3), "bytes of rollouts.db"),
        (run(lag=10.0), "the monitor keeps up"),
    ],
)
def test_what_grows_or_ends_is_named(samples: list[Sample], name: str) -> None:
    """Memory beyond five percent, a process that is gone, a file that follows the requests: each alone."""
    assert failed(samples, spreads(2.0, 2.0)) == {name}


def test_a_log_above_its_limit_fails() -> None:
    """The log may be as large as it was told to be."""
    assert failed(run(), spreads(2.0, 2.0), 80 * MIB) == {"bytes of log"}


def test_a_slower_last_minute_fails() -> None:
    """The last minute's 99 % may be a fifth above the first's, and no more."""
    assert failed(run(), spreads(2.0, 2.0, 2.5)) == {"99 % of the last minute"}


def test_a_generator_at_its_limit_fails_the_soak() -> None:
    """What is late by itself measures itself."""
    assert endurance.generator(0.5).passed
    assert not endurance.generator(0.9).passed


def test_a_failed_request_fails_the_soak() -> None:
    """One is too many."""
    assert failed(run(), spreads(2.0, 2.0, bad=1)) == {"failed requests"}
