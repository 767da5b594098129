"""What the tests of the gateway share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.operated import Bench
from tests.gateway.worlds import World, world
from tests.models import logistic


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    """A worker whose model `m` is answered by version 1."""
    async with world(tmp_path) as made:
        yield made


@pytest.fixture
async def bench(here: World, tmp_path: Path) -> AsyncIterator[Bench]:
    """A worker that answers `m`, whose versions 1 and 2 are published."""
    await here.publish("m", "2", logistic(bias=1.0))
    made = Bench(here, tmp_path)
    made.presence.following(now=True)
    made.presence.answering(now=True)
    made.follow()
    await made.reconciler.settled()
    yield made
    await made.close()
