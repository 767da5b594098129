"""Time that no setting of the clock moves: the machine's monotonic clock, with the boot that it counts from.

All processes of one machine and boot read the same one, so a moment may be kept by one and looked at by
another. Across boots, and where the system does not tell them apart, it says nothing: whoever keeps a moment
keeps the wall clock's beside it.

It stands still while a machine is suspended (CLOCK_MONOTONIC, not CLOCK_BOOTTIME), and is meant to: nothing
was watched meanwhile, so no hold is met, no `max` is over and no bake is done for having slept.
"""

from typing import Final

import msgspec

from groundwork.boot import boot_id
from groundwork.clock import Clock


class Steady(msgspec.Struct, frozen=True):
    """A moment: nanoseconds `at` since this `boot` began; an empty boot is a moment that is not known."""

    boot: str = ""
    at: int = 0


UNKNOWN: Final = Steady()


def steady(clock: Clock) -> Steady:
    """This moment."""
    return Steady(boot_id(), round(clock.monotonic() * 1e9))


def passed(since: Steady, now: Steady) -> int | None:
    """Nanoseconds from one moment to another; None where they are not of one boot."""
    if not since.boot or since.boot != now.boot:
        return None
    return max(now.at - since.at, 0)
