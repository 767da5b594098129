"""`driftgate log delete`: from ids on a command line to values that are gone."""

from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from driftgate.cli.log import instant, log
from driftgate.errors import CommandError
from groundwork.clock import FakeClock
from prediction_log.errors import IdError
from prediction_log.ids import PredictionIds, load_key
from prediction_log.segment_sink import SegmentSink
from tests.prediction_log import samples


@pytest.fixture
def ids(tmp_path: Path) -> list[str]:
    """The ids of three predictions in the log of a data folder."""
    made = [PredictionIds(load_key(tmp_path)).encode(1, 1, sequence) for sequence in range(3)]
    columns = {
        **samples.columns(0, 3),
        "id": np.frombuffer(b"".join(made), np.uint8).reshape(3, 16),
        "row": 0,
    }
    with closing(SegmentSink(tmp_path / "log", clock=FakeClock())) as sink:
        sink.write([samples.make_frame(columns=columns)])
    return [identifier.hex() for identifier in made]


def run(data: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a deletion."""
    done = CliRunner().invoke(log, ["delete", "--model", "loan", "--data", str(data), *arguments])
    if isinstance(done.exception, CommandError):
        return done.exit_code, str(done.exception)
    return done.exit_code, done.output


def test_ids_are_taken_from_options_and_files(tmp_path: Path, ids: list[str]) -> None:
    """Both together, each id once; the facts say what was done."""
    written = tmp_path / "ids.txt"
    written.write_text("\n".join(ids[:2]))
    code, output = run(
        tmp_path, "--id", ids[1], "--id", ids[2], "--file", str(written), "--reason", "x", "--json"
    )
    found = msgspec.json.decode(output)
    assert (code, found["ids"], found["predictions"], found["unknown"]) == (0, 3, 3, [])


def test_parquet_is_not_written_under_another_tables_name(tmp_path: Path) -> None:
    """A name that ends in .csv would hold what no spreadsheet opens."""
    done = CliRunner().invoke(log, ["export", "--model", "loan", str(tmp_path / "rows.csv")])
    assert done.exit_code == 2
    assert f"Parquet is what is written; name it {tmp_path / 'rows.parquet'}" in done.output


def test_an_export_of_no_time_at_all_is_misuse(tmp_path: Path) -> None:
    """Two ends the wrong way round are no empty table that somebody takes for "there was nothing"."""
    between = ["--since", "10s", "--until", "1h"]
    done = CliRunner().invoke(log, ["export", "--model", "loan", *between, str(tmp_path / "rows.parquet")])
    assert done.exit_code == 2
    assert "--since 10s is not before --until 1h" in done.output


def test_an_unknown_id_is_an_error_and_the_others_are_deleted(tmp_path: Path, ids: list[str]) -> None:
    """The message names it and says that the rest is done."""
    code, output = run(tmp_path, "--id", ids[0], "--id", "0" * 32, "--reason", "x")
    assert code == 1
    assert "1 of 2 ids" in output
    assert f"{'0' * 32}; the others are deleted" in output


def test_where_no_id_is_known_nothing_is_said_to_be_deleted(tmp_path: Path, ids: list[str]) -> None:
    """There are no others to speak of, and no count of none under a tick."""
    del ids
    done = CliRunner().invoke(
        log, ["delete", "--model", "loan", "--data", str(tmp_path), "--id", "0" * 32, "--reason", "x"]
    )
    assert (done.exit_code, done.output) == (1, "")
    assert str(done.exception).endswith(
        f"1 of 1 ids name no prediction of loan in the log: {'0' * 32}; nothing was deleted"
    )


@pytest.mark.parametrize("arguments", [("--reason", "x"), ("--id", "0" * 32)])
def test_ids_and_a_reason_are_wanted(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Without either the command is misused, and nothing is touched."""
    assert run(tmp_path, *arguments)[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_ids_that_is_no_text_is_refused(tmp_path: Path, ids: list[str]) -> None:
    """What is in it is no prediction id, and nothing is deleted."""
    del ids
    (tmp_path / "ids.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(IdError, match="is not 32 hexadecimal digits"):
        CliRunner().invoke(
            log,
            [
                "delete",
                "--model",
                "m",
                "--data",
                str(tmp_path),
                "--file",
                str(tmp_path / "ids.txt"),
                "--reason",
                "x",
            ],
            catch_exceptions=False,
        )


@pytest.mark.parametrize("text", ["99999999d", "0001-01-01T00:00:00Z"])
def test_a_time_before_all_logs_is_the_first(text: str) -> None:
    """However long ago: the whole log is meant."""
    assert instant(text, 10**18, "--since") == 0
