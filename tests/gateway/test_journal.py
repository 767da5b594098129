"""What a worker writes to the log when things are tight."""

from pathlib import Path
from typing import Any

from gateway.journal import Journal
from gateway.settings import GatewaySettings, JournalSettings
from groundwork.clock import FakeClock
from groundwork.errors import NoRoomError
from prediction_log.ids import PredictionIds
from prediction_log.record import Kind
from prediction_log.rows import RowFile
from rollouts.route import Route
from tests.gateway.worlds import ROW, World, request, world
from tests.models import identity

SMALL = GatewaySettings(journal=JournalSettings(buffer_bytes=1, side_buffer_bytes=1))


async def test_a_full_log_delays_nobody_and_counts(tmp_path: Path) -> None:
    """When both buffers are full answers go on, and what is lost is counted and told in the next frame."""
    async with world(tmp_path, SMALL) as here:
        for _ in range(10):
            assert (await here.infer(request([ROW] * 20))).status_code == 200
        accepted = here.counted("driftgate_log_rows_accepted_total", kind="prediction")
        lost = here.counted("driftgate_log_rows_lost_total", kind="prediction")
        assert accepted + lost == 200
        assert lost > 0
        first, *_ = here.frames(Kind.PREDICTION)
        await here.infer(request())
        second, *_ = here.frames(Kind.PREDICTION)
        assert first.rows + second.rows == accepted + 1
        assert second.skipped == lost


async def test_rows_too_large_to_keep_are_recorded_without_inputs(tmp_path: Path) -> None:
    """Inputs above the limit per row are left out of the schema, and each such row is counted."""
    async with world(tmp_path, GatewaySettings(journal=JournalSettings(max_row_bytes=100))) as here:
        await here.infer(request([ROW] * 2))
        (frame,) = here.frames(Kind.PREDICTION)
        assert [column.name for column in frame.schema.values] == ["label", "probabilities"]
        assert here.counted("driftgate_log_inputs_withheld_total", version="1") == 2


async def test_tensors_of_any_shape_are_recorded(here: World) -> None:
    """A tensor whose rows have no fixed shape is kept as bytes; one without a batch axis is one row."""
    await here.publish("v", "1", identity([("ragged", "FP32", [None, None])]))
    await here.publish("w", "1", identity([("whole", "INT64", [2, 2])]))
    for name in ("v", "w"):
        await here.serve(Route(model=name, revision=1, stable="1"))
    ragged = {"name": "ragged", "datatype": "FP32", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]}
    whole = {"name": "whole", "datatype": "INT64", "shape": [2, 2], "data": [1, 2, 3, 4]}
    assert (await here.infer({"inputs": [ragged]}, model="v")).status_code == 200
    assert (await here.infer({"inputs": [whole]}, model="w")).status_code == 200
    frames = {frame.schema.model: frame for frame in here.frames(Kind.PREDICTION)}
    assert [len(row) for row in frames["v"].strings("ragged").tolist()] == [12, 12]
    assert frames["w"].array("whole").tolist() == [[[1, 2], [3, 4]]]
    assert frames["w"].rows == 1


async def test_a_version_without_room_serves_unlogged(here: World) -> None:
    """Where no file can be allocated the version answers with ids all the same, and the loss is counted."""

    class FullDisk(Journal):
        def _create(self, *_: Any, **__: Any) -> RowFile:
            raise NoRoomError("no room")

    journal = FullDisk(here.slot, PredictionIds(bytes(16)), FakeClock(), JournalSettings())
    assert journal.files() == []
    assert journal.unlogged() == ["rejects are not logged: no room"]
    one, other = (journal.rejected("m", "1", 400, "malformed", "no", 1) for _ in range(2))
    assert one != other
    assert here.counted("driftgate_log_rows_lost_total", kind="reject") == 2
