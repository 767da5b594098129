"""What a worker writes to the log when things are tight, and what it leaves out because it was told to."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.journal import Journal
from gateway.log_settings import JournalSettings
from gateway.model import LoadedModel
from gateway.settings import GatewaySettings
from gateway.stream import Noted, StreamSpec
from groundwork.clock import FakeClock
from groundwork.errors import NoRoomError
from groundwork.slots import Slot
from prediction_log.frame import Frame, decode
from prediction_log.ids import PredictionIds
from prediction_log.record import Arm, Kept, Kind, Outcome
from prediction_log.rows import RowFile
from prediction_log.sampling import is_drawn, threshold
from rollouts.route import FULL, Route
from tests.gateway.worlds import ROW, World, call, request, world
from tests.models import fragile_logistic, identity, logistic

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


async def test_a_request_larger_than_its_buffers_is_recorded(tmp_path: Path) -> None:
    """However many rows a request has, they are accepted, and in the log with their id and their order."""
    async with world(tmp_path, SMALL) as here:
        assert (await here.infer(request([ROW] * 3))).status_code == 200
        answer = await here.infer(request([ROW] * 500))
        assert here.counted("driftgate_log_rows_accepted_total", kind="prediction") == 503
        assert here.counted("driftgate_log_rows_lost_total", kind="prediction") == 0
        before, large = (*here.frames(Kind.PREDICTION), *here.frames(Kind.PREDICTION))
        assert (before.rows, large.rows, large.first) == (3, 500, 3)
        assert {row.tobytes().hex() for row in large.array("id")} == {answer.headers["x-prediction-id"]}
        assert large.array("row").tolist() == list(range(500))


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


def sampled(share: float) -> GatewaySettings:
    """Settings that record this share of what `m` answers."""
    return GatewaySettings(journal=JournalSettings(sampling={"m": share}))


async def test_a_sample_is_recorded_and_the_rest_is_a_gap(tmp_path: Path) -> None:
    """What is drawn follows from the id alone; frames say the rate, metrics count everything."""
    async with world(tmp_path, sampled(0.3)) as here:
        ids = [(await here.infer(request([ROW] * 2))).headers["x-prediction-id"] for _ in range(60)]
        here.journal.finish()
        (frame,) = here.frames(Kind.PREDICTION)
        drawn = [text for text in ids if is_drawn(bytes.fromhex(text), threshold(0.3))]
        assert 5 < len(drawn) < 35
        assert [row.tobytes().hex() for row in frame.array("id")[::2]] == drawn
        assert (frame.first, frame.end, frame.rows, frame.skipped) == (0, 120, 2 * len(drawn), 0)
        assert frame.rate == 0.3
        assert set(frame.array("kept").tolist()) == {Kept.SAMPLE}
        assert here.counted("driftgate_requests_total") == 60
        assert here.counted("driftgate_rows_total") == 120
        assert here.counted("driftgate_log_rows_not_drawn_total", version="1") == 120 - frame.rows


async def test_what_must_not_be_missed_is_kept_whatever_the_draw(tmp_path: Path) -> None:
    """Candidates, failures and shadowed requests are recorded at rate 0, and are no sample of the traffic."""
    async with world(tmp_path, sampled(0.0)) as here:
        await here.publish("m", "2", fragile_logistic())
        await here.serve(Route(model="m", revision=2, stable="1", candidate="2", weight=FULL))
        await here.infer(request())
        await here.infer(request([[5.0, *ROW[1:]]]))  # fails, and stable answers: that row is not wanted
        await here.serve(Route(model="m", revision=3, stable="1", shadow="2", shadow_share=FULL))
        await here.infer(request())
        await here.core.shadow.idle()
        await here.serve(Route(model="m", revision=4, stable="1"))
        await here.infer(request())
        kept = [
            (frame.schema.version, int(arm), int(outcome), int(why))
            for frame in here.frames(Kind.PREDICTION)
            for arm, outcome, why in zip(
                frame.array("arm"), frame.array("outcome"), frame.array("kept"), strict=True
            )
        ]
    assert sorted(kept) == [
        ("1", Arm.STABLE, Outcome.OK, Kept.ALWAYS),
        ("2", Arm.CANDIDATE, Outcome.OK, Kept.ALWAYS),
        ("2", Arm.CANDIDATE, Outcome.FAILED, Kept.ALWAYS),
    ]


async def test_a_model_that_is_not_named_follows_the_default(tmp_path: Path) -> None:
    """`*` stands for every model that has no share of its own."""
    settings = GatewaySettings(journal=JournalSettings(sampling={"*": 0.0, "m": 1.0}))
    async with world(tmp_path, settings) as here:
        await here.publish("n", "1", logistic())
        await here.serve(Route(model="n", revision=1, stable="1"))
        for model in ("m", "n"):
            assert (await here.infer(request(), model=model)).status_code == 200
        assert [frame.schema.model for frame in here.frames(Kind.PREDICTION)] == ["m"]


async def test_a_version_without_room_tells_what_was_lost_when_there_is_some(tmp_path: Path) -> None:
    """Its ids go on, its first frame says how many rows were lost, and the gauge says when it is logged."""
    async with world(tmp_path) as here:
        crowded = Crowded(here.slot, PredictionIds(bytes(16)), FakeClock(), JournalSettings())
        loaded = here.fleet.loaded["m", "1"]
        crowded.open(loaded)
        assert crowded.faults() == {("m", "1"): "m 1 predictions are not logged: no room"}
        assert here.counted("driftgate_version_unlogged", model="m", version="1") == 1
        before = [run(crowded, loaded) for _ in range(3)]
        assert crowded.retry() == []
        crowded.room = True
        crowded.adopt(crowded.retry())
        assert crowded.faults() == {}
        assert here.counted("driftgate_version_unlogged", model="m", version="1") == 0
        after = run(crowded, loaded)
        assert len({*before, after}) == 4
        (frame,) = frames_of(crowded, Kind.PREDICTION)
        assert (frame.first, frame.end, frame.rows, frame.skipped) == (0, 4, 1, 3)
        assert frame.array("id")[0].tobytes() == after


async def test_a_released_version_still_owes_what_it_lost(tmp_path: Path) -> None:
    """One that was let go before there was room tells its losses all the same, and then leaves nothing."""
    async with world(tmp_path) as here:
        crowded = Crowded(here.slot, PredictionIds(bytes(16)), FakeClock(), JournalSettings())
        loaded = here.fleet.loaded["m", "1"]
        crowded.open(loaded)
        run(crowded, loaded)
        crowded.close(loaded)
        assert crowded.files() == []
        crowded.room = True
        crowded.adopt(crowded.retry())
        (frame,) = frames_of(crowded, Kind.PREDICTION)
        assert (frame.rows, frame.skipped) == (0, 1)
        assert [file.path.name for file in crowded.files()] == ["1.rows"]  # that of rejects


class Crowded(Journal):
    """A journal that has room from the moment it is given some."""

    room = False

    def _create(self, number: int, spec: StreamSpec) -> RowFile:
        if not self.room:
            raise NoRoomError("no room")
        # Beside the files of the journal that belongs to the slot.
        folder = self._slot.folder / "crowded"
        folder.mkdir(exist_ok=True)
        own, self._slot.folder = self._slot.folder, folder
        try:
            return super()._create(number, spec)
        finally:
            self._slot.folder = own


def run(journal: Journal, loaded: LoadedModel) -> bytes:
    """Record a failed run of one row; its id."""
    identifier = journal.identify(loaded)
    feeds = {"x": np.zeros((1, 30), np.float32)}
    journal.predicted(loaded, Noted(identifier, 1, 1, Arm.STABLE, 1), feeds, None, 1)
    return identifier


def frames_of(journal: Journal, kind: Kind) -> list[Frame]:
    """What a journal holds of one kind."""
    found = []
    for file in journal.files():
        file.swap()
        taken = file.take()
        if taken is not None:
            file.release()
            found.append(decode(taken))
    return [frame for frame in found if frame.kind == kind]


async def test_rows_of_no_answer_are_not_missed(tmp_path: Path) -> None:
    """A lost shadow pair, or a candidate's lost failure, keeps nobody from an answer and is forgotten."""
    async with world(tmp_path, SMALL) as here:
        await here.publish("m", "2", logistic(bias=1.0))
        versions = await here.serve(Route(model="m", revision=2, stable="1", candidate="2", weight=1))
        stable, candidate = versions["1"], versions["2"]
        here.journal.spooled = here.core.shadow.close  # type: ignore[assignment]  # that there is one is enough
        here.journal.open_pairs(stable, candidate)
        feeds = {"x": np.zeros((100, 30), np.float32)}
        outputs = stable.session.run(feeds)
        for number in range(20):
            noted = Noted(number.to_bytes(16, "little"), 1, 1, Arm.CANDIDATE, 2)
            here.journal.paired((stable, candidate), noted, outputs, None, 100)
            here.journal.predicted(candidate, noted, feeds, None, 100, Kept.ALWAYS)
        assert here.counted("driftgate_log_rows_lost_total", kind="pair") > 0
        assert here.counted("driftgate_log_rows_lost_total", kind="prediction") > 0
        assert not here.journal.missed
        here.journal.spooled = None


@pytest.mark.parametrize(
    ("journal", "whole"),
    [
        (JournalSettings(), True),
        (JournalSettings(sampling={"*": 0.5}), False),
        (JournalSettings(columns={"m": {"label": "drop"}}), False),
        (JournalSettings(max_row_bytes=8), False),
    ],
    ids=["all", "sampled", "dropped", "too-large"],
)
async def test_what_the_log_keeps_whole(tmp_path: Path, journal: JournalSettings, *, whole: bool) -> None:
    """A version whose every request is recorded, with all of its values as they were, is kept whole."""
    async with world(tmp_path, GatewaySettings(journal=journal)) as here:
        loaded = here.fleet.loaded["m", "1"]
        assert here.journal.keeps_whole(loaded) is whole
        before = here.journal.standing(loaded)
        assert here.journal.flushed(loaded)
        here.core.begin(call())
        assert here.journal.standing(loaded) == before + 1
        if journal.sampling == {}:
            assert not here.journal.flushed(loaded)
        here.frames(Kind.PREDICTION)
        assert here.journal.flushed(loaded)


def test_a_file_that_would_take_the_reserve_is_not_made(tmp_path: Path) -> None:
    """With less disk than the reserve and the file together, the stream is unlogged and names the setting."""
    slot = Slot.create(tmp_path / "slots", place=0)
    journal = Journal(slot, PredictionIds(bytes(16)), FakeClock(), JournalSettings(), reserve_bytes=1 << 62)
    assert "log.reserve_bytes" in journal.remarks()[0]
    slot.close()
