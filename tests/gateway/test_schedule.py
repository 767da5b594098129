"""How a version is run, from what was measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.run_settings import RunSettings
from gateway.schedule import (
    Measured,
    Mode,
    Schedule,
    Times,
    best_rows,
    decide,
    enough,
    joins,
    lengths,
    seconds_for,
    share,
    strayed,
    window,
)
from registry_client.signature import Datatype, Signature, TensorSpec

# A perceptron of 21 MB on one core: seconds by rows.
PERCEPTRON: Times = ((1, 793e-6), (2, 800e-6), (4, 814e-6), (8, 1021e-6), (16, 1201e-6), (32, 2250e-6))
TREES: Times = ((1, 0.001), (2, 0.002), (4, 0.004), (8, 0.008))


def signature(inputs: tuple[int, ...] = (-1, 4), outputs: tuple[int, ...] = (-1, 2)) -> Signature:
    """One input and one output of these shapes."""
    return Signature(
        inputs=(TensorSpec(name="x", datatype=Datatype.FP32, shape=inputs),),
        outputs=(TensorSpec(name="y", datatype=Datatype.FP32, shape=outputs),),
    )


def chosen(
    times: Times, inline_rows: int = -1, *, agreement: str = "exact", runs: RunSettings | None = None
) -> Schedule:
    """The choice for these times, with a hand-off of 20 µs."""
    measured = Measured(times, 20e-6, agreement)  # type: ignore[arg-type]
    return decide(signature(), measured, inline_rows, runs or RunSettings())


@pytest.mark.parametrize(
    ("times", "inline_rows", "mode", "rows"),
    [
        (((1, 4e-6), (2, 5e-6), (64, 9e-6)), 5000, "inline", 64),
        (PERCEPTRON, -1, "batched", 16),
        (((1, 300e-6), (16, 400e-6)), 3, "batched", 16),
        (((1, 300e-6), (2, 600e-6)), 1, "inline", 1),
        (TREES, -1, "queued", 1),
        ((), -1, "queued", 1),
    ],
)
def test_the_choice_follows_the_measures(times: Times, inline_rows: int, mode: Mode, rows: int) -> None:
    """Cheaper than a hand-off: the loop; cheaper together: batched; neither: one by one, off the loop."""
    found = chosen(times, inline_rows)
    assert (found.mode, found.batch_rows) == (mode, rows)
    assert found.reason


@pytest.mark.parametrize(
    ("agreement", "batching", "mode"),
    [
        ("close", "close", "batched"),
        ("close", "exact", "queued"),
        ("exact", "exact", "batched"),
        ("exact", "off", "queued"),
        ("differs", "close", "queued"),
        ("unknown", "close", "queued"),
        ("alike", "close", "queued"),
    ],
)
def test_rows_that_are_not_independent_never_run_together(agreement: str, batching: str, mode: str) -> None:
    """What was not seen to come out alike, as closely as the settings ask, is not joined."""
    runs = RunSettings(batching=batching)  # type: ignore[arg-type]
    assert chosen(PERCEPTRON, agreement=agreement, runs=runs).mode == mode


def test_a_batch_axis_belongs_to_every_tensor() -> None:
    """Every input and output needs one, and no output may choose a size that no input has."""
    assert joins(signature()) is None
    assert joins(signature((-1, -1), (-1, -1, 3))) is None
    assert "x" in (joins(signature((4,))) or "")
    assert "y" in (joins(signature((-1, 4), (2,))) or "")
    assert "y" in (joins(signature((-1, 4), (-1, -1))) or "")


def test_growth_stops_where_a_row_gets_no_cheaper() -> None:
    """A length is chosen that no longer one beats by a tenth per row."""
    assert best_rows(PERCEPTRON) == 16
    assert best_rows(TREES) == 1
    assert best_rows(()) == 1


@given(st.integers(1, 300))
def test_estimates_grow_with_the_rows(rows: int) -> None:
    """Between, at and beyond the measured sizes an estimate is positive and no smaller for more rows."""
    assert 0 < seconds_for(PERCEPTRON, rows) <= seconds_for(PERCEPTRON, rows + 1)


@given(st.integers(0, 40), st.integers(1, 40), st.integers(1, 64))
def test_a_run_waits_only_where_that_saves_most_of_one(waiting: int, ran: int, most: int) -> None:
    """A run waits no longer than one run lasts, and not at all where joining saves little."""
    seconds = window(PERCEPTRON, waiting, ran, most)
    together = min(waiting + ran, most)
    assert 0 <= seconds <= seconds_for(PERCEPTRON, together)
    if together > 1:
        first = max(1, waiting)
        apart = seconds_for(PERCEPTRON, first), seconds_for(PERCEPTRON, max(1, together - first))
        assert not seconds or seconds_for(PERCEPTRON, together) <= max(apart) + min(apart) / 2 + 1e-9


# The same on a quicker machine: from six rows on each costs the same, however many run together.
QUICK: Times = ((1, 338e-6), (2, 350e-6), (4, 349e-6), (8, 633e-6), (16, 1273e-6), (32, 2081e-6))


@given(
    st.sampled_from([PERCEPTRON, QUICK, TREES]), st.integers(0, 40), st.integers(1, 40), st.integers(1, 64)
)
def test_a_run_waits_for_as_many_as_gain_by_it(times: Times, waiting: int, ran: int, most: int) -> None:
    """A loop aside lets a run begin as soon as waiting for the rest gains nothing, and not before."""
    waiting = min(waiting, most)
    fewest = enough(times, waiting, ran, most, aside=True)
    together = min(waiting + ran, most)
    assert waiting <= fewest <= enough(times, waiting, ran, most, aside=False) <= max(waiting, together)
    assert not window(times, fewest, together - fewest, most)
    assert fewest == waiting or window(times, fewest - 1, together - fewest + 1, most)


def test_halves_of_a_run_take_turns_with_the_loop() -> None:
    """Where half a run costs half, the other half is read meanwhile; where it costs as much, none begins."""
    assert enough(QUICK, 8, 8, 64, aside=True) == 8
    assert enough(QUICK, 0, 16, 64, aside=True) < 8
    assert enough(QUICK, 0, 16, 64, aside=False) == 16
    assert enough(PERCEPTRON, 8, 8, 64, aside=True) == 16


@given(
    st.sampled_from([PERCEPTRON, QUICK, TREES]),
    st.integers(1, 40),
    st.integers(1, 5),
    st.floats(0, 1e-2),
    st.integers(1, 64),
)
def test_a_share_is_all_of_a_run_or_half_of_what_is_in_flight(
    times: Times, requests: int, each: int, turn: float, most: int
) -> None:
    """Halves are of whole requests, two runs at most, and only where all are answered sooner by them."""
    rows = requests * each
    found = share(times, rows, requests, turn, most)
    assert 1 <= found <= most
    if found < most:
        assert found % each == 0
        assert found < rows <= 2 * found
        apart = seconds_for(times, found) + seconds_for(times, rows - found)
        assert max(apart, requests * turn) < seconds_for(times, rows) + requests * turn


@pytest.mark.parametrize(
    ("rows", "requests", "turn", "found"),
    [
        (16, 16, 0.0, 16),
        (16, 16, 10e-6, 16),
        (16, 16, 100e-6, 8),
        (15, 15, 100e-6, 8),
        (15, 3, 500e-6, 10),
        (2, 2, 10e-6, 16),
        (2, 2, 1e-3, 1),
        (1, 1, 1e-3, 16),
        (0, 0, 1e-3, 16),
        (17, 17, 100e-6, 16),
        (16, 16, 1.0, 16),
    ],
)
def test_what_is_in_flight_runs_in_halves_where_the_loop_has_as_much_to_do(
    rows: int, requests: int, turn: float, found: int
) -> None:
    """Neither where the loop has hardly anything to do, nor where it has so much that runs hardly count."""
    assert share(PERCEPTRON, rows, requests, turn, 16) == found


def test_nothing_waits_where_joining_saves_nothing() -> None:
    """Where rows cost the same together as apart, or one request is all there is, there is no wait."""
    assert window(TREES, 3, 1, 8) == 0
    assert window(PERCEPTRON, 0, 1, 16) == 0
    assert window(PERCEPTRON, 16, 16, 16) == 0


def test_lengths_double_up_to_the_most() -> None:
    """Powers of two are measured, and the most rows themselves."""
    assert lengths(24) == [1, 2, 4, 8, 16, 24]
    assert lengths(1) == [1]


@pytest.mark.parametrize(
    ("batch_rows", "inline_rows", "mode"), [(1, 99, "inline"), (1, 0, "queued"), (16, 0, "batched")]
)
def test_a_run_that_strays_changes_what_is_shown(batch_rows: int, inline_rows: int, mode: Mode) -> None:
    """What still fits stays on the loop, else runs are joined or queued; the reason says so."""
    told = Schedule("inline", 500, batch_rows, "a run of one row takes 4 µs, a hand-off 30 µs")
    found = strayed(told, inline_rows, 0.25)
    assert (found.mode, found.inline_rows, found.batch_rows) == (mode, inline_rows, batch_rows)
    assert found.reason == f"{told.reason}; requests as long as one that took 250 ms do not run on the loop"
