"""A process to be killed: it answers as fast as it can, flushes on a thread, and says what it has answered.

    python -m tests.prediction_log.worker_process FOLDER INCARNATION

A line on standard output is an answer: the first token and the number of rows. It is written after the append
has returned, as an answer is sent after its row is in the slot.
"""

import os
import sys
import threading
from pathlib import Path
from random import Random

from prediction_log.rows import RowFile
from prediction_log.segment_sink import SegmentSink
from tests.counts import count
from tests.prediction_log import samples

# Larger at full counts: a rotation looks through all segments, of which there would be ten thousand.
SEGMENT_BYTES = count(80_000, 600_000)
CAPACITY = 64


def flush(file: RowFile, sink: SegmentSink, handed_over: threading.Event) -> None:
    """Take, write, release, for ever."""
    while True:
        handed_over.wait(0.01)  # an append that found no room swaps by itself, and rings no bell
        handed_over.clear()
        body = file.take()
        if body is not None:
            sink.write([body])
            file.release()


def main() -> None:
    """Answer until killed; tokens begin where this incarnation's range does."""
    folder, incarnation = Path(sys.argv[1]), int(sys.argv[2])
    slot = folder / "slots" / str(incarnation)
    file = samples.row_file(slot, incarnation=incarnation, row_capacity=CAPACITY, arena_bytes=2048)
    sink = SegmentSink(folder / "log", segment_bytes=SEGMENT_BYTES)
    handed_over = threading.Event()
    threading.Thread(target=flush, args=(file, sink, handed_over), daemon=True).start()
    random = Random(incarnation)
    token = incarnation * 10_000_000
    while True:
        rows = random.randint(1, 5)
        lost = file.lost
        file.append(samples.columns(token, rows), rows)
        if file.lost == lost:
            os.write(1, b"%d %d\n" % (token, rows))
        token += rows
        if file.full_enough and file.swap():
            handed_over.set()


if __name__ == "__main__":
    main()
