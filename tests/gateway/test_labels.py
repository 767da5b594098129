"""Labels from clients."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.log_settings import JournalSettings
from gateway.settings import GatewaySettings
from prediction_log.labels import NO_ID, read_labels
from prediction_log.record import Kind
from tests.gateway.worlds import World, request, world


async def send(here: World, *labels: Any, model: str = "m") -> Any:
    """Send labels as a client does."""
    content = msgspec.json.encode({"labels": list(labels)})
    return await here.client.post(f"/v2/models/{model}/labels", content=content)


async def test_labels_keep_their_type(here: World) -> None:
    """A label is in the log with its id, its row and its typed value when its sender has the answer."""
    ours = (await here.infer(request())).headers["x-prediction-id"]
    response = await send(
        here,
        {"id": ours, "value": 1},
        {"id": ours, "row": 3, "value": 0.5},
        {"client_id": "order-7", "value": "paid"},
        {"id": ours, "value": True},
    )
    assert (response.status_code, response.json()) == (202, {"accepted": 4})
    (frame,) = here.frames(Kind.LABEL)
    rows = read_labels(frame)
    assert [row.value for row in rows] == [1, 0.5, "paid", True]
    assert [type(row.value) for row in rows] == [int, float, str, bool]
    assert [row.id.hex() for row in rows] == [ours, ours, NO_ID.hex(), ours]
    assert [row.row for row in rows] == [0, 3, 0, 0]
    assert rows[2].client_id == b"order-7"
    assert frame.schema.model == "m"
    assert here.counted("driftgate_labels_total", model="m") == 4


@pytest.mark.parametrize(
    "label",
    [
        {"value": 1},
        {"id": "00" * 16},
        {"id": "00" * 15, "value": 1},
        {"id": "zz" * 16, "value": 1},
        {"id": "00" * 16, "client_id": "a", "value": 1},
        {"id": "11" * 16, "value": None},
        {"id": "11" * 16, "value": [1]},
        {"id": "11" * 16, "value": 2**64},
        {"id": "11" * 16, "value": "x" * 5000},
        {"id": "11" * 16, "value": 1, "row": -1},
        {"id": "11" * 16, "value": 1, "row": 2**32},
        {"id": "11" * 16, "value": 1, "rows": 1},
        {"client_id": "x" * 300, "value": 1},
        7,
    ],
)
async def test_a_label_that_cannot_be_read_stops_its_request(here: World, label: Any) -> None:
    """One bad label is 400 in one line, and none of its request's labels is taken."""
    response = await send(here, {"id": "11" * 16, "value": 1}, label)
    assert response.status_code == 400
    assert list(response.json()) == ["error"]
    assert here.frames(Kind.LABEL) == []


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ({"prediction_id": "11" * 16, "label": 1}, 'wanted {"labels": [{"id": the prediction id'),
        ({"id": "00" * 16, "value": 1}, f"label 1: no prediction has the id '{'00' * 16}'"),
        ({"client_id": "", "value": 1}, "label 1: no prediction has the id ''"),
    ],
)
async def test_who_guesses_is_told_what_a_label_looks_like(here: World, label: Any, said: str) -> None:
    """Names that are nearly right, and ids that nothing can have, are answered in their sender's words."""
    response = await send(here, {"id": "11" * 16, "value": 1}, label)
    assert said in response.json()["error"]


async def test_labels_need_a_model_and_a_body(here: World) -> None:
    """An unknown model is 404; no labels, and a body that is none, are 400."""
    assert (await send(here, {"id": "11" * 16, "value": 1}, model="nobody")).status_code == 404
    assert (await send(here)).status_code == 400
    assert (await here.client.post("/v2/models/m/labels", content=b"{")).status_code == 400


async def test_a_request_larger_than_the_buffer_is_taken(tmp_path: Path) -> None:
    """As many labels as a request may have, in a buffer for 64, with texts as long as they may be."""
    settings = GatewaySettings(journal=JournalSettings(side_buffer_bytes=1))
    async with world(tmp_path, settings) as here:
        labels = [{"id": f"{number:032x}", "value": "x" * 4096} for number in range(1, 1001)]
        response = await send(here, *labels)
        assert (response.status_code, response.json()) == (202, {"accepted": 1000})
        rows = [row for frame in here.frames(Kind.LABEL) for row in read_labels(frame)]
        assert [row.id.hex() for row in rows] == [label["id"] for label in labels]
        assert {row.value for row in rows} == {"x" * 4096}
        assert here.counted("driftgate_log_rows_accepted_total", kind="label") == 1000
        assert here.counted("driftgate_log_rows_lost_total") == 0


async def test_a_label_without_room_is_not_lost(tmp_path: Path) -> None:
    """Without room in the log, labels are refused with 503 for their sender to keep; none is lost."""
    settings = GatewaySettings(journal=JournalSettings(side_buffer_bytes=1))
    async with world(tmp_path, settings) as here:
        accepted = 0
        while (response := await send(here, *[{"id": "11" * 16, "value": 1}] * 40)).status_code == 202:
            accepted += 40
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert accepted == 80
        assert here.counted("driftgate_log_rows_lost_total") == 0
        here.frames(Kind.LABEL)
        assert (await send(here, {"id": "11" * 16, "value": 1})).status_code == 202
