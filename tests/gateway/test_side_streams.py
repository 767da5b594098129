"""Tests of gateway.side_streams."""

import asyncio
import threading

from tests.gateway.worlds import World


async def test_labels_have_one_stream_whoever_comes_first(here: World) -> None:
    """Threads that open the labels of a model at once make one file."""
    before = {file.path for file in here.journal.files()}
    barrier = threading.Barrier(4)

    def open_labels() -> None:
        barrier.wait(10)
        here.journal.open_labels("m")

    await asyncio.gather(*(asyncio.to_thread(open_labels) for _ in range(4)))
    assert len({file.path for file in here.journal.files()} - before) == 1
