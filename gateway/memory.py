"""Memory that a model leaves behind: how the C library is told to give it back.

By itself glibc raises the size from which a block is a mapping of its own each time one is freed, so that
after a few loads the weights of old versions stay behind in its heaps: six models in turn left a worker with
twice its memory. Two rules end that (docs/performance.md has the figures):

1. `settle`, once, before anything is loaded: blocks up to 32 MiB come from heaps, whatever was freed before,
   and a free gives nothing back by itself. So closing a model, during which nothing else runs, is short.
2. `trim`, in the loading thread, after each load and each close: empty pages go back. The interpreter is not
   held meanwhile.

Where there is no glibc both do nothing. `yield_to_others` lets a loading thread take only what is left over.
"""

import ctypes
import functools
import os
import threading
from typing import Any, Final

_TRIM_THRESHOLD: Final = -1  # M_TRIM_THRESHOLD of malloc.h
_MMAP_THRESHOLD: Final = -3  # M_MMAP_THRESHOLD
_LARGEST_OF_A_HEAP: Final = 32 << 20
"""The most that glibc takes for its M_MMAP_THRESHOLD."""
_KEPT: Final = 64 << 20
_NICER: Final = 10


def settle() -> bool:
    """Have freed memory kept in heaps until `trim`; False where the C library cannot be told so."""
    library = _library()
    if library is None:
        return False
    taken = library.mallopt(_MMAP_THRESHOLD, _LARGEST_OF_A_HEAP)
    return bool(taken and library.mallopt(_TRIM_THRESHOLD, _KEPT))


def trim() -> bool:
    """Give empty pages of all heaps back; some milliseconds, the interpreter is free meanwhile."""
    library = _library()
    return library is not None and bool(library.malloc_trim(0))


def yield_to_others() -> None:
    """Let the calling thread have only what others leave of the processor, where the system can do that."""
    if hasattr(os, "setpriority") and hasattr(threading, "get_native_id"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICER)


@functools.cache
def _library() -> Any:
    """The C library if it is glibc, else None."""
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
