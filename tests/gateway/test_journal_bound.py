"""What is recorded of versions that would write more than `journal.max_rate`."""

from pathlib import Path

import msgspec
import pytest

from gateway.log_rate import LOOK_SECONDS
from gateway.log_settings import JournalSettings
from gateway.settings import GatewaySettings
from prediction_log.record import Kept, Kind
from rollouts.route import Route
from tests.gateway.worlds import World, call, world
from tests.models import logistic

ROW_BYTES = 200
"""About what a row of `logistic` takes of the log."""
BOUNDED = GatewaySettings(journal=JournalSettings(max_rate=200 * ROW_BYTES))


def _drive(here: World, rows: dict[str, int], seconds: float) -> None:
    """Let models answer so many rows each, in single requests, between any two looks at the log's rate."""
    asked = {model: msgspec.structs.replace(call(), model=model) for model in rows}
    for _ in range(round(seconds / LOOK_SECONDS)):
        for model, count in rows.items():
            for _ in range(count):
                here.core.begin(asked[model])
        here.clock.advance(LOOK_SECONDS * 1.001)
        here.journal.bound(here.clock.monotonic())


async def test_a_version_that_writes_too_much_is_sampled(tmp_path: Path) -> None:
    """Its requests are drawn by their ids, its frames say the rate, and beside it others keep everything."""
    async with world(tmp_path, BOUNDED) as here:
        await here.publish("n", "1", logistic())
        await here.serve(Route(model="n", revision=1, stable="1"))
        _drive(here, {"m": 100, "n": 1}, 6)
        here.frames(Kind.PREDICTION)
        _drive(here, {"m": 100, "n": 1}, 10)
        loud, quiet = sorted(here.frames(Kind.PREDICTION), key=lambda frame: frame.schema.model)
        assert loud.rate == pytest.approx(0.4, rel=0.15)
        assert loud.rows / (loud.end - loud.first) == pytest.approx(loud.rate, rel=0.1)
        assert set(loud.array("kept").tolist()) == {Kept.SAMPLE}
        assert (quiet.rate, quiet.rows) == (1.0, 50)
        left_out = here.counted("driftgate_log_rows_not_drawn_total", model="m")
        assert left_out >= loud.end - loud.first - loud.rows > 0
        assert here.counted("driftgate_log_rows_not_drawn_total", model="n") == 0
        (said,) = here.journal.remarks()
        assert said.startswith("m 1: ")
        assert "journal.max_rate" in said


async def test_a_version_that_grew_quiet_is_recorded_whole_again(tmp_path: Path) -> None:
    """The bound goes with the traffic that it was for, and the next frame says so."""
    async with world(tmp_path, BOUNDED) as here:
        _drive(here, {"m": 100}, 6)
        assert not here.journal.keeps_whole(here.fleet.loaded["m", "1"])
        _drive(here, {"m": 1}, 6)
        assert here.journal.keeps_whole(here.fleet.loaded["m", "1"])
        here.frames(Kind.PREDICTION)
        _drive(here, {"m": 1}, 2)
        (frame,) = here.frames(Kind.PREDICTION)
        assert (frame.rate, frame.rows) == (1.0, 10)
        assert here.journal.remarks() == []


async def test_a_bound_is_on_what_the_settings_draw(tmp_path: Path) -> None:
    """Where half is drawn anyway, what fits when halved is bounded no further; what does not, is."""
    journal = JournalSettings(max_rate=200 * ROW_BYTES, sampling={"m": 0.5})
    async with world(tmp_path, GatewaySettings(journal=journal)) as here:
        _drive(here, {"m": 60}, 4)
        assert here.journal.remarks() == []
        _drive(here, {"m": 160}, 6)
        here.frames(Kind.PREDICTION)
        _drive(here, {"m": 160}, 2)
        assert here.frames(Kind.PREDICTION)[0].rate == pytest.approx(0.25, rel=0.1)


async def test_what_somebody_follows_is_not_bounded(tmp_path: Path) -> None:
    """A version whose rows are run again from the log is recorded whole while that lasts."""
    async with world(tmp_path, BOUNDED) as here:
        loaded = here.fleet.loaded["m", "1"]
        here.journal.follow(loaded, followed=True)
        _drive(here, {"m": 100}, 6)
        assert here.journal.keeps_whole(loaded)
        here.journal.follow(loaded, followed=False)
        _drive(here, {"m": 100}, 6)
        assert not here.journal.keeps_whole(loaded)
