"""Tests of what monitor.pipeline makes of a stored state that cannot be read."""

from pathlib import Path

import pytest

from groundwork.errors import StoreError
from monitor.pipeline import Pipeline
from monitor.store import open_store
from prediction_log.transport import Offset
from tests.monitor import worlds
from tests.monitor.worlds import Traffic, registry


@pytest.mark.parametrize(
    "damage", ["watches SET state = x'c1'", "facts SET value = x'c1' WHERE name = 'time'"]
)
def test_a_damaged_state_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    """What was stored and cannot be read is said in one line; nothing is guessed."""
    db, models = open_store(tmp_path), registry("1", rows=100)
    body, _ = Traffic().predictions(10)
    Pipeline(db, worlds.settings(), models, worlds.IDS).feed([(Offset(1, 1), body)])
    db.execute(f"UPDATE {damage}")
    with pytest.raises(StoreError, match=r"monitor\.db: wanted the monitor's state, found damage"):
        Pipeline(db, worlds.settings(), models, worlds.IDS)
    db.close()
