"""Memory that models leave behind."""

import ctypes
import subprocess
import sys

import pytest

from gateway import memory
from tests import sources

GLIBC = hasattr(ctypes.CDLL(None), "malloc_trim")
PROGRAM = """
import ctypes, json, os, threading
from gateway import memory
from gateway.child import resident

if {settled}:
    memory.settle()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.free.argtypes = [ctypes.c_void_p]

def blocks(size, count):
    made = [library.malloc(size) for _ in range(count)]
    for block in made:
        ctypes.memset(block, 1, size)
    return made

before = resident(os.getpid())
for round in range(4):
    large, small = blocks(20 << 20, 2), blocks(100 << 10, 200)
    kept = small[::50]
    for block in [*large, *(block for block in small if block not in kept)]:
        library.free(block)
    if {settled}:
        memory.trim()
print(json.dumps((resident(os.getpid()) - before) >> 20))
"""


def left_behind(*, settled: bool) -> int:
    """MiB that a process holds after it took and freed 60 MiB four times."""
    program = PROGRAM.replace("{settled}", str(settled))
    ended = subprocess.run(
        [sys.executable, "-c", program], check=True, cwd=sources.ROOT, capture_output=True, text=True
    )
    return int(ended.stdout)


@pytest.mark.skipif(not GLIBC, reason="the C library is not glibc")
def test_freed_memory_is_given_back() -> None:
    """After `settle`, what was freed is the system's again with the next `trim`."""
    assert left_behind(settled=True) <= 8


@pytest.mark.skipif(not GLIBC, reason="the C library is not glibc")
def test_the_c_library_takes_it() -> None:
    """Where there is glibc it is told, and says so."""
    assert memory.settle()
