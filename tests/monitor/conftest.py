"""What tests of the monitor's ledger share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.monitor.ledgers import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A ledger in a folder of its own."""
    made = Desk(tmp_path)
    yield made
    made.db.close()
