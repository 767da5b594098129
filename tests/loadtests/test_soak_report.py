"""What a soak says of the machine: whose processor time it was."""

import pytest

from loadtests.samples import Sample
from loadtests.soak_report import OTHERS, processors, told


def look(seconds: float, worker: float, machine: float) -> Sample:
    """A sample with so much processor time used so far."""
    return Sample(seconds, {}, {}, used={"worker": worker, "generator": seconds / 10}, machine=machine)


def test_neighbours_are_what_the_machine_did_besides() -> None:
    """Each process has its own share, and what is left of the machine's is the others'."""
    used = processors([look(-5, 0, 0), look(0, 1, 10), look(5, 2, 12), look(10, 6, 25)], 0, 10)
    assert used == pytest.approx({"worker": 0.5, "generator": 0.1, OTHERS: 0.9})
    assert told(used) == "worker 0.50, generator 0.10, others 0.90"


def test_without_two_looks_nothing_is_said() -> None:
    """One look is no interval."""
    assert processors([look(0, 1, 10), look(50, 2, 12)], 0, 10) == {}
