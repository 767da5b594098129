"""A worker's slot on a full disk."""

import io
from pathlib import Path

import pytest

from gateway.slot_room import SLOT_BYTES, ballast_of, open_slot
from groundwork.clock import FakeClock
from groundwork.errors import NoRoomError
from groundwork.logs import Log
from tests.disks import fill, small_disk

LOG = Log(io.StringIO(), FakeClock())


def test_a_slot_fits_into_the_ballast_of_one(tmp_path: Path) -> None:
    """What is set aside for one worker is enough for its slot, and not much more."""
    slot = open_slot(tmp_path, 0, LOG)
    taken = sum(path.stat().st_blocks * 512 for path in (tmp_path / "slots").rglob("*"))
    assert SLOT_BYTES / 2 < taken < SLOT_BYTES
    slot.close()


def test_a_worker_finds_room_on_a_full_disk(tmp_path: Path) -> None:
    """With not a byte free the ballast makes room for a slot, and is taken again when there is some."""
    with small_disk(tmp_path, 16) as disk:
        assert ballast_of(disk, 2).ensure()
        fill(disk / "neighbour", leave=0)
        lines = io.StringIO()
        slot = open_slot(disk, 0, Log(lines, FakeClock()))
        assert "slot-ballast-given" in lines.getvalue()
        fill(disk / "neighbour", leave=0)
        with pytest.raises(NoRoomError):
            open_slot(disk, 1, LOG)
        slot.close()
        (disk / "neighbour").unlink()
        assert ballast_of(disk, 2).ensure()
