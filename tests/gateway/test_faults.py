"""Why versions are not in memory."""

import io

from gateway.errors import LoadError, OverBudgetError
from gateway.faults import Faults, Key
from groundwork.clock import FakeClock
from groundwork.logs import Log

ONE, TWO = ("m", "1"), ("m", "2")


class Display:
    """What is shown as broken."""

    def __init__(self) -> None:
        self.failing: set[Key] = set()

    def failed(self, model: str, version: str, *, now: bool) -> None:
        """Note it."""
        (self.failing.add if now else self.failing.discard)((model, version))


def test_a_retry_that_fails_alike_is_told_once() -> None:
    """Another reason is told again, and so is the same one after the version was loaded."""
    lines, clock = io.StringIO(), FakeClock()
    faults = Faults(Display(), clock, Log(lines, clock))
    for reason in ("cut", "cut", "gone", "cut"):
        faults.forgive(ONE)
        faults.note(ONE, LoadError(reason))
    assert lines.getvalue().count("version-not-loaded") == 3
    faults.forget(ONE)
    assert faults.note(ONE, LoadError("cut")) == "cut"
    assert lines.getvalue().count("version-not-loaded") == 4


def test_what_is_known_is_replaced_and_never_changed() -> None:
    """A thread keeps the mapping that it has read."""
    clock = FakeClock()
    faults = Faults(Display(), clock, Log(io.StringIO(), clock))
    before = faults.now
    faults.note(ONE, ValueError("odd"))
    assert (before, faults.now[ONE].message) == ({}, "ValueError: odd")
    held = faults.now
    faults.forgive(ONE)
    assert (set(held), dict(faults.now)) == ({ONE}, {})


def test_only_what_is_broken_is_shown_so() -> None:
    """A version for which there is no room has a reason, and is not called broken; one forgiven is none."""
    clock, display = FakeClock(), Display()
    faults = Faults(display, clock, Log(io.StringIO(), clock))
    faults.note(ONE, LoadError("cut"))
    faults.note(TWO, OverBudgetError("no room"))
    assert (display.failing, set(faults.now)) == ({ONE}, {ONE, TWO})
    faults.forgive(ONE)
    assert display.failing == set()


def test_each_is_due_by_its_own_time() -> None:
    """What failed a moment ago is not due when what failed before is."""
    clock = FakeClock()
    faults = Faults(Display(), clock, Log(io.StringIO(), clock))
    faults.note(ONE, LoadError("cut"))
    clock.advance(6)
    faults.note(TWO, LoadError("cut"))
    clock.advance(4)
    assert faults.tried_before(10) == [ONE]
