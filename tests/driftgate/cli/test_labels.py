"""`driftgate labels send`: what a file must hold."""

import http.server
import threading
from pathlib import Path

import pytest

from driftgate.__main__ import MISUSED, run
from driftgate.cli.labels import BATCH, said_of, typed

NOBODY = ("--gateway", "http://127.0.0.1:9")
ID = "6f0c1d9a52b74e0f8a3d1c5b7e9f2a64"


@pytest.mark.parametrize(
    "line", [f"{ID},0,", f"{ID},x,1", f"{ID},{'9' * 5000},1", f"{ID},0, ", ",0,1", "6f0c,0,1"]
)
def test_a_line_without_id_row_or_label_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    """The file and the line are said, and nothing is sent."""
    file = tmp_path / "labels.csv"
    file.write_text(f"id,row,label\n{ID},0,1\n{line}\n")
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
    file.write_bytes(b"\xef\xbb\xbfid,label\n" + f"{ID},1\n".encode())
    assert run(["labels", "send", "--model", "m", str(file), *NOBODY]) == 1
    assert "nobody answers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            f"id,label\n{ID},New York, NY\n",
            "line 2: wanted 2 values, found more; put a text with a comma in quotes",
        ),
        (f"id,label,label\n{ID},1,2\n", "the column label is there twice"),
    ],
)
def test_a_table_that_could_be_read_in_two_ways_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    """No label is cut at a comma, and of two columns none is chosen."""
    file = tmp_path / "labels.csv"
    file.write_text(content)
    assert run(["labels", "send", "--model", "m", str(file), *NOBODY]) == 1
    assert said in capsys.readouterr().err


def test_an_empty_label_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    """A variable that was never set is no label that a prediction is compared with."""
    assert run(["labels", "send", "--model", "m", "--id", ID, "--label", "", *NOBODY]) == MISUSED
    assert "--label is empty" in capsys.readouterr().err


class _Gateway(http.server.BaseHTTPRequestHandler):
    """Takes two requests' labels and refuses the third."""

    asked = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        _Gateway.asked += 1
        full = _Gateway.asked > 2
        body = b'{"error": "the log is full"}' if full else b'{"accepted": %d}' % BATCH
        self.send_response(503 if full else 202)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_refusal_says_which_labels_were_taken_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Many labels go in several requests, and what was taken before the refused one is said."""
    file = tmp_path / "labels.csv"
    file.write_text("client_id,label\n" + "order,1\n" * (3 * BATCH))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Gateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        assert run(["labels", "send", "--model", "m", str(file), "--gateway", here]) == 1
        server.shutdown()
    said = f"of the labels after the first {2 * BATCH}, which are in the log: the log is full"
    assert said in capsys.readouterr().err


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
        ("1_000", "1_000"),
        ("1_0.5", "1_0.5"),
        ("\u0661", "\u0661"),
    ],
)
def test_a_label_is_what_its_text_means(text: str, value: object) -> None:
    """Finite numbers and truth values are such, everything else is a text."""
    found = typed(text)
    assert (found, type(found)) == (value, type(value))
