"""The stamp of a data folder, and the documents that carry a format."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from groundwork.data_folder import NAME, Stamp, claim, ours, product_version, read_stamp
from groundwork.errors import NewerStoreError, StoreError
from groundwork.files import FolderLock
from groundwork.series_table import open_table
from groundwork.slot_readings import read_slots
from groundwork.slots import Slot
from groundwork.versioned import read_document
from tests.strangers import nobody, open_folder


class Note(msgspec.Struct):
    """A document at its second format."""

    format: int
    text: str


def _second(document: dict[str, Any]) -> dict[str, Any]:
    return {"format": 2, "text": document["words"]}


def test_a_folder_is_claimed_once(tmp_path: Path) -> None:
    """A folder without a stamp gets one; claiming again changes nothing; an older stamp is renewed."""
    assert read_stamp(tmp_path) is None
    assert claim(tmp_path) == claim(tmp_path) == read_stamp(tmp_path) == Stamp(1, product_version())
    (tmp_path / NAME).write_bytes(b'{"format": 1, "written_by": "0.0.1"}')
    claim(tmp_path)
    assert read_stamp(tmp_path) == Stamp(1, product_version())


def test_a_newer_folder_is_refused_untouched(tmp_path: Path) -> None:
    """A folder of a later arrangement is refused in one line, and its stamp stays as it was."""
    newer = b'{"format": 9, "more": true}'
    (tmp_path / NAME).write_bytes(newer)
    with pytest.raises(NewerStoreError, match=r"folder\.json: wanted .* format 1 or lower, found 9"):
        claim(tmp_path)
    assert (tmp_path / NAME).read_bytes() == newer


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"format": 0}', b'{"format": true}', b'{"format": 2}']
)
def test_a_damaged_document_is_refused(tmp_path: Path, content: bytes) -> None:
    """What is no document of a known format is an error that names the file."""
    (tmp_path / "note").write_bytes(content)
    with pytest.raises(StoreError, match="note: wanted a note"):
        read_document(tmp_path / "note", Note, what="a note", steps=(_second,))


def test_an_older_document_is_brought_forward(tmp_path: Path) -> None:
    """A document of an earlier format is read as one of today's."""
    (tmp_path / "note").write_bytes(b'{"format": 1, "words": "hello"}')
    assert read_document(tmp_path / "note", Note, what="a note", steps=(_second,)) == Note(2, "hello")


def test_a_newer_slot_is_shown_with_its_fault(tmp_path: Path) -> None:
    """Counters or a place of a later program are not read as something else; the reading says why."""
    slot = Slot.create(tmp_path, place=0)
    slot.close()
    (reading,) = read_slots(tmp_path)
    table = reading.folder / "counters"
    table.write_bytes(table.read_bytes()[:8] + (2).to_bytes(8, "little") + table.read_bytes()[16:])
    with pytest.raises(NewerStoreError, match="format 1 or lower, found 2"):
        open_table(table)
    (reading,) = read_slots(tmp_path)
    assert "newer driftgate" in reading.fault
    (reading.folder / "slot.json").write_bytes(b'{"format": 3}')
    (reading,) = read_slots(tmp_path)
    assert "found 3" in reading.fault


@pytest.mark.parametrize("mode", [0o000, 0o555])
def test_a_folder_that_is_not_ours_is_named(mode: int) -> None:
    """A data folder, or a file of it, that the system keeps from us is an error that says what to do."""
    with open_folder() as folder:
        data = folder / "data"
        data.mkdir(mode=0o700)
        data.chmod(mode)
        wanted = rf"^{data}: wanted a data folder .* at {data}/lock: Permission denied; give it to that user"
        with nobody(), pytest.raises(StoreError, match=wanted), ours(data):
            FolderLock.acquire(data)
        data.chmod(0o700)
        (data / "file").write_text("")
        with (
            pytest.raises(StoreError, match=r"found at .*: File exists; name another with --data$"),
            ours(data),
        ):
            (data / "file").mkdir()
