"""The mapped table of series."""

import errno
import os
import stat
from pathlib import Path

import pytest

from groundwork.counters import STEP, Counters
from groundwork.errors import NoRoomError, StoreError
from groundwork.series import SeriesKey
from groundwork.series_table import REFUSED, RESERVED, open_table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's table lies."""
    return tmp_path / "counters"


def without_refused(found: dict[SeriesKey, int]) -> dict[SeriesKey, int]:
    """A reading's own series."""
    return {key: value for key, value in found.items() if key != REFUSED}


def test_a_series_has_one_index(path: Path) -> None:
    """Asking again, with labels in any order, gives the same index; another kind is another series."""
    table = Counters.create(path)
    first = table.series("a", {"x": "1", "y": "2"})
    assert table.series("a", {"y": "2", "x": "1"}) == first
    assert table.series("a", {"x": "1", "y": "2"}, kind="gauge") != first
    assert first >= RESERVED


def test_a_block_is_consecutive(path: Path) -> None:
    """Its series follow one another and are told apart by `le`; asking again gives the same."""
    table = Counters.create(path)
    first = table.block("latency", {"model": "m"}, 3)
    assert table.block("latency", {"model": "m"}, 3) == first
    for cell in range(3):
        table.values[first + cell] = cell + 1
    keys = [SeriesKey("latency", (("le", str(cell)), ("model", "m"))) for cell in range(3)]
    assert without_refused(table.read()) == dict(zip(keys, [1, 2, 3], strict=True))
    for size in (0, RESERVED + 1):
        with pytest.raises(ValueError, match="a block holds"):
            table.block("wrong", {}, size)


def test_a_full_table_refuses_and_counts(path: Path) -> None:
    """Without room the writer is sent to cells that nobody reads, and the refusals are a series."""
    table = Counters.create(path, capacity=4)
    assert table.block("a", {}, 3) == RESERVED
    assert table.block("b", {}, 2) == 0
    assert table.series("c", {}) == RESERVED + 3
    assert table.series("d", {}) == 0
    for cell in range(RESERVED):
        table.values[cell] += 99
    found = table.read()
    assert found[REFUSED] == 2
    assert sum(without_refused(found).values()) == 0
    assert len(without_refused(found)) == 4


def test_a_table_grows_in_its_place(path: Path) -> None:
    """Beyond the first step blocks are reserved as they are needed; whoever had mapped the table reads on."""
    writer = Counters.create(path)
    reader = open_table(path)
    small = path.stat().st_blocks
    count = 2 * STEP + 500
    for number in range(count):
        writer.values[writer.series("n", {"number": str(number)})] += number
    found = without_refused(reader.read())
    assert len(found) == count
    assert sum(found.values()) == sum(range(count))
    assert small * 512 < 2 * STEP * 120 < path.stat().st_blocks * 512 < path.stat().st_size
    assert reader.read()[REFUSED] == 0
    writer.close()
    reader.close()


def test_a_disk_without_room_refuses_what_is_new(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that cannot grow counts on in what it has, and counts what it refuses; nothing is torn."""
    writer = Counters.create(path)
    _limit_file_size(monkeypatch)
    for number in range(STEP + RESERVED + 10):
        writer.values[writer.series("n", {"number": str(number)})] += 1
    found = writer.read()
    assert found[REFUSED] == RESERVED + 10
    assert len(found) == STEP + 1
    monkeypatch.undo()
    assert writer.series("n", {"number": "late"}) > 0
    writer.close()


def _limit_file_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system say that the disk is full."""

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)


def test_long_labels_fill_the_table_too(path: Path) -> None:
    """When the label bytes run out a new series is refused, and a shorter one may still fit."""
    table = Counters.create(path, capacity=2)
    assert table.series("a", {"x": "y" * 10_000}) == 0
    assert table.series("a", {"x": "y"}) == RESERVED


GONE = {"version": "gone"}


def test_what_is_released_is_gathered(path: Path) -> None:
    """Released counters go on in the series that gathers them, gauges and the rest of the labels do not."""
    writer = Counters.create(path)
    reader = open_table(path)
    for version in ("1", "2", "3"):
        labels = {"model": "m", "version": version}
        writer.values[writer.series("requests_total", labels)] = 10 * int(version)
        writer.values[writer.series("loaded", labels, kind="gauge")] = 1
        writer.values[writer.block("seconds", labels, 3) + 2] = int(version)
    reader.read()
    for version in ("1", "2"):
        writer.release({"model": "m", "version": version}, GONE)
    found = {key: value for key, value in without_refused(reader.read()).items() if value}
    assert found == {
        SeriesKey("requests_total", (("model", "m"), ("version", "gone"))): 30,
        SeriesKey("seconds", (("le", "2"), ("model", "m"), ("version", "gone"))): 3,
        SeriesKey("requests_total", (("model", "m"), ("version", "3"))): 30,
        SeriesKey("loaded", (("model", "m"), ("version", "3")), "gauge"): 1,
        SeriesKey("seconds", (("le", "2"), ("model", "m"), ("version", "3"))): 3,
    }
    assert writer.read() == reader.read()


def test_a_thousand_versions_fit_a_small_table(path: Path) -> None:
    """Versions that come and go use the same cells again, and no count is lost."""
    writer = Counters.create(path, capacity=200)
    reader = open_table(path)
    for number in range(1000):
        labels = {"model": "m" * (number % 7 + 1), "version": str(number)}
        writer.values[writer.series("requests_total", labels)] += 1
        writer.values[writer.block("seconds", labels, 5) + number % 5] += 1
        writer.values[writer.series("loaded", labels, kind="gauge")] = 1
        if number % 100 == 0:
            assert sum(reader.read().values()) == sum(writer.read().values())
        writer.release(labels, GONE)
    found = reader.read()
    assert found.pop(REFUSED) == 0
    assert sum(found.values()) == 2000
    assert {dict(key.labels)["version"] for key in found} == {"gone"}


def test_released_cells_begin_at_nothing(path: Path) -> None:
    """A new series in the place of an old one has nothing of what that counted."""
    writer = Counters.create(path, capacity=3)
    writer.values[writer.series("a_total", {"version": "gone"})] = 1
    writer.values[writer.series("a_total", {"version": "1"})] = 5
    writer.release({"version": "1"}, GONE)
    again = writer.series("b_total", {"version": "2"})
    assert writer.values[again] == 0
    assert writer.read()[SeriesKey("a_total", (("version", "gone"),))] == 6


def test_the_file_is_private_whole_and_new(path: Path) -> None:
    """Its first step is allocated, it is its owner's only, and never taken over from another writer."""
    Counters.create(path, capacity=STEP).close()
    found = path.stat()
    assert found.st_blocks * 512 >= found.st_size
    assert stat.S_IMODE(found.st_mode) == 0o600
    with pytest.raises(StoreError, match="wanted a new table"):
        Counters.create(path)


def test_a_table_has_a_sensible_size(tmp_path: Path) -> None:
    """Neither none nor more than any folder should hold."""
    for capacity in (0, 2**21):
        with pytest.raises(ValueError, match="a table of counters holds"):
            Counters.create(tmp_path / "x", capacity=capacity)
    assert issubclass(NoRoomError, Exception)
