"""An open-loop HTTP client that is cheap enough to share two cores with what it measures.

Requests are due at fixed times, spread over keep-alive connections; a connection sends the next due request
when the one before is answered. With `resend`, a request whose connection was closed before an answer began
is sent once more on a new connection, which is what every client library does with a keep-alive connection.
"""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import msgspec

ROW: Final = b'{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}'


class Shot(msgspec.Struct, frozen=True):
    """One request: times are of the loop's clock; status 0 means that no answer came."""

    connection: int
    started: float
    ended: float
    status: int
    version: str = ""
    arm: str = ""
    prediction_id: str = ""
    fault: str = ""


class Plan(msgspec.Struct, frozen=True):
    """What to send: `rate` requests a second for `seconds`, over `connections`.

    With `bodies` each request takes the next of them, round and round, instead of `body`.
    """

    url: str
    path: str
    body: bytes = ROW
    rate: float = 500.0
    seconds: float = 3.0
    connections: int = 16
    resend: bool = False
    bodies: tuple[bytes, ...] = ()


class Load:
    """One run of a plan; `shots` grows while it runs."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.shots: list[Shot] = []
        parts = urlsplit(plan.url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        head = f"POST {plan.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        self._requests = itertools.cycle(
            [
                f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
                for body in plan.bodies or (plan.body,)
            ]
        )
        self._due: Iterator[float] = iter(())
        self.stopped = False

    def stop(self) -> None:
        """Send nothing that is not yet begun."""
        self.stopped = True

    async def run(self) -> list[Shot]:
        """Send everything; the shots in the order they ended."""
        plan = self.plan
        began = asyncio.get_running_loop().time()
        steps = range(round(plan.rate * plan.seconds))
        self._due = (began + step / plan.rate for step in steps)
        await asyncio.gather(*(self._drive(number) for number in range(plan.connections)))
        return self.shots

    async def _drive(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        wire: Wire | None = None
        for due in self._due:
            if self.stopped:
                break
            wait = due - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            wire = await self._shoot(number, wire)
        if wire is not None:
            wire.close()

    async def _shoot(self, number: int, wire: "Wire | None") -> "Wire | None":
        """One request; the connection to use next."""
        loop = asyncio.get_running_loop()
        request = next(self._requests)
        started = loop.time()
        for attempt in itertools.count():
            try:
                if wire is None:
                    wire = await Wire.open(self._host, self._port)
                head = await wire.ask(request)
            except (OSError, asyncio.IncompleteReadError) as error:
                untouched = wire is not None and not wire.answering
                if wire is not None:
                    wire.close()
                wire = None
                if self.plan.resend and untouched and attempt == 0:
                    continue
                self.shots.append(Shot(number, started, loop.time(), 0, fault=type(error).__name__))
                return None
            break
        self.shots.append(
            Shot(
                number,
                started,
                loop.time(),
                head.status,
                version=head.headers.get(b"x-model-version", ""),
                arm=head.headers.get(b"x-driftgate-arm", ""),
                prediction_id=head.headers.get(b"x-prediction-id", ""),
            )
        )
        if wire is not None and head.headers.get(b"connection", "") == "close":
            wire.close()
            wire = None
        return wire


class Head(msgspec.Struct, frozen=True):
    """An answer's status and headers (names in lower case)."""

    status: int
    headers: dict[bytes, str]


class Wire:
    """One connection; `answering` says that an answer had begun when it broke."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.answering = False

    @classmethod
    async def open(cls, host: str, port: int) -> "Wire":
        """Connect; OSError when nobody listens."""
        return cls(*await asyncio.open_connection(host, port))

    async def ask(self, request: bytes) -> Head:
        """Send a request and read its whole answer."""
        self.answering = False
        self._writer.write(request)
        text = await self._reader.readuntil(b"\r\n\r\n")
        self.answering = True
        first, *lines = text.split(b"\r\n")[:-2]
        headers = {}
        for line in lines:
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip().decode("latin-1")
        await self._reader.readexactly(int(headers.get(b"content-length", "0")))
        return Head(int(first.split()[1]), headers)

    def close(self) -> None:
        """Let the connection go."""
        self._writer.transport.abort()
