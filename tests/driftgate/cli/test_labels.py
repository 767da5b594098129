"""`driftgate labels send`: what a file must hold."""

from pathlib import Path

import pytest

from driftgate.__main__ import run
from driftgate.cli.labels import said_of, typed

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


@pytest.mark.parametrize(
    "content", ["id,row,label\n6f0c,0,gef\xe4hrlich\n".encode("latin-1"), b"id,label\n6f0c,\x00\xff\n"]
)
def test_a_file_that_is_no_text_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    """One line says which file it is and what was wanted."""
    file = tmp_path / "labels.csv"
    file.write_bytes(content)
    assert run(["labels", "send", "--model", "m", str(file), *NOBODY]) == 1
    assert "labels.csv: wanted a CSV file in UTF-8" in capsys.readouterr().err


def test_a_spreadsheets_mark_is_no_part_of_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file with a byte order mark is read: nobody answers only then."""
    file = tmp_path / "labels.csv"
    file.write_bytes(b"\xef\xbb\xbfid,label\n6f0c,1\n")
    assert run(["labels", "send", "--model", "m", str(file), *NOBODY]) == 1
    assert "nobody answers" in capsys.readouterr().err


def test_what_was_sent_is_counted_in_words() -> None:
    """One is no plural, and none is no success to be proud of."""
    assert "1 label of m is in the log" in said_of(1, "m")
    assert "12 345 labels of m are in the log" in said_of(12_345, "m")
    assert "there was no label to send" in said_of(0, "m")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-2.5", -2.5),
        ("1e3", 1000.0),
        (" True", True),
        ("paid", "paid"),
        ("nan", "nan"),
        ("inf", "inf"),
    ],
)
def test_a_label_is_what_its_text_means(text: str, value: object) -> None:
    """Finite numbers and truth values are such, everything else is a text."""
    found = typed(text)
    assert (found, type(found)) == (value, type(value))
