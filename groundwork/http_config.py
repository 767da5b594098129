"""How uvicorn is set up behind every port of ours, whatever makes its connections."""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.config import Config


def config_of(app: Callable[..., Any], http: Callable[..., asyncio.Protocol], **more: Any) -> Config:
    """Uvicorn's configuration of every port of ours, loaded: HTTP by `http`, and nothing of its own accord.

    No second log of requests, no belief in what proxies say, no header that names the server.
    """
    config = Config(
        app,
        interface="asgi3",
        http=http,  # type: ignore[arg-type]  # uvicorn calls it as it calls a class
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        **more,
    )
    config.load()
    return config
