"""Real processes, really killed: what was answered is in the log, once."""

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from random import Random
from typing import IO

from prediction_log.frame import decode
from prediction_log.recovery import recover_slot
from prediction_log.segment_sink import SegmentSink
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import START, Offset
from tests.counts import count
from tests.prediction_log import journey, worker_process

WORKERS = 2
KILLS = count(3, 200)


def test_what_was_answered_before_a_kill_is_in_the_log_once(tmp_path: Path) -> None:
    """Two workers at a time are killed at random moments and recovered; a reader follows all the while."""
    with ThreadPoolExecutor(WORKERS) as pool:
        lives = [pool.submit(live_and_die, tmp_path, place, KILLS) for place in range(WORKERS)]
        followed = follow(tmp_path, lives)
    answered = [token for life in lives for token in life.result()]
    found = [token for body in followed for token in decode(body).array("time").tolist()]
    assert len(found) == len(set(found)), "a row was doubled"
    assert set(answered) <= set(found), "a row was lost"
    assert len(found) - len(answered) <= WORKERS * KILLS * 5, "at most the request in hand at each kill"
    assert followed == read_on(tmp_path, START)[1]
    assert journey.tiles(tmp_path)


def follow(folder: Path, lives: Sequence[Future[list[int]]]) -> list[bytes]:
    """Every frame, read while it is being written, until all lives are over."""
    at, found = START, list[bytes]()
    while True:
        over = not wait(lives, timeout=0.02).not_done
        at, bodies = read_on(folder, at)
        found += bodies
        if over:
            return found


def read_on(folder: Path, at: Offset) -> tuple[Offset, list[bytes]]:
    """All that is behind an offset now, and the offset behind that; as a reader that has just started."""
    source = SegmentSource(folder / "log")
    found = list[bytes]()
    while batch := source.read(at, 50):
        found += [body for _, body in batch]
        at = batch[-1][0]
    source.close()
    return at, found


def live_and_die(folder: Path, place: int, kills: int) -> list[int]:
    """Start a worker, kill it after some answers, recover its slot; again and again. The tokens answered."""
    random = Random(place)
    answered: list[int] = []
    sink = SegmentSink(folder / "log", segment_bytes=worker_process.SEGMENT_BYTES)
    for life in range(kills):
        incarnation = 1 + life * WORKERS + place
        answered += kill_after(folder, incarnation, random.randint(1, 1500))
        recover_slot(folder / "slots" / str(incarnation), sink, 0)
    sink.close()
    return answered


def kill_after(folder: Path, incarnation: int, answers: int) -> list[int]:
    """Run a worker until it has given so many answers, kill it, and hear out what it had said."""
    command = [sys.executable, "-m", "tests.prediction_log.worker_process", str(folder), str(incarnation)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        tokens = [token for _ in range(answers) for token in parse(worker.stdout.readline())]
        worker.kill()
        tokens += heard_out(worker.stdout)
    return tokens


def heard_out(pipe: IO[bytes]) -> list[int]:
    """The tokens of the whole lines that are still in the pipe."""
    return [token for line in pipe if line.endswith(b"\n") for token in parse(line)]


def parse(line: bytes) -> range:
    """The tokens of one answer."""
    first, rows = line.split()
    return range(int(first), int(first) + int(rows))
