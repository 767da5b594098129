"""What the supervisor counts."""

import io
from pathlib import Path

from gateway.metrics import LOG_LOST, LOG_SPOOLED, RESTARTS
from gateway.tally import CountedSink, Tally
from groundwork.clock import FakeClock
from groundwork.logs import Log
from groundwork.series import SeriesKey
from groundwork.slot_readings import SlotReading, totals
from prediction_log.memory import MemoryLog
from prediction_log.recovery import Taken, take_over
from tests.prediction_log.samples import columns, make_frame, row_file

LOG = Log(io.StringIO(), FakeClock())


def restarts(folder: Path) -> dict[tuple[str, str], int]:
    """Restarts by place and reason, as any worker's /metrics would sum them."""
    found = {}
    for key, value in totals(folder).items():
        if key.name == RESTARTS:
            labels = dict(key.labels)
            found[labels["place"], labels["reason"]] = value
    return found


def test_every_restart_is_seen_from_its_zero_on(tmp_path: Path) -> None:
    """Each place and reason stands at 0 before the first; a later supervisor goes on from where one ended."""
    tally = Tally(tmp_path, 2, LOG)
    assert set(restarts(tmp_path).values()) == {0}
    assert {place for place, _ in restarts(tmp_path)} == {"0", "1"}
    tally.restarted(1, "crashed")
    tally.restarted(1, "crashed")
    assert tally.restarts(1) == 2
    tally.close()
    again = Tally(tmp_path, 2, LOG)
    again.restarted(1, "crashed")
    assert restarts(tmp_path)["1", "crashed"] == 3
    assert (again.restarts(0), again.restarts(1)) == (0, 1)
    again.close()


def test_without_a_slot_counts_wait(tmp_path: Path) -> None:
    """Where the slot cannot be made it is said, and the counts are there once it can."""
    lines = io.StringIO()
    place = tmp_path / "slots"
    place.write_text("in the way")
    tally = Tally(place, 1, Log(lines, FakeClock()))
    tally.restarted(0, "hung")
    assert "supervisor-counts-in-memory" in lines.getvalue()
    assert tally.restarts(0) == 1
    place.unlink()
    tally.restarted(0, "hung")
    assert restarts(place)["0", "hung"] == 2
    assert tally.restarts(0) == 2
    tally.close()


def test_rows_of_dead_workers_are_counted_once(tmp_path: Path) -> None:
    """A frame counts when a recovery brings it, also one that was in the log already, and never twice."""
    tally = Tally(tmp_path, 1, LOG)
    log = MemoryLog()
    first, second = make_frame(0, 3), make_frame(3, 4)
    log.sink().write([first])  # its worker died before it could count it
    sink = CountedSink(log.sink(), tally)
    assert [sink.write([body]) for body in (first, second, second)] == [0, 1, 0]
    assert totals(tmp_path)[SeriesKey(LOG_SPOOLED, (("kind", "prediction"),))] == 7
    tally.close()


def test_rows_of_a_past_boot_are_counted_as_lost(tmp_path: Path) -> None:
    """What the log is told to lack after a power cut is what the metric says; nothing is spooled."""
    tally = Tally(tmp_path / "slots", 1, LOG)
    row_file(tmp_path / "slot").append(columns(0, 5), 5)
    slot = SlotReading(1, 0, alive=False, folder=tmp_path / "slot", series={}, boot="before")
    log = MemoryLog()
    assert take_over(slot, CountedSink(log, tally), "after", FakeClock()) == Taken(lost=5)
    found = {key.name: value for key, value in totals(tmp_path / "slots").items() if key.name != RESTARTS}
    assert found[LOG_LOST] == 5
    assert LOG_SPOOLED not in found
    tally.close()
