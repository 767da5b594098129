"""How many files a process may have open, and room for them in the kernel's table before they come.

A process's table of open files begins with a few places and grows as they are used up: at 64, 256, 512, 1024
and so on. In a process with threads each growth waits until every processor has passed through the scheduler
(`synchronize_rcu` in the kernel's `expand_fdtable`): 7 to 22 ms were measured, in which whoever opened the
file does nothing else. In an event loop that is every caller's wait. So a worker makes room at its start.
"""

import fcntl
import os
import resource
from typing import Final

_MOST: Final = 1 << 20
"""Asked for where there is no limit at all."""
_SPARE: Final = 256
"""Models, segments, slots and whatever the libraries open."""


def wanted(connections: int) -> int:
    """How many files a process opens at most that takes so many connections on each of two busy ports."""
    return 2 * connections + _SPARE


def raise_limit() -> None:
    """Let this process, and its children, open as many files as its owner may allow them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def make_room(files: int) -> int:
    """Have the kernel's table hold so many files, or as many as may be open; returns how many those are.

    Some 10 ms in a process with threads, nothing in one without; eight bytes for each file.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = files if soft == resource.RLIM_INFINITY else min(files, soft)
    with open(os.devnull, "rb") as anything:  # noqa: PTH123  a descriptor is wanted, not a path
        os.close(fcntl.fcntl(anything, fcntl.F_DUPFD_CLOEXEC, room - 1))
    return room
