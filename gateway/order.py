"""What a supervisor and its worker say to each other, over the worker's standard input: JSON, one line each.

    supervisor → worker    the Order, once; then Words
    worker → supervisor    Asks: what an operator wants of all workers together

The line stays open for as long as both live. Its end is how a worker learns that its supervisor is gone,
whatever it died of.
"""

import os
from typing import Any, Final, Literal

import msgspec

from gateway.quarantine import Barred
from gateway.settings import GatewaySettings
from groundwork import decoders

_BLOCK: Final = 65536
Verb = Literal["workers", "recycle", "config", "reload"]


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A worker's place, the descriptors it inherits, and the settings.

    `workers` is the number of places: one more than workers, for the one that comes while another leaves.
    """

    place: int
    workers: int
    places_fd: int
    http_fd: int
    operator_fd: int
    settings: GatewaySettings
    barred: tuple[Barred, ...] = ()
    grpc_fd: int | None = None
    """The listening socket of gRPC; None: it is not offered."""


class Word(msgspec.Struct, frozen=True):
    """`leave`: the whole gateway stops. `part`: take no more connections and end.

    `answer`: to the Ask of that number, or why it is refused. `bar`: `barred` is what is not to be loaded.
    """

    kind: Literal["leave", "part", "answer", "bar"]
    number: int = 0
    answer: Any = None
    error: str = ""
    code: str = ""
    barred: tuple[Barred, ...] = ()


class Ask(msgspec.Struct, frozen=True):
    """An operator's wish: show the workers or the settings in force, replace the ones, reload the others."""

    number: int
    verb: Verb
    who: str = ""


def encode(said: Order | Word | Ask) -> bytes:
    """The line that the other side reads."""
    return msgspec.json.encode(said) + b"\n"


def read(descriptor: int) -> Order:
    """Read the order from a line; leaves it open. msgspec.ValidationError when it is not one.

    What came behind it already is let go: only a stop overtakes a start, and that comes as a signal too.
    """
    line = bytearray()
    while b"\n" not in line:
        block = os.read(descriptor, _BLOCK)
        if not block:
            break
        line += block
    return decoders.json_of(Order).decode(bytes(line.partition(b"\n")[0]))
