"""MLflow's scoring protocol."""

from typing import Any

import pytest

from tests.gateway.worlds import ROW, World
from tests.models import identity, reciprocal

NAMES = [f"x[{index}]" for index in range(30)]
SPLIT = {"columns": NAMES, "index": [0], "data": [ROW]}
CSV = (",".join(NAMES) + "\n" + ",".join(map(str, ROW)) + "\n").encode()


@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_split": SPLIT},
        {"dataframe_split": {"columns": [f"other {index}" for index in range(30)], "data": [ROW]}},
        {"dataframe_split": {"data": [ROW]}},
        {"dataframe_records": [dict(zip(NAMES, ROW, strict=True))]},
        {"instances": [ROW]},
        {"inputs": [ROW]},
        {"inputs": {"x": [ROW]}, "params": {"unused": 1}},
        {"inputs": [{"x": ROW}]},
        {"instances": [ROW], "inputs": None, "else": 1},
    ],
)
async def test_every_form_gives_the_same_predictions(here: World, document: Any) -> None:
    """The four forms are one request, and several outputs are an object of columns."""
    response = await here.post("/invocations", document, content_type="application/json")
    assert response.status_code == 200, response.text
    assert list(response.json()) == ["predictions"]
    wanted = (await here.post("/v1/models/m:predict", {"inputs": [ROW]})).json()["outputs"]
    assert response.json()["predictions"] == wanted


@pytest.mark.parametrize("kind", ["text/csv", "text/csv; charset=UTF-8", 'TEXT/CSV;charset="utf-8"'])
async def test_csv_names_its_columns(here: World, kind: str) -> None:
    """CSV is a table whose first line names the columns."""
    response = await here.post("/invocations", CSV, content_type=kind)
    assert response.status_code == 200, response.text
    assert list(response.json()["predictions"]) == ["label", "probabilities"]


@pytest.mark.parametrize("names", ["", "0,1", "a,b"])
async def test_csv_may_lack_names(here: World, names: str) -> None:
    """A first line of numbers is a row like the others, as SageMaker writes them, unless it counts from 0."""
    await here.add("p", identity([("x", "FP32", [None, 2])]))
    here.core.lanes.table = {"p": here.core.lanes.table["p"]}
    lines = f"{names}\n1.5,-2\n3,4e1".strip()
    response = await here.post("/invocations", lines.encode(), content_type="text/csv")
    assert response.json() == {"predictions": [[1.5, -2.0], [3.0, 40.0]]}
    for row in ("1,2,3", "1,a", "1,1_0"):
        bad = await here.post("/invocations", f"1,2\n{row}".encode(), content_type="text/csv")
        assert bad.status_code == 400


async def test_inputs_may_be_rows(here: World) -> None:
    """MLflow's client sends a list of objects as inputs; an object without a list is one row, as there."""
    await here.add("c", identity([("x", "FP32", [None, 1]), ("s", "BYTES", [None])]))
    here.core.lanes.table = {"c": here.core.lanes.table["c"]}
    row, wanted = {"x": 1.5, "s": "ü"}, {"x_out": [[1.5]], "s_out": ["ü"]}
    good: list[Any] = [row, [row], {"x": [1.5], "s": ["ü"]}]
    for inputs in good:
        answer = await here.post("/invocations", {"inputs": inputs})
        assert answer.json() == {"predictions": wanted}, inputs
    bad: list[Any] = [{}, [{}], [row, 1], {"x": 1.5}, {"x": 1.5, "s": ["ü"]}, [{**row, "s": None}]]
    for inputs in bad:
        assert (await here.post("/invocations", {"inputs": inputs})).status_code == 400, inputs


@pytest.mark.parametrize(
    ("tensors", "table", "wanted"),
    [
        (
            [("n", "INT64", [None]), ("s", "BYTES", [None])],
            b'{"columns": ["n", "s"], "data": [[1, null], [2, NaN]]}',
            {"n_out": [1, 2], "s_out": ["", ""]},
        ),
        ([("s", "BYTES", [None, 2])], b'{"columns": ["s[0]", "s[1]"], "data": [["a", null]]}', [["a", ""]]),
    ],
    ids=["columns", "elements"],
)
async def test_a_missing_text_of_a_table_is_the_empty_one(
    here: World, tensors: list[Any], table: bytes, wanted: Any
) -> None:
    """A data frame's missing text comes as null or as a bare NaN, and is what an empty cell of CSV is."""
    await here.add("c", identity(tensors))
    here.core.lanes.table = {"c": here.core.lanes.table["c"]}
    answer = await here.post("/invocations", b'{"dataframe_split": %s}' % table)
    assert answer.json() == {"predictions": wanted}


@pytest.mark.parametrize("names", [["a", "b", "c"], ["x[2]", "x[1]", "x[0]"], None])
async def test_a_row_of_any_length_is_as_long_as_the_table(here: World, names: list[str] | None) -> None:
    """Where a model of one input leaves the length of a row open, every column of a table is an element."""
    await here.add("o", identity([("x", "FP32", [None, None])]))
    here.core.lanes.table = {"o": here.core.lanes.table["o"]}
    rows = [[1.5, 2, 3], [4, 5, 6.5]]
    wanted = [row[::-1] for row in rows] if names and names[0] == "x[2]" else rows
    answer = await here.post("/invocations", {"dataframe_split": {"columns": names, "data": rows}})
    assert answer.json() == {"predictions": wanted}
    lines = ([] if names is None else [",".join(names)]) + [",".join(map(str, row)) for row in rows]
    answer = await here.post("/invocations", "\n".join(lines).encode(), content_type="text/csv")
    assert answer.json() == {"predictions": wanted}


async def test_words_for_a_missing_number_in_csv(here: World) -> None:
    """What pandas takes for missing is no number, also in the first row without names; a text is a text."""
    await here.add("p", identity([("x", "FP32", [None, 2])]))
    await here.add("s", identity([("x", "FP32", [None]), ("s", "BYTES", [None])]))
    table = here.core.lanes.table
    here.core.lanes.table = {"p": table["p"]}
    answer = await here.post("/invocations", b"NA,1\n2,\n3,null\nnan,#N/A\n", content_type="text/csv")
    assert answer.json() == {"predictions": [[None, 1.0], [2.0, None], [3.0, None], [None, None]]}
    named = await here.post("/invocations", b"NA,None\n2,3\n", content_type="text/csv")
    assert named.json() == {"predictions": [[2.0, 3.0]]}
    here.core.lanes.table = {"s": table["s"]}
    answer = await here.post("/invocations", b"x,s\nNA,NA\n", content_type="text/csv")
    assert answer.json() == {"predictions": {"x_out": [None], "s_out": ["NA"]}}


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/json; charset=latin-1", "text/csv; header=absent", "application/xml", "json"],
)
async def test_other_content_types_are_415(here: World, kind: str) -> None:
    """A type, a charset or a parameter that is not read is 415 in MLflow's shape."""
    response = await here.post("/invocations", b"{}", content_type=kind)
    assert response.status_code == 415
    assert list(response.json()) == ["error_code", "message"]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"instances": [ROW], "inputs": [ROW]},
        {"dataframe_split": SPLIT, "dataframe_records": []},
        {"params": {}},
        {"instances": [ROW], "params": [1]},
        {"dataframe_split": [ROW]},
        {"dataframe_split": {"columns": NAMES}},
        {"dataframe_split": {"columns": NAMES, "data": [ROW[:29]]}},
        {"dataframe_split": {"columns": NAMES[:29], "data": [ROW[:29]]}},
        {"dataframe_split": {"columns": [*NAMES[:29], "x[0]"], "data": [ROW]}},
        {"dataframe_split": {"columns": NAMES, "data": []}},
        {"dataframe_records": []},
        {"dataframe_records": [{"x[0]": 1}]},
        {"dataframe_records": [1]},
        [ROW],
    ],
)
async def test_what_does_not_fit_is_bad_request(here: World, document: Any) -> None:
    """Two forms, none, or a form that does not fit is 400 BAD_REQUEST."""
    response = await here.post("/invocations", document, content_type="application/json")
    assert response.status_code == 400, response.text
    assert response.json()["error_code"] == "BAD_REQUEST"


async def test_columns_are_inputs(here: World) -> None:
    """A model of several inputs finds them by name; further columns are dropped, missing ones refused."""
    kinds: Any = [
        ("x", "FP32", [None, 1]),
        ("s", "BYTES", [None, 1]),
        ("n", "INT64", [None]),
        ("b", "BOOL", [None, 1]),
    ]
    await here.add("c", identity(kinds))
    here.core.lanes.table = {"c": here.core.lanes.table["c"]}
    rows = [{"b": True, "n": 7, "s": "ü", "x": None, "more": 1}, {"b": False, "n": 8, "s": "", "x": 2}]
    wanted = {"x_out": [[None], [2.0]], "s_out": [["ü"], [""]], "n_out": [7, 8], "b_out": [[True], [False]]}
    answer = await here.post("/invocations", {"dataframe_records": rows})
    assert answer.json() == {"predictions": wanted}
    split = {"columns": ["n", "s", "x", "b"], "data": [[7, "ü", None, True], [8, "", 2, False]]}
    assert (await here.post("/invocations", {"dataframe_split": split})).json() == {"predictions": wanted}
    text = "n,s,x,b,more\n7,ü,,true,1\n8.0,,2,0,\n".encode()
    assert (await here.post("/invocations", text, content_type="text/csv")).json() == {"predictions": wanted}
    for lacking in (
        b"n,s,x\n7,a,1\n",
        b"n,s,x,b\n7,a,1,maybe\n",
        b"n,s,x,b\nmany,a,1,1\n",
        b"n,s,x,b\n1_0,a,1,1\n",
        b"n,s,x,b\n7,a,1_0,1\n",
        b"n,s,x,b\n7,a,1\n",
        b"",
    ):
        assert (await here.post("/invocations", lacking, content_type="text/csv")).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b'{"dataframe_split": {"columns": ["x"], "data": [[2.0], [NaN]]}}',
        b'{"dataframe_records": [{"x": 2}, {"x": NaN}]}',
        b'{"instances": [2, NaN]}',
        b'{"inputs": {"x": [2, NaN]}}',
    ],
)
async def test_a_missing_number_may_be_a_bare_nan(here: World, body: bytes) -> None:
    """MLflow's client writes the missing cells of a data frame so, as Python's json does."""
    await here.add("r", reciprocal())
    here.core.lanes.table = {"r": here.core.lanes.table["r"]}
    assert (await here.post("/invocations", body)).json() == {"predictions": [[0.5], [None]]}


FRAME: Any = [("x", "FP32", [None, 1]), ("n", "INT64", [None]), ("b", "BOOL", [None]), ("s", "BYTES", [None])]


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"x": "3.5", "n": " -7", "b": True, "s": "8"}, {"x_out": [[3.5]], "n_out": [-7], "s_out": ["8"]}),
        ({"x": "1e2", "n": 7, "b": True, "s": ""}, {"x_out": [[100.0]], "n_out": [7], "s_out": [""]}),
    ],
)
async def test_a_text_that_is_a_number_is_one_in_a_column_of_numbers(
    here: World, row: dict[str, Any], wanted: dict[str, Any]
) -> None:
    """A data frame's texts are cast as MLflow's server casts them; those of a column of texts stay texts."""
    await here.add("c", identity(FRAME))
    here.core.lanes.table = {"c": here.core.lanes.table["c"]}
    split = {"columns": list(row), "data": [list(row.values())]}
    for document in ({"dataframe_records": [row]}, {"dataframe_split": split}):
        answer = await here.post("/invocations", document)
        assert answer.status_code == 200, answer.text
        assert answer.json()["predictions"] == {**wanted, "b_out": [True]}
    assert (await here.post("/invocations", {"instances": [row]})).status_code == 400


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        *(("x", text) for text in ("", "NA", "nan", "inf", "1_0", "3,5", "0x3", "true", True)),
        *(("n", text) for text in ("3.0", 3.7, "3e0", "", str(2**63), "9" * 5000, True)),
        *(("b", text) for text in ("false", "true", "1")),
    ],
)
async def test_what_is_not_nothing_but_a_number_is_refused(here: World, name: str, cell: Any) -> None:
    """No cast loses anything, guesses, or makes a missing value of a text."""
    await here.add("c", identity(FRAME))
    here.core.lanes.table = {"c": here.core.lanes.table["c"]}
    row = {"x": "3.5", "n": "7", "b": True, "s": "8", name: cell}
    answer = await here.post("/invocations", {"dataframe_records": [row]})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")
    assert f"input '{name}'" in answer.json()["message"]


async def test_a_text_is_a_number_in_a_wide_input_too(here: World) -> None:
    """A table without names is cast by the datatype of the only input."""
    answer = await here.post("/invocations", {"dataframe_split": {"data": [["0.5"] * 30]}})
    assert answer.status_code == 200, answer.text


async def test_one_output_is_a_list(here: World) -> None:
    """A model of one output gives its list."""
    await here.add("r", reciprocal())
    here.core.lanes.table = {"r": here.core.lanes.table["r"]}
    assert (await here.post("/invocations", {"instances": [2]})).json() == {"predictions": [[0.5]]}


async def test_health_is_of_the_worker_and_its_model(here: World) -> None:
    """/ping and /health are 200 while there is something to ask, 503 while not ready, 404 without a model."""
    for path in ("/ping", "/health"):
        assert (await here.client.get(path)).text == "\n"
    assert (await here.client.get("/version")).headers["content-type"].startswith("text/plain")
    here.core.ready = False
    response = await here.client.get("/ping")
    assert (response.status_code, response.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    here.core.ready = True
    here.core.lanes.table = {}
    assert (await here.client.get("/ping")).status_code == 404
