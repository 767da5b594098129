"""What tests ask of a gateway's workers while these come and go."""

from typing import Any

import httpx

from tests.facts import until
from tests.system.load import Shot
from tests.system.rig import Gateway

PATH = "/v2/models/m/infer"


def failures(shots: list[Shot]) -> list[Shot]:
    """Every request without a good answer."""
    return [shot for shot in shots if shot.status != 200]


async def post(url: str, **more: Any) -> httpx.Response:
    """One POST on a connection of its own."""
    async with httpx.AsyncClient(trust_env=False, timeout=60.0) as client:
        return await client.post(url, **more)


async def until_back(gateway: Gateway, before: set[int], *, all_new: bool = False) -> None:
    """Wait until two workers answer that are not these incarnations, or not any of these."""

    def back() -> bool:
        now = incarnations(gateway)
        new = not now & before if all_new else now != before
        return new and gateway.shown("driftgate_workers_answering") == 2

    await until(back, "both workers answer again", seconds=60.0)


def incarnations(gateway: Gateway) -> set[int]:
    """Who lives now."""
    return {slot.incarnation for slot in gateway.workers()}
