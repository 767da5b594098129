"""Reading the tables that people bring: .csv and .parquet files as DataFrames.

Rule: an empty cell of a CSV is missing. A word for it ("NA", "null", "NaN") is one in a column that else has
numbers alone; in a column of texts it is a text, for "NA" may be Namibia.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from driftgate.errors import CommandError
from driftgate.extras import require

if TYPE_CHECKING:
    import pandas as pd

WORDS: Final = frozenset(
    {"NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None"}
)
"""What people and programs write in a column of numbers where there is none."""


def read_frame(file: Path) -> pd.DataFrame:
    """A DataFrame from a .csv or a .parquet file; CommandError when it is neither or cannot be read."""
    import pandas as pd  # noqa: PLC0415  loads slowly

    try:
        if file.suffix.lower() == ".csv":
            read = pd.read_csv(file, keep_default_na=False, na_values=[""], low_memory=False)
            return read.apply(_numbers)
        if file.suffix.lower() == ".parquet":
            require("export")
            return pd.read_parquet(file)
    except (ValueError, OSError) as error:
        raise CommandError(f"{file}: cannot be read as {file.suffix[1:]}: {error}") from error
    raise CommandError(f"{file}: wanted a .csv or a .parquet file, found {file.suffix or 'no suffix'}")


def _numbers(column: pd.Series) -> pd.Series:
    """The column as numbers, where it has some, and nothing else but words for a missing one."""
    import pandas as pd  # noqa: PLC0415  loads slowly

    is_word = column.isin(WORDS)
    others = column[~is_word].dropna()
    if others.empty or not is_word.any():
        return column
    try:
        pd.to_numeric(others)
    except (ValueError, TypeError):
        return column
    return pd.to_numeric(column.mask(is_word))
