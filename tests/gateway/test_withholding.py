"""Columns that are not recorded as they are: nothing of them is in any file."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gateway.log_settings import JournalSettings, Treatment
from gateway.recording import Marks
from gateway.settings import GatewaySettings
from gateway.tensors import Tensor
from gateway.withholding import NOT_SHOWN, NOTHING, Policy
from prediction_log.ids import PredictionIds
from prediction_log.record import Kind, Validity
from registry_client.signature import Datatype, TensorSpec
from rollouts.route import FULL, Route
from tests.gateway.worlds import World, world
from tests.models import Values, identity

COLUMNS: Values = [("city", "BYTES", [None]), ("name", "BYTES", [None, 2]), ("age", "FP32", [None])]
SECRETS = (b"bern", b"oslo", b"lovelace")


def asked(**columns: Treatment) -> GatewaySettings:
    """Settings that treat columns of the model `p`."""
    return GatewaySettings(journal=JournalSettings(columns={"p": columns}))


async def serve(here: World, *versions: str, **route: Any) -> None:
    """Serve `p`, which gives back what it is given."""
    for version in versions:
        await here.publish("p", version, identity(COLUMNS))
    await here.serve(Route(model="p", revision=1, stable=versions[0], **route))


def people() -> dict[str, Any]:
    """Two rows."""
    return {
        "inputs": [
            {"name": "city", "datatype": "BYTES", "shape": [2], "data": ["bern", "bern"]},
            {"name": "name", "datatype": "BYTES", "shape": [2, 2], "data": ["ada", "lovelace", "ada", ""]},
            {"name": "age", "datatype": "FP32", "shape": [2], "data": [36.5, 36.5]},
        ]
    }


def held(here: World) -> bytes:
    """Every byte of the slot's files."""
    return b"".join(path.read_bytes() for path in here.slots.rglob("*.rows"))


async def test_dropped_columns_are_withheld_and_keep_their_dtype(tmp_path: Path) -> None:
    """An input and an output that are dropped stand in the schema, are marked there, and hold nothing."""
    async with world(tmp_path, asked(city="drop", city_out="drop", age="drop")) as here:
        await serve(here, "1")
        answer = await here.infer(people(), model="p")
        assert answer.json()["outputs"][0]["data"] == ["bern", "bern"]
        assert b"bern" not in held(here)
        (frame,) = here.frames(Kind.PREDICTION)
    marks = {column.name: (column.dtype, column.withheld) for column in frame.schema.values}
    assert marks["city"] == ("bytes", True)
    assert marks["age"] == ("<f4", True)
    assert marks["name"] == ("bytes", False)
    assert frame.validity is not None
    W, P = Validity.WITHHELD, Validity.PRESENT  # noqa: N806  a table is read at a glance
    assert frame.validity.tolist() == [[W, P, W, W, P, P]] * 2
    assert frame.strings("city").tolist() == [b"", b""]
    assert frame.array("age").tolist() == [0.0, 0.0]


async def test_hashed_texts_can_be_told_apart_and_nothing_else(tmp_path: Path) -> None:
    """Equal texts of a column have equal hashes; the empty text stays empty; the key is named."""
    async with world(tmp_path, asked(city="hash", name="hash", city_out="hash", name_out="hash")) as here:
        await serve(here, "1")
        assert (await here.infer(people(), model="p")).status_code == 200
        assert not any(secret in held(here) for secret in (b"bern", b"lovelace"))
        (frame,) = here.frames(Kind.PREDICTION)
    city, name = frame.strings("city").tolist(), frame.strings("name").tolist()
    assert city[0] == city[1]
    assert len(city[0]) == 16
    assert city[0] != frame.strings("city_out")[0]
    assert (name[0] == name[2], name[0] != name[1], name[3]) == (True, True, b"")
    assert frame.validity is None
    assert len({column.hashed for column in frame.schema.values if column.dtype == "bytes"} - {""}) == 1


async def test_shadow_pairs_obey_too(tmp_path: Path) -> None:
    """Both sides of a pair are treated like the outputs they are, and equal hashes say equal answers."""
    async with world(tmp_path, asked(city="drop", city_out="hash", name="drop", name_out="drop")) as here:
        await serve(here, "1", "2", shadow="2", shadow_share=FULL)
        await here.infer(people(), model="p")
        await here.core.shadow.idle()
        assert not any(secret in held(here) for secret in SECRETS)
        (frame,) = here.frames(Kind.PAIR)
    assert frame.strings("stable.city_out").tolist() == frame.strings("candidate.city_out").tolist()
    marks = {column.name: (bool(column.hashed), column.withheld) for column in frame.schema.values}
    assert marks["candidate.city_out"] == (True, False)
    assert marks["stable.name_out"] == (False, True)
    assert marks["stable.age_out"] == (False, False)


async def test_a_reject_does_not_quote_what_is_withheld(tmp_path: Path) -> None:
    """Of a model with such a column the code is recorded and the message is not; the client has it."""
    async with world(tmp_path, asked(age="drop")) as here:
        await serve(here, "1")
        document = people()
        document["inputs"][2]["data"] = ["lovelace", 1]
        answer = await here.infer(document, model="p")
        assert answer.status_code == 400
        assert b"lovelace" not in held(here)
        await here.infer({"inputs": []})
        (frame,) = here.frames(Kind.REJECT)
    withheld, shown = frame.strings("message").tolist()
    assert withheld == NOT_SHOWN.encode()
    assert shown != NOT_SHOWN.encode()
    assert frame.strings("code").tolist()[0] == b"invalid-input"


async def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    """A hash of a number drops it, and it and a column that no version has are remarked upon."""
    async with world(tmp_path, asked(age="hash", citty="drop")) as here:
        await serve(here, "1")
        await here.infer(people(), model="p")
        (frame,) = here.frames(Kind.PREDICTION)
        remarks = here.journal.remarks()
    assert frame.array("age").tolist() == [0.0, 0.0]
    assert [remark.partition(":")[0] for remark in remarks] == [
        "journal.columns.p.age",
        "journal.columns.p",
    ]
    assert "'citty'" in remarks[1]


def _listed(validity: npt.NDArray[np.uint8] | None) -> list[int]:
    return [] if validity is None else [int(mark) for mark in validity]


def test_what_did_not_come_out_is_missing_unless_it_is_withheld() -> None:
    """A failed run's outputs are missing, but not those that would never have been recorded."""
    marks = Marks(4, [2])
    missing, withheld = int(Validity.MISSING), int(Validity.WITHHELD)
    assert _listed(marks.of([2, 3])) == [0, 0, withheld, missing]
    assert _listed(marks.of([])) == [0, 0, withheld, 0]
    assert Marks(4, []).of([]) is None


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, NOTHING),
        ({"*": {"city": "keep"}}, NOTHING),
        ({"*": {"city": "drop"}, "p": {"city": "keep"}}, NOTHING),
        ({"other": {"city": "drop"}}, NOTHING),
    ],
)
def test_a_model_without_such_columns_pays_nothing(
    columns: dict[str, dict[str, Treatment]], expected: object
) -> None:
    """Where all is kept the plan is the plain one; what stands for every model can be taken back for one."""
    policy = Policy(columns, PredictionIds(bytes(16)))
    tensor = Tensor(TensorSpec("city", Datatype.BYTES, (-1,)))
    assert policy.of("p", [tensor]) is expected
    assert policy.hides("p") is False


def test_two_columns_and_two_folders_have_two_hashes() -> None:
    """The key follows from the folder, the model and the column."""
    tensors = [Tensor(TensorSpec(name, Datatype.BYTES, (-1,))) for name in ("a", "b")]
    seen = set()
    for key in (bytes(16), bytes([1] * 16)):
        policy = Policy({"*": {"a": "hash", "b": "hash"}}, PredictionIds(key))
        for model in ("m", "n"):
            seen |= {hasher([b"x"])[0] for hasher in policy.of(model, tensors).hashed.values()}
    assert len(seen) == 8
