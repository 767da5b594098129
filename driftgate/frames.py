"""Reading the tables that people bring: .csv and .parquet files as DataFrames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from driftgate.errors import CommandError
from driftgate.extras import require

if TYPE_CHECKING:
    import pandas as pd


def read_frame(file: Path) -> pd.DataFrame:
    """A DataFrame from a .csv or a .parquet file; CommandError when it is neither or cannot be read."""
    import pandas as pd  # noqa: PLC0415  loads slowly

    try:
        if file.suffix.lower() == ".csv":
            return pd.read_csv(file)
        if file.suffix.lower() == ".parquet":
            require("export")
            return pd.read_parquet(file)
    except (ValueError, OSError) as error:
        raise CommandError(f"{file}: cannot be read as {file.suffix[1:]}: {error}") from error
    raise CommandError(f"{file}: wanted a .csv or a .parquet file, found {file.suffix or 'no suffix'}")
