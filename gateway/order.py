"""What the supervisor tells a worker when it starts it: one JSON line on the worker's standard input.

The pipe stays open for as long as the supervisor lives, and nothing more is ever sent through it: its end is
how a worker learns that its supervisor is gone, whatever it died of.
"""

import os
from typing import Final

import msgspec

from gateway.settings import GatewaySettings

_BLOCK: Final = 65536


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A worker's place among its equals, the descriptors it inherits, and the settings."""

    place: int
    workers: int
    places_fd: int
    http_fd: int
    operator_fd: int
    settings: GatewaySettings
    grpc: str | None = None
    """Where to listen for gRPC, as "host:port"; None: nowhere."""


def encode(order: Order) -> bytes:
    """The line that `read` reads."""
    return msgspec.json.encode(order) + b"\n"


def read(descriptor: int) -> Order:
    """Read the order from a pipe; leaves the pipe open. msgspec.ValidationError when it is not one."""
    line = bytearray()
    while not line.endswith(b"\n"):
        block = os.read(descriptor, _BLOCK)
        if not block:
            break
        line += block
    return msgspec.json.decode(bytes(line), type=Order)
