"""A wrong clock for a whole tree of processes: with this folder on PYTHONPATH, Python itself runs this first.

`time.time` and `time.time_ns` are off by what the file named by WRONG_CLOCK holds: 8 bytes of nanoseconds,
which may change while all run. The monotonic clock is the machine's, as where a real clock is set.
"""

import mmap
import os
import struct
import time

_place = os.environ.get("WRONG_CLOCK", "")
if _place:
    with open(_place, "rb") as _file:  # noqa: PTH123  pathlib is not to be loaded this early
        _page = mmap.mmap(_file.fileno(), 8, prot=mmap.PROT_READ)
    _off = struct.Struct("<q").unpack_from
    _right = time.time_ns

    def _time_ns() -> int:
        return _right() + int(_off(_page)[0])

    time.time_ns = _time_ns
    time.time = lambda: _time_ns() / 1e9
