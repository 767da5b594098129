"""Endpoints that protocols have and that are not offered here: 501 says so, where 404 would say less.

None of them is in the OpenAPI document, for nothing can be asked of them.
"""

from typing import Final, NoReturn

from gateway.errors import NotOfferedError
from gateway.pages.page import Exchange, Page


async def _absent(_: Exchange) -> NoReturn:
    raise NotOfferedError("this endpoint is not offered here; docs/protocols.md lists those that are")


ABSENT: Final = Page({"GET": _absent, "POST": _absent})
