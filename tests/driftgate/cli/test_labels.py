"""`driftgate labels send`: what a file must hold."""

from pathlib import Path

import pytest

from driftgate.__main__ import run

NOBODY = ("--gateway", "http://127.0.0.1:9")


@pytest.mark.parametrize("line", ["6f0c,0,", "6f0c,x,1", ",0,1"])
def test_a_line_without_id_row_or_label_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    """The file and the line are said, and nothing is sent."""
    file = tmp_path / "labels.csv"
    file.write_text(f"id,row,label\n6f0c,0,1\n{line}\n")
    assert run(["labels", "send", "--model", "m", str(file), *NOBODY]) == 1
    assert "labels.csv, line 3: wanted an id, a whole row number and a label" in capsys.readouterr().err
