"""What is said of folders that nobody serves."""

import io
from collections.abc import Mapping

from gateway.stray_watch import LOOK_SECONDS, StrayWatch
from groundwork.clock import FakeClock
from groundwork.logs import Log
from registry_client.errors import RegistryError
from registry_client.memory import MemoryRegistry
from registry_client.registry import Registry


class Littered(MemoryRegistry):
    """A registry with something in it that is no model."""

    lying: Mapping[str, str] = {"my model": "no name; rename the folder"}

    def strays(self) -> Mapping[str, str]:
        """What lies there."""
        return self.lying


def test_a_stray_is_said_once_and_again_when_it_comes_back() -> None:
    """One line names the place and the reason, the next minute none, and a new one when it was away."""
    clock, lines, registry = FakeClock(), io.StringIO(), Littered()
    watch = StrayWatch(lambda: registry, clock, Log(lines, clock))

    def said() -> int:
        watch.look()
        return lines.getvalue().count('not-a-model place="my model" why="no name; rename the folder"')

    assert said() == 1
    clock.advance(LOOK_SECONDS)
    assert said() == 1
    registry.lying = {}
    clock.advance(LOOK_SECONDS)
    assert said() == 1
    registry.lying = Littered.lying
    assert said() == 1
    clock.advance(LOOK_SECONDS)
    assert said() == 2


def test_a_registry_that_cannot_be_opened_is_told_of_by_others() -> None:
    """The watch says nothing and looks again later."""
    clock, lines = FakeClock(), io.StringIO()

    def gone() -> Registry:
        raise RegistryError("gone")

    StrayWatch(gone, clock, Log(lines, clock)).look()
    assert lines.getvalue() == ""
