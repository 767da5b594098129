"""A server that answers everything at once: what a generator is tested against."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Self

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Stub:
    """A server on a thread that answers everything at once, and closes after every so many answers."""

    def __init__(self, closes_after: int) -> None:
        self.url = ""
        self._closes_after = closes_after
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._writers: list[asyncio.StreamWriter] = []
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
        self._listening.set()
        await self._over.wait()
        server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        async for number in _requests(reader):
            writer.write(ANSWER)
            if number == self._closes_after:
                break
        writer.close()


async def _requests(reader: asyncio.StreamReader) -> AsyncIterator[int]:
    number = 0
    while not reader.at_eof():
        try:
            await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        number += 1
        yield number
