"""`python -m loadtests.bench.stages [ROWS] [binary]`: where a request's microseconds go, in one process.

Each stage is timed in a tight loop over many short windows, of which the quickest counts: a busy machine
makes windows slow and none quick. Caches are warm, so in a server each stage costs more; compare stages, and
the same stage before and after a change.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from uvicorn.config import Config

from gateway.call import Call
from gateway.fast import connections
from gateway.port import PortState
from gateway.protocols.codec import JSON_LENGTH, Answer
from gateway.protocols.open_inference import CODEC
from gateway.responses import JSON, Response
from gateway.shortcut import wire
from groundwork.clock import SystemClock
from groundwork.logs import Log
from groundwork.ports import LimitSettings
from prediction_log.segment_sink import SegmentSink
from tests.gateway.worlds import World, world

WINDOWS: Final = 150
PATH: Final = b"/v2/models/m/infer"


class Nowhere:
    """A transport that forgets what is written to it."""

    def write(self, data: bytes) -> None:
        """Forget."""

    def is_closing(self) -> bool:
        """Never."""
        return False

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        """Nothing is known of the other side."""
        return default


def quickest(stage: Callable[[], object], times: int, between: Callable[[], object]) -> float:
    """Microseconds of one `stage`, in the quickest of WINDOWS windows of `times`."""
    best = float("inf")
    for _ in range(WINDOWS):
        between()
        began = time.perf_counter_ns()
        for _ in range(times):
            stage()
        best = min(best, time.perf_counter_ns() - began)
    return best / times / 1e3


def drain(here: World) -> list[bytes]:
    """Take every row there is, as the flusher does."""
    frames = []
    for file in here.journal.files():
        file.swap()
        if (frame := file.take()) is not None:
            frames.append(frame)
            file.release()
    return frames


def asked(rows: int, *, binary: bool) -> tuple[dict[bytes, bytes], bytes]:
    """Headers and body of a request of so many rows."""
    values = np.random.default_rng(7).standard_normal((rows, 30)).astype(np.float32)
    tensor: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [rows, 30]}
    if not binary:
        tensor["data"] = [round(float(value), 4) for value in values.ravel()]
        return {}, msgspec.json.encode({"inputs": [tensor]})
    tensor["parameters"] = {"binary_data_size": values.nbytes}
    head = msgspec.json.encode({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    return {JSON_LENGTH: b"%d" % len(head)}, head + values.tobytes()


def measure(here: World, rows: int, *, binary: bool) -> dict[str, float]:
    """Every stage of a request of so many rows, in µs."""
    times = 300 if rows == 1 else 20
    headers, body = asked(rows, binary=binary)
    told = b"".join(b"%b: %b\r\n" % header for header in headers.items())
    head = b"POST %b HTTP/1.1\r\nHost: test\r\n%bContent-Length: %d\r\n\r\n" % (PATH, told, len(body))
    core, model = here.core, here.core.lanes.table["m"].stable
    request = CODEC.decode(model, headers, body)
    outputs = model.session.run(request.feeds)
    answer = Answer(model, "stable", "0" * 32, outputs)
    config = Config(here.port, interface="asgi3", ws="none", lifespan="off", log_config=None)
    config.load()
    connection = connections(here.port, Log(here.lines, here.clock))(
        config=config,
        server_state=PortState(lambda: None, time.time),
        app_state={},
        limits=LimitSettings(),
        count=lambda _reason: None,
    )
    whole = head + body
    connection.connection_made(Nowhere())  # type: ignore[arg-type]
    response = core.begin(Call(CODEC, "m", None, headers, body))
    assert isinstance(response, Response)
    stages: dict[str, Callable[[], object]] = {
        "whole, from bytes to bytes": lambda: connection.data_received(whole),
        "  core": lambda: core.begin(Call(CODEC, "m", None, headers, body)),
        "    decode": lambda: CODEC.decode(model, headers, body),
        "    run": lambda: model.session.run(request.feeds),
        "    identify": lambda: core.journal.identify(model),
        "    encode": lambda: CODEC.encode(request, answer),
        "  answer's bytes": lambda: wire(response, JSON),
    }
    return {name: quickest(stage, times, lambda: drain(here)) for name, stage in stages.items()}


def flush(here: World, folder: Path, rows: int) -> float:
    """µs of processor time that the log's thread takes per request, at 1000 rows or more a flush."""
    values = np.zeros((rows, 30), np.float32).tolist()
    tensor = {"name": "x", "datatype": "FP32", "shape": [rows, 30], "data": values}
    body = msgspec.json.encode({"inputs": [tensor]})
    sink, requests, best = SegmentSink(folder / "log"), max(10, 1000 // rows), float("inf")
    for _ in range(20):
        for _ in range(requests):
            here.core.begin(Call(CODEC, "m", None, {}, body))
        began = time.thread_time_ns()
        sink.write(drain(here))
        best = min(best, time.thread_time_ns() - began)
    sink.close()
    return best / requests / 1e3


async def main(rows: int, *, binary: bool) -> None:
    """Print the stages of a request of `rows` rows, as JSON or in binary."""
    with tempfile.TemporaryDirectory(prefix="driftgate-stages-") as folder:
        async with world(Path(folder)) as here:
            here.core.clock = SystemClock()
            how = "in binary" if binary else "as JSON"
            print(f"{rows} × 30 {how}, logistic regression; µs, quickest of {WINDOWS} windows")
            for name, micros in measure(here, rows, binary=binary).items():
                print(f"{name:<28}{micros:>9.2f}")
            print(f"{'flush, in its own thread':<28}{flush(here, Path(folder), rows):>9.2f}")


if __name__ == "__main__":
    words = sys.argv[1:]
    asyncio.run(main(next((int(word) for word in words if word.isdigit()), 1), binary="binary" in words))
