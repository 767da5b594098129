"""The demo's world: the same seed gives the same people; another world has another rule and public."""

from driftgate.demo.world import AFTER, BEFORE, COLUMNS, EDUCATION, NUMBERS, SENIOR, TEXTS, Stream

ROWS = 2000


def share(values: list[float], below: float) -> float:
    """The share of values below a bound."""
    return sum(value < below for value in values) / len(values)


def test_the_same_seed_gives_the_same_people() -> None:
    """Two streams of one seed agree; another seed differs."""
    assert Stream(BEFORE, 7).take(50) == Stream(BEFORE, 7).take(50)
    assert Stream(BEFORE, 7).take(50) != Stream(BEFORE, 8).take(50)


def test_rows_have_real_columns_numeric_and_categorical() -> None:
    """Nine named columns: numbers are floats, codes are words."""
    taken = Stream(BEFORE, 1).take(100)
    assert tuple(taken.columns) == COLUMNS
    assert all(isinstance(value, float) for name in NUMBERS for value in taken.columns[name])
    assert all(isinstance(value, str) for name in TEXTS for value in taken.columns[name])
    assert set(taken.columns["elevel"]) == set(EDUCATION)
    assert set(taken.labels) == {0, 1}
    assert len(taken) == 100


def test_the_frame_has_the_dtypes_that_a_model_is_fed() -> None:
    """float32 numbers, and the columns in order."""
    frame = Stream(BEFORE, 1).take(10).frame()
    assert tuple(frame.columns) == COLUMNS
    assert {str(frame[name].dtype) for name in NUMBERS} == {"float32"}


def test_the_world_changes_in_who_applies_and_in_what_is_true() -> None:
    """After the change fewer old people apply, and the same kind of rows has other labels."""
    stream = Stream(BEFORE, 1)
    before = stream.take(ROWS)
    stream.become(AFTER)
    after = stream.take(ROWS)
    assert share(after.columns["age"], SENIOR) - share(before.columns["age"], SENIOR) > 0.1
    assert sum(before.labels) - sum(after.labels) > ROWS * 0.1
