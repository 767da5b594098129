"""Knowing when what was in the slots has reached the log."""

from contextlib import closing
from pathlib import Path

from groundwork.clock import FakeClock
from prediction_log.record import Kind, pair_schema
from prediction_log.segment_sink import SegmentSink
from prediction_log.spooling import behind, has_pairs, standing
from tests.prediction_log import samples


def test_what_stands_in_a_slot_is_behind_until_it_is_written(tmp_path: Path) -> None:
    """Rows of both halves count; rows appended later do not."""
    slots, log = tmp_path / "slots", tmp_path / "log"
    rows = samples.row_file(slots / "1")
    with closing(SegmentSink(log, clock=FakeClock(0, 0.0))) as sink:
        assert standing(slots) == {}
        rows.append({})
        rows.swap()
        rows.append({})
        ends = standing(slots)
        assert ends == {(1, 1): 2}
        assert behind(log, ends) == ends
        rows.append({})
        for _ in range(2):
            taken = rows.take()
            assert taken is not None
            sink.write([taken])
            rows.release()
            rows.swap()
        assert behind(log, ends) == {}


def test_a_slot_has_pairs_where_a_row_file_is_of_them(tmp_path: Path) -> None:
    """Before the first pair and after the last, as long as the file is there; predictions are none."""
    samples.row_file(tmp_path / "1")
    assert not has_pairs(tmp_path)
    samples.row_file(tmp_path / "2", kind=Kind.PAIR, schema=pair_schema("m", "1", "2", []))
    assert has_pairs(tmp_path)


def test_a_file_that_is_no_row_file_is_passed_over(tmp_path: Path) -> None:
    """Neither a cut file nor one of other bytes stops anybody."""
    folder = tmp_path / "1"
    folder.mkdir()
    (folder / "1.rows").write_bytes(b"short")
    (folder / "2.rows").write_bytes(bytes(4096))
    assert standing(tmp_path) == {}
