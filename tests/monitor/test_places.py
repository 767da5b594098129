"""Tests of monitor.places."""

import contextlib
from pathlib import Path

import numpy as np

from monitor.keys import Keys
from monitor.places import Places
from monitor.store import open_store
from monitor.streams import StreamEnds
from prediction_log.frame import decode
from tests.monitor.worlds import IDS, Traffic


def test_a_row_is_passed_where_its_stream_was_read_past_it(tmp_path: Path) -> None:
    """Rows to come, of other streams, or of ids that are not ours are not, nor those behind in a request."""
    keys = Keys(IDS)
    with contextlib.closing(open_store(tmp_path)) as db:
        ends = StreamEnds(db)
        places = Places(keys, ends)
        traffic = Traffic(stream=3)
        frame = decode(traffic.predictions(4, left_out=2)[0])
        traffic.sequence += 5  # a segment that was dropped unread
        following = decode(traffic.predictions(4)[0])
        ends.take(frame, frame.rows)
        asked = [
            IDS.encode(1, 3, 0),
            IDS.encode(1, 3, 5),
            IDS.encode(1, 3, 6),
            IDS.encode(1, 259, 0),
            bytes(16),
        ]
        told = places.passed(np.frombuffer(b"".join(asked), np.uint8).reshape(-1, 16), [0] * len(asked))
    first = keys.one(asked[0])
    assert told == [first, first, None, None, None]
    assert [places.is_passed(asked[0], row) for row in (0, 5, 6)] == [True, True, False]
    assert places.span(frame) == (first, first + 6)
    ends.take(following, following.rows)
    assert places.span(following) == (first + 6, first + 15)
    assert places.keys(np.frombuffer(asked[1], np.uint8).reshape(1, 16)) == [first + 5]
