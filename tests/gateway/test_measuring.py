"""What a version is seen to do when it is loaded; and whether onnxruntime gives joined rows bit for bit."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from gateway.inference import Array
from gateway.joining import Feeds
from gateway.measuring import compare, deviation_of, study
from gateway.options import PLAIN
from gateway.runtime import open_session
from gateway.session import Session
from loadtests.bench.works import perceptron
from registry_client.profile import CategoricalColumn, NumericColumn, Profile
from registry_client.signature import Datatype, signature_of
from tests.gateway.sessions import opened, seconds
from tests.models import ELEMENTS, attending, identity, logistic, lookup


def mixing() -> bytes:
    """`x` FP32 [-1, 2] → `y` FP32 [-1, 2]: what it adds up to over all rows, so that rows share an answer."""
    node = helper.make_node("Softmax", ["x"], ["y"], axis=0)
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in ("x", "y")]
    graph = helper.make_graph([node], "mixing", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(onnx.ModelProto.SerializeToString(model))


def test_independent_rows_come_out_alike(tmp_path: Path) -> None:
    """A regression over numbers and a graph over texts give the same bits joined as alone."""
    found = study(opened(tmp_path, logistic()), None, 8, seconds)
    assert found.agreement == "exact"
    assert [rows for rows, _ in found.times] == [1, 2, 4, 8, 64]
    assert found.handoff > 0
    texts = opened(tmp_path, identity([("s", "BYTES", [None, 2]), ("n", "INT64", [None])]))
    assert study(texts, None, 4, seconds).agreement == "exact"


def test_rows_that_influence_one_another_are_found_out(tmp_path: Path) -> None:
    """A batch axis in the signature is no promise: a graph that mixes rows is seen to do so."""
    assert study(opened(tmp_path, mixing()), None, 8, seconds).agreement == "differs"


def centred(datatype: str) -> bytes:
    """`x` [-1, 3] → `y` FP32 [-1, 3]: how far each value is from the greatest of its column over all rows."""
    numbers = [helper.make_node("Cast", ["x"], ["numbers"], to=TensorProto.FLOAT)]
    if datatype == "BYTES":
        words: dict[str, Any] = {"keys_strings": ["0", "1", "2"], "values_floats": [0.0, 1.0, 2.0]}
        numbers = [helper.make_node("LabelEncoder", ["x"], ["numbers"], domain="ai.onnx.ml", **words)]
    nodes = [
        *numbers,
        helper.make_node("ReduceMax", ["numbers"], ["greatest"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["greatest", "numbers"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", ELEMENTS[datatype], ["n", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])
    return with_words(nodes, x, y)


def with_words(nodes: Sequence[Any], x: Any, y: Any) -> bytes:
    """A graph that may look words up."""
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_graph(list(nodes), "words", [x], [y])
    model = helper.make_model(graph, opset_imports=domains, ir_version=9)
    return bytes(onnx.ModelProto.SerializeToString(model))


@pytest.mark.parametrize("datatype", ["INT64", "UINT8", "INT8", "BOOL", "BF16", "FP16", "FP64", "BYTES"])
def test_rows_of_every_datatype_are_told_apart(tmp_path: Path, datatype: str) -> None:
    """Made-up rows differ whatever they are made of, so that a graph that mixes them is found out."""
    assert study(opened(tmp_path, centred(datatype)), None, 8, seconds).agreement == "differs"


def test_rows_are_made_of_what_the_profile_has_seen(tmp_path: Path) -> None:
    """Whole numbers and words are drawn from the profile's, which a graph takes and tells apart."""
    keys = NumericColumn("keys", 4, 0, 0.0, 2.0, 1.0, 4.0, (0.0, 1.0, 2.0), (1, 1, 2, 0))
    words = CategoricalColumn("s", 4, 0, ("clerk", "cook"), (3, 1), 0, 1)
    profile = Profile(rows=4, columns=(keys, words), outputs=())
    assert study(opened(tmp_path, lookup()), profile, 8, seconds).agreement == "exact"
    texts = opened(tmp_path, identity([("s", "BYTES", [None])]))
    assert study(texts, profile, 8, seconds).agreement == "exact"


def test_rows_that_all_come_out_alike_show_nothing(tmp_path: Path) -> None:
    """A graph that knows none of the made-up words answers all alike: nothing is known of its rows then."""
    words: dict[str, Any] = {"keys_strings": ["clerk"], "values_int64s": [1]}
    node = helper.make_node("LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", **words)
    x = helper.make_tensor_value_info("x", TensorProto.STRING, ["n", 1])
    y = helper.make_tensor_value_info("y", TensorProto.INT64, ["n", 1])
    session = opened(tmp_path, with_words([node], x, y))
    assert study(session, None, 8, seconds).agreement == "alike"


class Slow(Session):
    """A session whose runs take the seconds that `cost` says, of a clock that only they move."""

    def __init__(self, path: Path, cost: Callable[[Array], float]) -> None:
        made = open_session(path, PLAIN, title="m")
        super().__init__(made, signature_of(made.get_inputs(), made.get_outputs()))
        self.now = 0.0
        self._cost = cost

    def run(self, feeds: Feeds) -> list[Array]:
        """Run, and let the time pass."""
        self.now += self._cost(feeds["x"])
        return super().run(feeds)


def slow(folder: Path, model: bytes, cost: Callable[[Array], float]) -> Slow:
    """A session of these bytes that keeps its own time."""
    path = folder / "model.onnx"
    path.write_bytes(model)
    return Slow(path, cost)


@pytest.mark.parametrize("shape", [(None, None), (1, None)])
def test_a_long_row_is_timed_where_a_request_chooses_its_length(
    tmp_path: Path, shape: tuple[int | None, ...]
) -> None:
    """With a batch axis or without one, a row that may be long is known to cost more than a short one."""
    session = slow(tmp_path, attending(shape), lambda x: x.size**2 / 1e6)
    assert study(session, None, 8, lambda: session.now).steep > 1e-6
    session = slow(tmp_path, logistic(), lambda x: len(x) / 1e6)
    assert study(session, None, 8, lambda: session.now).steep == 0


def test_matrix_products_stay_within_the_tolerance(tmp_path: Path) -> None:
    """Products of other sizes may be added up in another order; they differ by less than a ten-thousandth."""
    session = opened(tmp_path, perceptron((64, 128, 10)).SerializeToString())
    source = np.random.default_rng(5)
    singles = [{"X": source.standard_normal((1, 64)).astype(np.float32)} for _ in range(16)]
    agreement, deviation = compare(session, singles)
    assert agreement in ("exact", "close")
    assert deviation < 1e-4


def test_a_graph_without_a_batch_axis_is_timed_alone(tmp_path: Path) -> None:
    """One length is measured, and nothing is joined."""
    found = study(opened(tmp_path, identity([("x", "FP32", [3])])), None, 8, seconds)
    assert [rows for rows, _ in found.times] == [1]
    assert found.agreement == "unknown"


def test_made_up_rows_that_are_refused_condemn_nothing(tmp_path: Path) -> None:
    """A graph that takes only some values is measured as far as it goes."""
    assert study(opened(tmp_path, lookup()), None, 4, seconds).agreement in ("exact", "unknown")


@pytest.mark.parametrize(
    ("row_seconds", "agreement"),
    [(0.001, "exact"), (0.01, "exact"), (0.05, "exact"), (0.1, "exact"), (0.3, "untried"), (3.0, "untried")],
)
def test_a_study_ends_in_time(tmp_path: Path, row_seconds: float, agreement: str) -> None:
    """However long runs take, a version is studied within a second, or two runs where one is longer."""
    session = slow(tmp_path, logistic(), lambda x: len(x) * row_seconds)
    found = study(session, None, 64, lambda: session.now)
    assert session.now <= max(1.0, 2 * row_seconds)
    assert found.agreement == agreement
    assert found.times[0][1] == pytest.approx(row_seconds)


@pytest.mark.parametrize(
    ("datatype", "left", "right", "found"),
    [
        (Datatype.FP32, [1.0, np.nan], [1.0, np.nan], 0.0),
        (Datatype.FP32, [2.0, 1.0], [2.0, 0.5], 0.25),
        (Datatype.FP32, [1.0], [np.inf], np.inf),
        (Datatype.INT64, [1], [2], np.inf),
        (Datatype.INT64, [3], [3], 0.0),
    ],
)
def test_a_deviation_is_relative(
    datatype: Datatype, left: list[float], right: list[float], found: float
) -> None:
    """Numbers are compared with the largest; whole numbers and texts are equal or they are not."""
    kind = np.float32 if datatype is Datatype.FP32 else np.int64
    assert deviation_of(datatype, np.array(left, kind), np.array(right, kind)) == found
