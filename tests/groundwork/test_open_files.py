"""Room for open files. What a process's table holds is asked of the kernel, in processes of their own."""

import subprocess
import sys
from pathlib import Path

from groundwork.open_files import wanted

_ROOM = """
import resource
from pathlib import Path
from groundwork.open_files import make_room
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
print(make_room({files}), *[n for n in Path("/proc/self/status").read_text().split("\\n") if "FDSize" in n])
"""


def _room(files: int, soft: int = 4000) -> tuple[int, int]:
    """What `make_room` said, and how many files the kernel's table then holds."""
    found = subprocess.run(
        [sys.executable, "-c", _ROOM.format(files=files, soft=soft)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    said, _, held = found.stdout.split()
    return int(said), int(held)


def test_the_table_holds_what_was_asked_for() -> None:
    """After room was made for so many files the kernel's table does not grow before they are open."""
    said, held = _room(1856)
    assert said == 1856
    assert held >= 1856
    assert _room(8)[1] < 1856


def test_no_more_than_may_be_open() -> None:
    """Where fewer files may be open than are asked for, room is made for those, and nothing fails."""
    said, held = _room(1856, soft=300)
    assert said == 300
    assert 300 <= held < 1856


def test_two_ports_full_of_connections_fit() -> None:
    """What is wanted covers all connections of two ports and something beside them."""
    assert wanted(800) > 2 * 800
