"""The ready file: there while everything answers, and nobody else's."""

import json
import os
from pathlib import Path

import pytest

from driftgate.errors import CommandError
from driftgate.ready import ready_file

NOBODY = 2**22 + 1
"""A pid beyond what Linux gives out."""


def test_the_file_is_there_from_the_writing_to_the_end(tmp_path: Path) -> None:
    """It appears when it is written and is gone afterwards."""
    file = tmp_path / "ready.json"
    with ready_file(file) as write:
        assert not file.exists()
        write({"pid": os.getpid()})
        assert json.loads(file.read_bytes()) == {"pid": os.getpid()}
    assert not file.exists()


def test_what_a_dead_process_left_is_removed_before_anything_starts(tmp_path: Path) -> None:
    """A leftover, whole or not, never says that something is ready."""
    file = tmp_path / "ready.json"
    for leftover in (json.dumps({"pid": NOBODY}), json.dumps({"pid": os.getpid()}), "{"):
        file.write_text(leftover)
        with ready_file(file):
            assert not file.exists()


def test_the_file_of_a_living_process_stays(tmp_path: Path) -> None:
    """Who is refused because another runs does not take that one's file away."""
    file = tmp_path / "ready.json"
    file.write_text(json.dumps({"pid": os.getppid()}))
    with ready_file(file):
        assert file.exists()
    assert file.exists()


def test_a_place_that_cannot_be_written_is_refused_first(tmp_path: Path) -> None:
    """The error names the file, not the data folder."""
    with pytest.raises(CommandError, match=r"--ready-file .*nowhere"), ready_file(tmp_path / "nowhere" / "r"):
        pass
