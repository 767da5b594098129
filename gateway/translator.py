"""A process that reads large requests and writes large answers for one worker, so that its loop goes on.

Whatever makes an object for every number or text keeps the interpreter of its process to itself; in a
process of its own that keeps nobody waiting. It gives way to the workers (niceness), and where memory runs
out it is the one to be ended. It ends when its worker closes the line, or is no more: Linux kills it then,
even where it has been stopped.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final

from gateway import parcel
from gateway.translation import READY, answer

NICENESS: Final = 5
_OUT_OF_MEMORY_FIRST: Final = "500"
_ADJUSTMENT: Final = Path("/proc/self/oom_score_adj")
_PR_SET_PDEATHSIG: Final = 1


def serve(line: socket.socket) -> None:
    """Answer one question after the other until the line is closed."""
    with contextlib.suppress(parcel.ClosedError, BrokenPipeError, ConnectionResetError):
        line.sendall(READY)
        while True:
            parcel.send(line, answer(parcel.receive(line)))


def main() -> None:
    """The process: its one argument is the descriptor of the line."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # meant for the worker, with whom it ends
    if sys.platform == "linux":  # the thread that started this lives as long as the worker
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    os.nice(NICENESS)
    with contextlib.suppress(OSError):  # a system without it
        _ADJUSTMENT.write_text(_OUT_OF_MEMORY_FIRST)
    serve(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    main()
