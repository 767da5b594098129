"""Runs a module as a program that ends when its parent does.

    python -P -m driftgate.tether PARENT MODULE ARGUMENTS…

Linux sends the child SIGTERM when the thread that started it ends, however it ends; so a `driftgate up`
killed with SIGKILL leaves nothing behind. Elsewhere this is an ordinary start.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def tie(parent: int) -> None:
    """Ask for SIGTERM at the parent's end; exit at once when `parent` has ended already."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(f"tether: process {parent} ended before its child began")


def main() -> None:
    """Tie this process to the parent named first, then become the module."""
    parent, module, *arguments = sys.argv[1:]
    tie(int(parent))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
