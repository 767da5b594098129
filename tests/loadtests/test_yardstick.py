"""A yardstick tells what the machine is worth now, whatever the program under load does."""

import math
import threading
import time
from collections.abc import Callable

import pytest

from loadtests import yardstick
from loadtests.yardstick import Yardstick

PATIENCE_S = 30.0


def until(fact: Callable[[], bool]) -> None:
    """Wait for a fact, as long as one may; then it must be true."""
    pause = threading.Event()
    limit = time.monotonic() + PATIENCE_S
    while not fact() and time.monotonic() < limit:
        pause.wait(yardstick.EVERY_S)
    assert fact()


@pytest.mark.parametrize(
    ("cost", "wanted"), [(100, 1.0), (125, 0.8), (80, 1.25), (1e6, yardstick.LEAST), (1e-3, yardstick.MOST)]
)
def test_a_dearer_piece_is_a_slower_machine(cost: float, wanted: float) -> None:
    """The speed is what a piece cost over what it costs, within limits that one disturbed piece keeps."""
    assert yardstick.speed(100, cost) == pytest.approx(wanted)


def test_a_piece_is_always_the_same_work() -> None:
    """All of it is done each time: the sum of as many numbers."""
    assert yardstick.piece() == yardstick.piece() == sum(range(1600))


@pytest.mark.system
def test_the_speed_is_one_until_it_is_begun_and_near_one_then() -> None:
    """A real machine: a piece costs something, and no more than a few times what it cost a moment ago."""
    with Yardstick() as stick:
        until(lambda: stick.cost() > 0)
        assert stick.speed.value == 1.0
        stick.begin()
        until(lambda: stick.speed.value != 1.0)
        assert yardstick.LEAST <= stick.speed.value <= yardstick.MOST
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("yardstick")]


def test_before_the_first_piece_nothing_is_known() -> None:
    """Not a number, rather than a cost that nobody has measured."""
    assert math.isnan(Yardstick().cost())
