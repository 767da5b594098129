"""Tests of groundwork.series_table."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundwork.counters import Counters
from groundwork.errors import StoreError
from groundwork.series import SeriesKey
from groundwork.series_table import REFUSED, RESERVED, open_table, regions
from tests.counts import count

WRITER = """
import sys
from pathlib import Path
from groundwork.counters import Counters
table = Counters.create(Path(sys.argv[1]), capacity=4000)
print("ready", flush=True)
for number in range(4000):
    table.values[table.series("s", {"n": str(number)})] += 7
    table.values[table.series("s", {"n": "0"})] += 1
sys.stdin.read()
"""

RELEASER = """
import sys
from pathlib import Path
from groundwork.counters import Counters
table = Counters.create(Path(sys.argv[1]), capacity=100)
print("ready", flush=True)
for number in range(int(sys.argv[2])):
    labels = {"version": str(number)}
    for name in range(10):
        table.values[table.series(f"s{name}", labels)] += 1
    table.release(labels, {"version": "gone"})
    for _ in range(3000):  # as a worker does: versions leave seldom, counts are added all the time
        table.values[0] += 1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's table lies."""
    return tmp_path / "counters"


def without_refused(found: dict[SeriesKey, int]) -> dict[SeriesKey, int]:
    """A reading's own series."""
    return {key: value for key, value in found.items() if key != REFUSED}


def test_a_reader_sees_what_the_writer_added(path: Path) -> None:
    """Names, labels, kinds and values cross the file, negative and large numbers included."""
    writer = Counters.create(path)
    reader = open_table(path)
    assert without_refused(reader.read()) == {}
    requests = writer.series("requests_total", {"model": "m", "arm": "stable"})
    depth = writer.series("depth", {}, kind="gauge")
    writer.values[requests] += 2**40
    writer.values[depth] = -5
    expected = {
        SeriesKey("requests_total", (("arm", "stable"), ("model", "m"))): 2**40,
        SeriesKey("depth", (), "gauge"): -5,
    }
    assert without_refused(reader.read()) == without_refused(writer.read()) == expected
    reader.close()
    writer.close()
    writer.close()


def test_a_reader_of_a_releasing_writer_loses_no_count(path: Path) -> None:
    """While versions come and go in another process, a look never shows less than the one before."""
    with subprocess.Popen(
        [sys.executable, "-c", RELEASER, str(path), str(count(300, 5_000))], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        reader = open_table(path)
        before = 0
        while writer.poll() is None:
            found = without_refused(reader.read())
            assert sum(found.values()) >= before
            before = sum(found.values())
        assert writer.returncode == 0
    assert sum(without_refused(reader.read()).values()) == 10 * count(300, 5_000)


def test_a_series_half_published_is_left_out(path: Path) -> None:
    """Readers stop before an entry whose bytes have not arrived, and take it when they have."""
    writer = Counters.create(path)
    for name in "abc":
        writer.values[writer.series(name, {})] = 1
    checksum = (RESERVED + 1) * 4 + 2
    kept = writer._entries[checksum]
    writer._entries[checksum] ^= 1
    reader = open_table(path)
    assert [key.name for key in without_refused(reader.read())] == ["a"]
    writer._entries[checksum] = kept
    assert [key.name for key in without_refused(reader.read())] == ["a", "b", "c"]


def test_a_reader_of_a_running_writer_sees_a_growing_prefix(path: Path) -> None:
    """From another process, series appear in order with their labels, and no counter goes back."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        reader = open_table(path)
        before: dict[SeriesKey, int] = {}
        for _ in range(count(500, 100_000)):
            found = without_refused(reader.read())
            assert [key.labels[0][1] for key in found] == [str(number) for number in range(len(found))]
            assert all(found[key] >= value for key, value in before.items())
            before = found
            if len(found) == 4000 and found[SeriesKey("s", (("n", "0"),))] == 4007:
                break
        writer.communicate(b"")


@given(st.data())
def test_a_hostile_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Cut anywhere or overwritten anywhere, a table is read in part or is a StoreError, and nothing else."""
    path = tmp_path_factory.mktemp("hostile") / "counters"
    writer = Counters.create(path, capacity=3)
    writer.series("name", {"label": "value"})
    writer.block("block", {}, 2)
    writer.close()
    content = bytearray(path.read_bytes())
    ends = regions(3 + RESERVED)
    interesting = st.sampled_from([0, 8, 16, 24, 32, 40, ends[0] + RESERVED * 16, ends[1]])
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(interesting | st.integers(0, len(content) - 8))
        content[at : at + 8] = data.draw(st.binary(min_size=8, max_size=8))
    path.write_bytes(content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))])
    try:
        table = open_table(path)
    except StoreError:
        return
    assert len(table.read()) <= 4
    table.close()
