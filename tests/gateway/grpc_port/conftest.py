"""What the tests of the gRPC port share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.grpc_port.ports import Served, served


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Served]:
    """A gRPC port whose model `m` is answered by version 1."""
    async with served(tmp_path) as made:
        yield made
