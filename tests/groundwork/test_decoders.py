"""Decoders by type: made once, and by one thread at a time."""

import subprocess
import sys

import msgspec
import pytest

from groundwork import decoders


class Point(msgspec.Struct, frozen=True):
    """Two numbers."""

    x: int
    y: float = 0.0


def test_a_decoder_is_made_once() -> None:
    """Whoever asks again is given the same, and each form has its own."""
    assert decoders.json_of(Point) is decoders.json_of(Point)
    assert decoders.json_of(Point).decode(b'{"x": 1}') == Point(1)
    assert decoders.msgpack_of(Point).decode(msgspec.msgpack.encode(Point(2, 0.5))) == Point(2, 0.5)


def test_what_is_converted_is_what_msgspec_converts() -> None:
    """Its options are passed on, and so are its errors."""
    assert decoders.converted({"x": "3"}, Point, strict=False) == Point(3)
    with pytest.raises(msgspec.ValidationError, match=r"\$\.x"):
        decoders.converted({"x": "3"}, Point)


TOGETHER = """
import sys, threading
import msgspec
from groundwork import decoders

sys.setswitchinterval(1e-6)
for _ in range(300):
    inner = msgspec.defstruct("Inner", [("labels", tuple[tuple[str, str], ...]), ("value", int)])
    fields = [("ranges", tuple[tuple[int, int], ...]), ("series", tuple[inner, ...])]
    outer = msgspec.defstruct("Outer", fields)
    start = threading.Barrier(4)

    def read():
        start.wait()
        body = b'{"ranges": [[1, 2]], "series": [{"labels": [["a", "b"]], "value": 3}]}'
        assert decoders.json_of(outer).decode(body).series[0].value == 3
        assert decoders.converted({"ranges": [], "series": []}, outer).series == ()

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_threads_may_meet_a_struct_together() -> None:
    """Its annotations are worked out by one of them while the others wait; msgspec's own way is a crash."""
    done = subprocess.run([sys.executable, "-c", TOGETHER], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
