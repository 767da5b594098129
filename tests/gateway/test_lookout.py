"""What a worker looks at again and again beside its requests."""

from pathlib import Path

import pytest

from gateway.discover import Discovery
from gateway.lookout import REMEMBERED, Lookout
from groundwork.logs import Log
from registry_client.remembered import Remembered
from rollouts.follower import Follower
from rollouts.store import SqliteStore
from tests.gateway.followed import Bench
from tests.gateway.worlds import World
from tests.models import logistic


class Post:
    """A lookout over a world that follows the routes of a store."""

    def __init__(self, here: World, folder: Path) -> None:
        self.here = here
        self.bench = Bench(here)
        self.store = SqliteStore(folder / "rollouts.db", here.clock)
        log = Log(here.lines, here.clock)
        registry = Remembered(here.registry, folder / "cache")
        discovery = Discovery(registry, self.store, log)
        self.lookout = Lookout(
            Follower(self.store), registry, discovery, self.bench.reconciler, here.journal, log
        )

    async def look(self) -> None:
        """Look around, and follow what came of it."""
        await self.lookout.look()
        self.lookout.follow()
        await self.bench.reconciler.settled()


@pytest.fixture
def post(here: World, tmp_path: Path) -> Post:
    """A fresh post."""
    return Post(here, tmp_path)


async def test_what_was_published_answers_after_a_look(post: Post) -> None:
    """A look gives a new model its route, and following it loads what the route names."""
    await post.here.publish("fresh", "1", logistic())
    await post.look()
    assert post.here.core.lanes.table["fresh"].stable.version == "1"
    assert post.lookout.faults() == {}
    post.lookout.close()


async def test_what_cannot_be_loaded_is_a_fault_of_its_version(post: Post) -> None:
    """Whoever asks for faults is told of a version in one line, under its model and version."""
    await post.here.publish("broken", "1", logistic()[:99])
    await post.look()
    assert list(post.lookout.faults()) == [("broken", "1")]
    post.lookout.close()


async def test_what_is_not_recorded_is_said_once(post: Post) -> None:
    """A remark of the journal is one line of the log, however often the lookout comes by."""
    post.here.journal._remarks["m", "1"] = ["input x is cut"]
    await post.lookout.tend()
    await post.lookout.tend()
    said = [line for line in post.here.lines.written if "not-recorded" in line]
    assert len(said) == 1
    post.lookout.close()


async def test_what_comes_and_goes_is_said_again_after_a_while(post: Post) -> None:
    """A version that is bounded every other second is no line every other second."""
    remarks = post.here.journal._remarks

    def said() -> int:
        return sum("not-recorded" in line for line in post.here.lines.written)

    for _ in range(5):
        remarks["m", "1"] = ["input x is cut"]
        await post.lookout.tend()
        remarks.clear()
        await post.lookout.tend()
    assert said() == 1
    for _ in range(REMEMBERED):
        await post.lookout.tend()
    remarks["m", "1"] = ["input x is cut"]
    await post.lookout.tend()
    assert said() == 2
    post.lookout.close()
