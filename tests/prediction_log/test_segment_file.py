"""Tests of prediction_log.segment_file."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from groundwork.errors import NewerStoreError
from prediction_log import segment_file as files
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import Offset
from tests.prediction_log import samples
from tests.prediction_log.conftest import Held
from tests.prediction_log.segmented import sink_of


@pytest.mark.parametrize("readonly", [True, False])
def test_a_dropped_segment_is_not_made_again_by_who_looks_for_it(tmp_path: Path, readonly: bool) -> None:  # noqa: FBT001
    """Who wants one that is there is told that it is not, and leaves nothing behind."""
    with files.existing(tmp_path, 1, readonly=readonly) as connection:
        assert connection is None
    assert list(tmp_path.iterdir()) == []


def test_who_looks_for_the_active_segment_passes_over_what_is_dropped_meanwhile(
    tmp_path: Path, held: Held
) -> None:
    """One that is listed, and gone when it is opened, was sealed: writers and readers go on behind it."""
    sink = sink_of(held, tmp_path, segment_bytes=1)
    for first in (0, 3):
        sink.write([samples.make_frame(first)])
    files.segment_path(tmp_path, 1).unlink()
    files.segment_path(tmp_path, 1).symlink_to(tmp_path / "dropped")
    assert files.active_number(tmp_path) == 2
    assert held(SegmentSource(tmp_path)).end() == Offset(2, 1)


def test_a_newer_segment_is_refused_and_a_damaged_one_is_not(tmp_path: Path, held: Held) -> None:
    """Whoever is about to use a log learns that a newer driftgate wrote in it; damage is found later."""
    files.refuse_newer(tmp_path / "not-there")
    sink_of(held, tmp_path).write([samples.make_frame()])
    (tmp_path / "000002.seg").write_bytes(b"no database")
    files.refuse_newer(tmp_path)
    with closing(sqlite3.connect(tmp_path / "000001.seg")) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(NewerStoreError, match=r"000001\.seg: wanted .* found 9"):
        files.refuse_newer(tmp_path)
