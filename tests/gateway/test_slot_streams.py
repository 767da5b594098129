"""The streams of a worker's slot: what they say to whoever brings them into the log."""

from pathlib import Path

import pytest

from gateway.log_settings import JournalSettings
from gateway.settings import GatewaySettings
from prediction_log.record import Kind
from tests.gateway.worlds import call, world


@pytest.mark.parametrize("share", [1.0, 0.99])
async def test_a_full_buffer_is_told_of_at_once(tmp_path: Path, share: float) -> None:
    """Nobody waits for the next look while only the other buffer is left, whichever way the rows went."""
    settings = GatewaySettings(journal=JournalSettings(buffer_bytes=1, sampling={"m": share}))
    async with world(tmp_path, settings) as here:
        told: list[str] = []
        here.journal.hurry = lambda: told.append("hurry")
        here.core.begin(call())
        assert told == []
        for _ in range(100):
            here.core.begin(call())
        assert told
        here.frames(Kind.PREDICTION)
        here.frames(Kind.PREDICTION)
        told.clear()
        here.core.begin(call())
        assert told == []
