"""What a worker is told."""

import os

import msgspec
import pytest

from gateway.order import Order, encode, read
from gateway.quarantine import Barred
from gateway.settings import GatewaySettings

ORDER = Order(
    place=1,
    workers=2,
    places_fd=7,
    http_fd=8,
    operator_fd=9,
    settings=GatewaySettings(workers=2),
    barred=(Barred("m", "2", 10**18, "it crashed"),),
)


def test_read_gives_what_was_written_and_leaves_the_pipe_open() -> None:
    """The order comes whole through a pipe in pieces, and the pipe's end is not needed to see its end."""
    reading, writing = os.pipe()
    line = encode(ORDER)
    os.write(writing, line[:10])
    os.write(writing, line[10:])
    assert read(reading) == ORDER
    os.close(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_a_cut_order_is_an_error() -> None:
    """A supervisor that died while it wrote leaves no half an order."""
    reading, writing = os.pipe()
    os.write(writing, encode(ORDER)[:-20])
    os.close(writing)
    with pytest.raises(msgspec.DecodeError):
        read(reading)
    os.close(reading)
