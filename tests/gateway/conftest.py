"""What the tests of the gateway share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.worlds import World, world


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    """A worker whose model `m` is answered by version 1."""
    async with world(tmp_path) as made:
        yield made
