"""A gateway per test, ended with it whatever happens."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.system import graphs
from tests.system.rig import Gateway


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """Two workers over one model `m` with the versions 1 and 2, of which 2 is stable."""
    made = Gateway(tmp_path)
    for version in (1, 2):
        graphs.put(made.models, "m", version, graphs.linear(float(version)))
    await made.start()
    try:
        yield made
    finally:
        await made.close()
