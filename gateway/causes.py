"""What a worker ended of, in one word: the label of its restart, and whether it was its own doing. Pure.

killed     by a signal from outside; nobody here is to blame
crashed    by a fatal signal, or by the kernel when memory ran out
hung       its loop stood still, and the supervisor ended it
failed     it gave up with an exit code; its last lines say why
stopped    somebody told it alone to stop, and it did
recycled   it had served long enough, or settings changed; another took its place first
"""

import signal
from typing import Final, Literal

Cause = Literal["killed", "crashed", "hung", "failed", "stopped", "recycled"]
FATAL: Final = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE},
)
OWN_FAULT: Final = frozenset({"crashed", "hung", "failed"})
"""What would happen again if the next worker came at once, for all one knows."""


def cause_of(code: int, *, hung: bool = False, oom: bool = False) -> Cause:
    """The cause by exit code (minus the signal); `oom`: the kernel has just killed for want of memory."""
    if hung:
        return "hung"
    if is_crash(code, oom=oom):
        return "crashed"
    if code < 0:
        return "killed"
    return "failed" if code else "stopped"


def is_crash(code: int, *, oom: bool) -> bool:
    """Whether an exit code tells of a crash: a fatal signal, or a kill when the kernel was out of memory."""
    return -code in FATAL or (-code == signal.SIGKILL and oom)


def described(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
