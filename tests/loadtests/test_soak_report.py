"""What a soak says of the machine: whose processor time it was."""

import pytest

from loadtests.samples import Sample
from loadtests.soak_report import OTHERS, processors, told
from loadtests.spread import Spread


def look(seconds: float, worker: float, machine: float) -> Sample:
    """A sample with so much processor time used so far."""
    used = {"worker": worker, "generator": seconds / 10}
    return Sample(seconds, {}, {}, used=used, machine=machine, piece=100 + seconds)


def test_neighbours_are_what_the_machine_did_besides() -> None:
    """Each process has its own share, and what is left of the machine's is the others'."""
    used = processors([look(-5, 0, 0), look(0, 1, 10), look(5, 2, 12), look(10, 6, 25)], 0, 10)
    assert used == pytest.approx({"worker": 0.5, "generator": 0.1, OTHERS: 0.9})


def test_a_minute_is_told_with_what_the_machine_was_worth() -> None:
    """One line: the rate, the cost of a piece of work within that minute alone, and the processors."""
    minute = Spread()
    for _ in range(50):
        minute.took(1_000_000)
    looks = [look(0, 1, 10), look(10, 2, 12), look(15, 3, 20), look(20, 6, 25), look(25, 7, 30)]
    assert told(looks, minute, 1, 10.0) == (
        "5 a second, 118 µs for a piece of work; processors: worker 0.40, generator 0.10, others 0.80"
    )


def test_without_two_looks_nothing_is_said() -> None:
    """One look is no interval."""
    assert processors([look(0, 1, 10), look(50, 2, 12)], 0, 10) == {}
