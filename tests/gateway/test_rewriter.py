"""The supervisor's care for copies that workers want, with stand-ins for the program that makes them."""

import asyncio
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from gateway import optimised
from gateway.optimised import Copy
from gateway.rewriter import Rewriter
from groundwork.clock import FakeClock
from groundwork.logs import Log
from tests.facts import until

NAME = "ab12.0123456789abcdef.all"
WANTED = Copy("m", "1", "sha256:ab12", "published.onnx", 4, "all")
KEEPS = """
import pathlib, sys
record = pathlib.Path(sys.argv[1], sys.argv[2] + ".optimised.json")
record.write_text(record.read_text().replace("tried", "kept"))
"""
LEAVES = KEEPS.replace('"kept"', '"left"')
DIES = "import os; os.abort()"
STAYS = "import pathlib, sys, time; pathlib.Path(sys.argv[1], 'begun').touch(); time.sleep(600)"


def plenty() -> int:
    """Memory for everything."""
    return 1 << 40


class World:
    """A cache in which one copy is wanted, and a rewriter with a program of the test's."""

    def __init__(self, cache: Path, program: str, spare: Callable[[], int] = plenty) -> None:
        self.cache = cache
        self.lines = io.StringIO()
        optimised.want(cache, NAME, WANTED)
        self.rewriter = self.with_command((sys.executable, "-c", program), spare)

    def with_command(self, command: Sequence[str], spare: Callable[[], int] = plenty) -> Rewriter:
        """A rewriter that starts this."""
        return Rewriter(self.cache, Log(self.lines, FakeClock()), command=command, spare=spare)

    @property
    def copy(self) -> Copy | None:
        """Its record."""
        return optimised.read(self.cache, NAME)


async def test_what_is_wanted_is_made_and_told(tmp_path: Path) -> None:
    """A copy that is kept is a line in the log, and is not made again."""
    world = World(tmp_path, KEEPS)
    for _ in range(2):
        await world.rewriter.look()
    assert world.copy == msgspec.structs.replace(WANTED, state="kept")
    assert world.lines.getvalue().count("graph-optimised model=m version=1") == 1


async def test_what_is_left_is_told(tmp_path: Path) -> None:
    """A copy that does not pay is a line in the log too."""
    world = World(tmp_path, LEAVES)
    await world.rewriter.look()
    assert "graph-not-optimised model=m version=1" in world.lines.getvalue()


async def test_a_program_that_dies_of_a_graph_is_not_started_for_it_again(tmp_path: Path) -> None:
    """Its record says how it ended."""
    world = World(tmp_path, DIES)
    await world.rewriter.look()
    reason = "the process that rewrites it ended with exit code -6"
    assert world.copy == msgspec.structs.replace(WANTED, state="left", reason=reason)
    assert list(optimised.wanted(tmp_path)) == []


async def test_without_memory_to_spare_a_copy_waits(tmp_path: Path) -> None:
    """That is told once, and it is made when there is some."""
    room = [1 << 20, 1 << 20, 1 << 40]
    world = World(tmp_path, KEEPS, lambda: room.pop(0))
    for state in ("wanted", "wanted", "kept"):
        await world.rewriter.look()
        assert world.copy == msgspec.structs.replace(WANTED, state=state)
    assert world.lines.getvalue().count("bytes of memory to spare, found 1048576") == 1


async def test_without_a_process_a_copy_waits(tmp_path: Path) -> None:
    """That is told once, and held against nobody."""
    world = World(tmp_path, KEEPS)
    lacking = world.with_command((str(tmp_path / "absent"),))
    for _ in range(2):
        await lacking.look()
    assert world.copy == WANTED
    assert world.lines.getvalue().count("graph-not-optimised") == 1


async def test_a_stop_ends_the_program_and_holds_nothing_against_the_graph(tmp_path: Path) -> None:
    """The copy is wanted still when the gateway starts again."""
    world = World(tmp_path, STAYS)
    looking = asyncio.create_task(world.rewriter.look())
    await until((tmp_path / "begun").exists, "the program runs")
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    assert world.copy == WANTED
