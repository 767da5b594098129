"""What a series of numbers is called: its name, its labels and its kind, also as bytes."""

from typing import Final, Literal

import msgspec

from groundwork import decoders

Kind = Literal["counter", "gauge"]
"""A counter only grows and outlives its process; a gauge is a fact about a living one."""


class SeriesKey(msgspec.Struct, frozen=True):
    """What a series is called: name, labels sorted by label, and kind."""

    name: str
    labels: tuple[tuple[str, str], ...]
    kind: str = "counter"


_DECODER: Final = decoders.msgpack_of(tuple[str, tuple[tuple[str, str], ...], Kind])


def encoded(key: SeriesKey) -> bytes:
    """The key as `decoded` reads it."""
    return msgspec.msgpack.encode((key.name, key.labels, key.kind))


def decoded(label: bytes) -> SeriesKey | None:
    """The key in these bytes, or None when there is none to be had."""
    try:
        return SeriesKey(*_DECODER.decode(label))
    except msgspec.DecodeError:
        return None
