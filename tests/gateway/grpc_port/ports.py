"""A world behind a gRPC port, asked over loopback with the messages of our own schema, or with any bytes."""

import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import grpc
import msgspec
import numpy as np
from grpc import aio

from gateway.endpoints import DataPort
from gateway.grpc_port import schema
from gateway.grpc_port.port import GrpcPort
from gateway.repository import Repository
from gateway.settings import GatewaySettings
from groundwork.allowance import Allowance
from groundwork.denials import Audit
from groundwork.gate import Gate, Keys
from groundwork.keys import KeyBook
from groundwork.logs import Log
from groundwork.ports import HTTP_2, Tls
from tests.gateway.worlds import ROW, World, world

_PROTOS: Final = Path(schema.__file__).parent
SERVICE: Final = schema.read(_PROTOS / "inference.proto")
HEALTH: Final = schema.read(_PROTOS / "health.proto")
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
CODES: Final = grpc.StatusCode
OPTIONS: Final = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # a connection for each channel
)


class Answered(msgspec.Struct, frozen=True):
    """What came of a call: its code, the sentence of a refusal, the message, the trailing metadata."""

    code: Any
    sentence: str
    message: Any
    metadata: Mapping[str, str]


class Client:
    """One channel to a gRPC port."""

    def __init__(self, address: str, credentials: Any = None) -> None:
        if credentials is None:
            self.channel = aio.insecure_channel(address, options=OPTIONS)
        else:
            self.channel = aio.secure_channel(address, credentials, options=OPTIONS)

    async def ask(
        self,
        name: str,
        message: Any = None,
        metadata: Mapping[str, str] = NOTHING,
        *,
        of: schema.Schema = SERVICE,
        **more: Any,
    ) -> Answered:
        """Call a method with a message, with bytes as they are, or with the fields of its message."""
        method = of.methods[name]
        body = message if isinstance(message, bytes) else method.asked(**(message or {})).SerializeToString()
        stub = self.channel.unary_unary(
            f"/{of.service}/{name}", response_deserializer=method.answered.FromString
        )
        call = stub(body, metadata=tuple(metadata.items()), **more)
        try:
            found = await call
        except aio.AioRpcError as error:
            return Answered(error.code(), error.details() or "", None, dict(error.trailing_metadata() or ()))
        return Answered(CODES.OK, "", found, dict(await call.trailing_metadata()))

    async def infer(
        self, message: Any = None, metadata: Mapping[str, str] = NOTHING, **more: Any
    ) -> Answered:
        """ModelInfer; one good row, where nothing is given."""
        return await self.ask("ModelInfer", raw() if message is None else message, metadata, **more)


class Served:
    """A world, its gRPC port, and a client of it."""

    def __init__(self, here: World, book: KeyBook | None, repository: Repository | None) -> None:
        self.world = here
        keys = Keys(Allowance.private(), here.clock)
        if book is not None:
            keys.use(book)
        log = Log(here.lines, here.clock)
        self.denied: list[str] = []
        audit = Audit(log, lambda reason, _scope: self.denied.append(reason), here.clock)
        gate = Gate(keys, audit)
        port = DataPort(here.core, lambda: b"", log, gate, slots_folder=here.slots, repository=repository)
        settings = here.core.settings.grpc
        self.place = socket.create_server((settings.host, 0))
        self.address = "{}:{}".format(*self.place.getsockname())
        here.slots.mkdir(exist_ok=True)
        tls = Tls("grpc.tls", settings.tls, log, HTTP_2)
        self.refused: list[str] = []
        self.room = port.room
        self.port = GrpcPort(
            self.place,
            here.slots,
            port.premises,
            gate,
            log,
            room=self.room,
            tls=tls,
            refused=self.refused.append,
        )
        self.client = Client(self.address)

    async def close(self) -> None:
        """End the client, then the port."""
        await self.client.channel.close()
        await self.port.close(linger=0.1, limit=1.0)
        self.place.close()


@contextlib.asynccontextmanager
async def served(
    folder: Path,
    settings: GatewaySettings | None = None,
    book: KeyBook | None = None,
    repository: Repository | None = None,
) -> AsyncIterator[Served]:
    """An open port of its own world."""
    async with world(folder, settings) as here:
        made = Served(here, book, repository)
        await made.port.open()
        try:
            yield made
        finally:
            await made.close()


def tensor(rows: Any = None, name: str = "x", datatype: str = "FP32", **more: Any) -> dict[str, Any]:
    """The head of an input for `logistic`; its shape is that of these rows."""
    shape = np.shape([ROW] if rows is None else rows)
    return {"name": name, "datatype": datatype, "shape": list(shape), **more}


def raw(rows: Any = None, **more: Any) -> dict[str, Any]:
    """A request for `logistic` in raw contents."""
    blob = np.array([ROW] if rows is None else rows, "<f4").tobytes()
    return {"model_name": "m", "inputs": [tensor(rows)], "raw_input_contents": [blob], **more}


def typed(rows: Any = None, **more: Any) -> dict[str, Any]:
    """The same in typed contents."""
    values = np.array([ROW] if rows is None else rows, "<f4").ravel().tolist()
    inputs = [tensor(rows, contents={"fp32_contents": values})]
    return {"model_name": "m", "inputs": inputs, **more}
