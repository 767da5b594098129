"""First runs and what they measure."""

from pathlib import Path

import pytest

from gateway.measuring import study
from gateway.tensors import Tensor
from gateway.warmup import UNKNOWN, Cost, cost_of, typical
from registry_client.profile import CategoricalColumn, NumericColumn, Profile
from registry_client.signature import Datatype, TensorSpec
from tests.gateway.sessions import opened, seconds
from tests.models import identity, logistic, lookup

PROFILE = Profile(
    rows=4,
    columns=(
        NumericColumn("age", 4, 0, 20.0, 60.0, 41.5, 10.0, (40.0,), (2, 2)),
        CategoricalColumn("job", 4, 0, ("clerk", "cook"), (3, 1), 0, 1),
        NumericColumn("x[1]", 4, 0, 2.0, 2.0, 2.0, 0.0, (2.0,), (4, 0)),
    ),
    outputs=(),
)


def test_typical_rows_come_from_the_profile() -> None:
    """A numeric column gives its mean, a text column its most frequent category, an unknown one nothing."""
    age = typical(Tensor(TensorSpec("age", Datatype.FP32, (-1, 1))), 2, PROFILE)
    job = typical(Tensor(TensorSpec("job", Datatype.BYTES, (-1, 1))), 2, PROFILE)
    part = typical(Tensor(TensorSpec("x", Datatype.FP64, (-1, 3))), 1, PROFILE)
    free = typical(Tensor(TensorSpec("n", Datatype.INT64, (2, -1))), 1, None)
    assert age.tolist() == [[41.5], [41.5]]
    assert job.tolist() == [["clerk"], ["clerk"]]
    assert part.tolist() == [[0.0, 2.0, 0.0]]
    assert free.tolist() == [[0], [0]]


@pytest.mark.parametrize(
    ("datatype", "mean", "bits"),
    [
        (Datatype.BF16, -1.5, 0xBFC0),
        (Datatype.UINT8, -3.0, 0),
        (Datatype.UINT8, 1e300, 0xFF),
        (Datatype.INT64, 1e300, 2**63 - 1),
        (Datatype.FP32, 1e300, 0x7F800000),
        (Datatype.BOOL, 0.5, 1),
    ],
)
def test_a_mean_is_brought_into_the_range(datatype: Datatype, mean: float, bits: int) -> None:
    """Whatever number a profile has, there is a typical row of it: nothing keeps a version from its load."""
    profile = Profile(
        rows=1, columns=(NumericColumn("a", 1, 0, mean, mean, mean, 0.0, (mean,), (1, 0)),), outputs=()
    )
    row = typical(Tensor(TensorSpec("a", datatype, (-1, 1))), 1, profile)
    assert int.from_bytes(row.tobytes(), "little") == bits


@pytest.mark.parametrize(
    "model", [logistic(), lookup(), identity([("s", "BYTES", [None, 1])]), identity([("w", "FP32", [2])])]
)
def test_a_cost_is_measured(tmp_path: Path, model: bytes) -> None:
    """Every graph that takes made-up rows has a finite cost, and the small ones may run inline."""
    cost = cost_of(study(opened(tmp_path, model), None, 1, seconds).times)
    assert 0 <= cost.fixed < 1
    assert cost.rows_within(1.0) >= 1


def test_a_graph_that_refuses_made_up_rows_has_no_known_cost(tmp_path: Path) -> None:
    """A failing warm-up condemns nothing: the version's runs only stay off the loop."""
    profile = Profile(
        rows=1, columns=(NumericColumn("keys", 1, 0, 77.0, 77.0, 77.0, 0.0, (77.0,), (1, 0)),), outputs=()
    )
    cost = cost_of(study(opened(tmp_path, lookup()), profile, 8, seconds).times)
    assert cost is UNKNOWN
    assert cost.rows_within(10.0) == -1


def test_a_cost_is_a_line_through_the_shortest_and_the_longest_run() -> None:
    """What a run costs whatever its rows, and what each row costs; one length says nothing of rows."""
    cost = cost_of(((1, 0.11), (4, 0.12), (11, 0.21)))
    assert cost.fixed == pytest.approx(0.1)
    assert cost.per_row == pytest.approx(0.01)
    assert cost_of(((1, 0.1),)) == Cost(0.1, 0.0)


def test_rows_within_a_time() -> None:
    """The rows that fit are what is left after the fixed part; none may fit at all."""
    assert Cost(0.1, 0.01).rows_within(0.2) == 10
    assert Cost(0.1, 0.01).rows_within(0.105) == -1
    assert Cost(0.1, 0.0).rows_within(0.2) > 2**32
