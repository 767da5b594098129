"""Our cgroups: the folders whose files limit this process, and the memory that they leave.

    version 2    memory.max ("max", or bytes) of our cgroup and of each above it; memory.current is what is
                 used of it, inactive_file of memory.stat what of that is given back when it is wanted
    version 1    memory.limit_in_bytes of the `memory` hierarchy, likewise; no limit is a number beyond all;
                 memory.usage_in_bytes, and total_inactive_file

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
MEMINFO: Final = Path("/proc/meminfo")
_MEMORY: Final = "memory"
_LIMITS: Final = ("memory.max", "memory.limit_in_bytes")
_USES: Final = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
_AVAILABLE: Final = "MemAvailable"
_KIB: Final = 1024


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


def spare_memory(meminfo: Path = MEMINFO, cgroups: Path = CGROUPS, own: Path = OWN) -> int:
    """Bytes that we, and whatever shares our cgroups, may still take; `meminfo` is as /proc/meminfo."""
    left = [_number(meminfo, f"{_AVAILABLE}:", 0) * _KIB]
    for folder in folders(_MEMORY, cgroups, own):
        for limit, used, reclaimable in _USES:
            with contextlib.suppress(OSError, ValueError):
                most, taken = (int((folder / name).read_text()) for name in (limit, used))
                left.append(most - taken + _number(folder / "memory.stat", reclaimable, 0))
    return max(0, min(left))


def _number(path: Path, name: str, otherwise: int) -> int:
    """The first number of the line that begins with this word; `otherwise` where there is none."""
    with contextlib.suppress(OSError, ValueError):
        for words in map(str.split, path.read_text().splitlines()):
            if words[:1] == [name]:
                return int(words[1])
    return otherwise


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
