"""Our cgroups: the folders whose files limit this process, and the memory that they leave.

    version 2    memory.max ("max", or bytes) of our cgroup and of each above it
    version 1    memory.limit_in_bytes of the `memory` hierarchy, likewise; no limit is a number beyond all

A machine may have both (hybrid): then each hierarchy has controllers of its own.

Rules: the tightest limit counts; a file that is not there, or says "max", limits nothing. Pure over a tree of
files: every root is an argument.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")
OWN: Final = Path("/proc/self/cgroup")
_MEMORY: Final = "memory"
_LIMITS: Final = ("memory.max", "memory.limit_in_bytes")


def memory(physical: int, cgroups: Path = CGROUPS, own: Path = OWN) -> int:
    """Bytes of memory for this process and whatever shares its cgroups, `physical` at most.

    `own` names our cgroups as /proc/self/cgroup does; `cgroups` is where their files are mounted.
    """
    limits = [physical]
    for folder in folders(_MEMORY, cgroups, own):
        for name in _LIMITS:
            with contextlib.suppress(OSError, ValueError):
                limits.append(int((folder / name).read_text()))
    return min(limits)


def folders(controller: str, cgroups: Path, own: Path) -> Iterator[Path]:
    """Our cgroup and those above it, in every hierarchy that may have this controller.

    Inside a container the path in `own` may be the host's while the files of our own cgroup are mounted at
    the root: what is not there is for the caller to pass over.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, _, rest = line.partition(":")
        names, _, place = rest.partition(":")
        if not names:
            roots = [cgroups, cgroups / "unified"]
        elif controller in names.split(","):
            roots = [cgroups / names, cgroups / controller]
        else:
            continue
        path = PurePosixPath(place.lstrip("/"))
        for root in roots:
            yield from (root / step for step in (path, *path.parents) if ".." not in step.parts)
    yield cgroups
