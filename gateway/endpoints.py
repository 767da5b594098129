"""stub"""
from collections.abc import Callable
from typing import Any
from gateway.core import Core

def build_asgi(core: Core, exposition: Callable[[], bytes]) -> Any:
    """The ASGI application of the data port; `exposition` renders /metrics and is called in a thread."""
