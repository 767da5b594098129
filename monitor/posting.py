"""One post to a receiver: its status and the start of what it says, or why there is none.

Rules: no redirect is followed, no proxy of the environment is used, and at most 4 kB of an answer are read. A
receiver's certificate is trusted as this system trusts, which knows a company's own authority.
Loaded with the first delivery, for httpx brings a command line of its own: a tenth of a second of a start.
"""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final

import httpx

from monitor.retries import Response, printable

_READ: Final = 4_096
_SHOWN: Final = 400
TIMEOUT: Final = httpx.Timeout(15.0, connect=5.0)


class Poster:
    """The connections to all receivers; used on one event loop."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = httpx.AsyncClient(
            timeout=TIMEOUT, follow_redirects=False, trust_env=False, transport=transport, verify=_trusted()
        )

    async def close(self) -> None:
        """Give back connections."""
        await self._client.aclose()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """What the receiver said; status 0 where it said nothing in time."""
        try:
            async with (
                asyncio.timeout(TIMEOUT.read),
                self._client.stream("POST", url, content=body, headers=dict(headers)) as response,
            ):
                said = await _start_of(response)
                return Response(response.status_code, said, response.headers.get("retry-after", ""))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            return Response(0, printable(f"{type(error).__name__}: {error}")[:_SHOWN])


def _trusted() -> ssl.SSLContext:
    """Who may sign a receiver's certificate: whom certifi names, and whom the system (SSL_CERT_FILE) does."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


async def _start_of(response: httpx.Response) -> str:
    """The first bytes of an answer, as one printable line."""
    content = b""
    async for piece in response.aiter_raw(_READ):
        content += piece
        if len(content) >= _READ:
            break
    return printable(content[:_SHOWN].decode("utf-8", errors="replace"))
