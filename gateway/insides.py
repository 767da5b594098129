"""The insides of uvicorn that `gateway.fast` and `gateway.late` touch, as they were when these were written.

They are names and parameters of its HTTP protocol, and the state of a connection that has received nothing. A
release that moves them is found out here, before a request is; what they do is judged by the tests of the
edges, which run against whichever release is installed.
"""

import asyncio
import inspect
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

_PROTOCOL: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "__init__": ("self", "config", "server_state", "app_state", "_loop"),
        "data_received": ("self", "data"),
        "on_message_begin": ("self",),
        "on_url": ("self", "url"),
        "on_header": ("self", "name", "value"),
        "on_headers_complete": ("self",),
        "on_body": ("self", "body"),
        "on_message_complete": ("self",),
        "on_response_complete": ("self",),
        "shutdown": ("self",),
        "timeout_keep_alive_handler": ("self",),
        "_unset_keepalive_if_required": ("self",),
        "_start_asgi_task": ("self", "cycle", "app"),
    }
)
_CYCLE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "__init__": (
            "self", "scope", "transport", "flow", "logger", "access_logger", "access_log", "default_headers",
            "message_event", "expect_100_continue", "keep_alive", "on_response",
        ),
        "run_asgi": ("self", "app"),
        "send": ("self", "message"),
    }
)  # fmt: skip
_FLOW: Final = ("pause_reading", "resume_reading", "pause_writing", "resume_writing")
_OK: Final = 200
_ABSENT: Final = object()
# Of a connection that was just made: what is read of its state, and what that is then.
_FRESH: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "cycle": None, "client": None, "flow": None, "headers": None, "transport": None,
        "timeout_keep_alive_task": None, "expect_100_continue": False, "pipeline": deque(),
    }
)  # fmt: skip


def mismatch(app: Any) -> str | None:
    """The first thing that is not what `gateway.fast` was written against; None when all is.

    `app` is any ASGI application; a protocol is made for it, on the running loop, and thrown away.
    """
    protocol, cycle = httptools_impl.HttpToolsProtocol, httptools_impl.RequestResponseCycle
    for name, wanted in _PROTOCOL.items():
        if _parameters(protocol, name) != wanted:
            return f"HttpToolsProtocol.{name}"
    for name, wanted in _CYCLE.items():
        if _parameters(cycle, name) != wanted:
            return f"RequestResponseCycle.{name}"
    for name in _FLOW:
        if not callable(getattr(FlowControl, name, None)):
            return f"FlowControl.{name}"
    if httptools_impl.STATUS_LINE.get(_OK) != b"HTTP/1.1 200 OK\r\n":
        return "STATUS_LINE"
    return _strange_state(protocol, app)


def _strange_state(protocol: Any, app: Any) -> str | None:
    """What of a connection that has received nothing is not as it was."""
    config = Config(app, interface="asgi3", ws="none", lifespan="off", log_config=None, access_log=False)
    state = ServerState()
    fresh = protocol(config, state, {}, asyncio.get_running_loop())
    for name, value in _FRESH.items():
        if getattr(fresh, name, _ABSENT) != value:
            return f"HttpToolsProtocol().{name}"
    if state.default_headers or state.total_requests or state.connections or state.tasks:
        return "ServerState()"
    return None


def _parameters(owner: Any, name: str) -> tuple[str, ...] | None:
    function = getattr(owner, name, None)
    return None if function is None else tuple(inspect.signature(function).parameters)
