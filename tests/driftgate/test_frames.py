"""Tables that people bring: what of a CSV is missing, and what is a text."""

from pathlib import Path

import pandas as pd
import pytest

from driftgate.errors import CommandError
from driftgate.frames import WORDS, read_frame


def csv(folder: Path, *cells: str) -> pd.Series:
    """A column of these cells, beside one that is never empty."""
    file = folder / "rows.csv"
    file.write_text("a,b\n" + "".join(f"{cell},1\n" for cell in cells))
    return read_frame(file)["a"]


@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_word_for_missing_is_a_text_among_texts(tmp_path: Path, word: str) -> None:
    """Only an empty cell is missing there: NA is Namibia, and None may be a class."""
    found = csv(tmp_path, word, "DE", "")
    assert list(found[:2]) == [word, "DE"]
    assert list(found.isna()) == [False, False, True]
    assert list(csv(tmp_path, word, word)) == [word, word]


@pytest.mark.parametrize("word", ["", *sorted(WORDS)])
def test_a_word_for_missing_is_a_missing_number_among_numbers(tmp_path: Path, word: str) -> None:
    """A column of numbers stays one, whatever stands where there is none."""
    found = csv(tmp_path, "1", word, "2.5")
    assert found.dtype == float
    assert list(found.isna()) == [False, True, False]


def test_other_columns_are_as_they_were_written(tmp_path: Path) -> None:
    """Whole numbers, truth values and texts are told apart by the whole column."""
    kinds = [csv(tmp_path, *cells).dtype.kind for cells in (("1", "2"), ("True", "False"), ("1", "x"))]
    assert kinds == ["i", "b", "O"]


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    """Nothing is made of nothing."""
    file = tmp_path / "rows.csv"
    file.write_text("a,b\n")
    assert list(read_frame(file).columns) == ["a", "b"]


def test_what_is_no_table_is_named(tmp_path: Path) -> None:
    """The file, and what was wanted."""
    file = tmp_path / "rows.csv"
    file.write_bytes(b"")
    with pytest.raises(CommandError, match=r"rows\.csv: cannot be read as csv"):
        read_frame(file)
    with pytest.raises(CommandError, match=r"wanted a \.csv or a \.parquet file, found \.txt"):
        read_frame(tmp_path / "rows.txt")
