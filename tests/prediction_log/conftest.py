"""Ends of logs that are closed when their test is over."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TypeVar

import pytest

from prediction_log.transport import Sink, Source, Transport

End = TypeVar("End", bound=Sink | Source)


class Held:
    """What a test opened, and what will close it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def __call__(self, end: End) -> End:
        """The same end, closed after the test."""
        return self._stack.enter_context(closing(end))


class HeldTransport:
    """A transport whose ends are closed after the test."""

    def __init__(self, transport: Transport, held: Held) -> None:
        self._transport = transport
        self._held = held

    def sink(self) -> Sink:
        """A new writing end."""
        return self._held(self._transport.sink())

    def source(self) -> Source:
        """A new reading end."""
        return self._held(self._transport.source())


@pytest.fixture
def held() -> Iterator[Held]:
    """Closes each end it is called with when the test is over."""
    with ExitStack() as stack:
        yield Held(stack)
