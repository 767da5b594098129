"""The measure of all ratios: what a good engineer writes by hand in an afternoon.

A bare ASGI app on uvicorn (uvloop, httptools), msgspec for JSON, one onnxruntime session run in the event
loop. No routing, no validation, no log, no metrics. Started as `python -m loadtests.bench.naive MODEL PORT`.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort
import uvicorn

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Tensor(msgspec.Struct, omit_defaults=True):
    """One OIP tensor."""

    name: str
    shape: list[int]
    datatype: str = "FP32"
    data: list[float] | None = None
    parameters: dict[str, Any] | None = None


class Body(msgspec.Struct, omit_defaults=True):
    """One OIP request."""

    inputs: list[Tensor]
    parameters: dict[str, Any] | None = None


def build(path: str) -> Callable[[dict[str, Any], Receive, Send], Awaitable[None]]:
    """The ASGI app that serves the graph at `path`."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    kinds = {"tensor(float)": "FP32", "tensor(int64)": "INT64"}
    datatypes = [kinds[output.type] for output in session.get_outputs()]
    decode = msgspec.json.Decoder(Body).decode
    encode = msgspec.json.Encoder().encode

    def answer(arrays: list[Any], *, binary: bool) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        outputs: list[dict[str, Any]] = []
        blobs = []
        for name, datatype, array in zip(names, datatypes, arrays, strict=True):
            entry: dict[str, Any] = {"name": name, "shape": array.shape, "datatype": datatype}
            if binary:
                blobs.append(array.tobytes())
                entry["parameters"] = {"binary_data_size": len(blobs[-1])}
            else:
                entry["data"] = array.ravel().tolist()
            outputs.append(entry)
        head = encode({"model_name": "naive", "outputs": outputs})
        if not binary:
            return head, [(b"content-type", b"application/json")]
        return b"".join((head, *blobs)), [
            (b"content-type", b"application/octet-stream"),
            (b"inference-header-content-length", str(len(head)).encode()),
        ]

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = b""
        more = True
        while more:
            event = await receive()
            body += event.get("body", b"")
            more = event.get("more_body", False)
        if scope["method"] == "GET":
            payload, headers = b"{}", [(b"content-type", b"application/json")]
        else:
            size = dict(scope["headers"]).get(b"inference-header-content-length")
            request = decode(body if size is None else body[: int(size)])
            tensor = request.inputs[0]
            if size is None:
                array = np.array(tensor.data, np.float32).reshape(tensor.shape)
            else:
                array = np.frombuffer(body, np.float32, offset=int(size)).reshape(tensor.shape)
            payload, headers = answer(session.run(names, {"X": array}), binary=size is not None)
        headers.append((b"content-length", str(len(payload)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": payload})

    return app


if __name__ == "__main__":
    uvicorn.run(
        build(sys.argv[1]),
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="error",
        access_log=False,
    )
