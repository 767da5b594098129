"""Small file systems for tests of full disks."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

MIB = 1 << 20


@contextlib.contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of its own at `folder`; skips the test where none can be mounted."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=700", "tmpfs", str(folder)]
    if os.getuid() or shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("this machine lets us mount no small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607  whichever there is


def fill(path: Path, *, leave: int) -> None:
    """Take all the room of the disk but `leave` bytes."""
    with path.open("ab", buffering=0) as file:
        while (free := shutil.disk_usage(path.parent).free) > leave:
            file.write(bytes(min(MIB, free - leave)))
