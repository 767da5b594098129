"""grpc.health.v1."""

from collections.abc import AsyncIterator
from types import MappingProxyType

import pytest

from tests.gateway.grpc_port.ports import CODES, HEALTH, SERVICE, Served

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


async def watched(there: Served, service: str) -> AsyncIterator[int]:
    """What a watch says, until it ends."""
    method = HEALTH.methods["Watch"]
    stub = there.client.channel.unary_stream(
        f"/{HEALTH.service}/Watch", response_deserializer=method.answered.FromString
    )
    async for message in stub(method.asked(service=service).SerializeToString()):
        yield message.status


@pytest.mark.parametrize("service", ["", SERVICE.service, HEALTH.service, "m"])
async def test_a_check_follows_readiness(there: Served, service: str) -> None:
    """The port, its services and a model that answers are SERVING while the worker is ready."""
    there.world.core.ready = True
    assert (await there.client.ask("Check", {"service": service}, of=HEALTH)).message.status == SERVING
    there.world.core.ready = False
    assert (await there.client.ask("Check", {"service": service}, of=HEALTH)).message.status == NOT_SERVING


async def test_what_is_unknown_is_not_found(there: Served) -> None:
    """A service that is none is NOT_FOUND, bytes that are no message INVALID_ARGUMENT."""
    assert (await there.client.ask("Check", {"service": "n"}, of=HEALTH)).code is CODES.NOT_FOUND
    assert (await there.client.ask("Check", b"\xff", of=HEALTH)).code is CODES.INVALID_ARGUMENT


async def test_a_model_that_answers_nobody_is_not_serving(there: Served) -> None:
    """A model that is known and answers nobody is NOT_SERVING, as its readiness by HTTP is 503."""
    there.world.core.lanes.name({"unloaded"})
    found = await there.client.ask("Check", {"service": "unloaded"}, of=HEALTH)
    assert found.message.status == NOT_SERVING


async def test_a_list_names_services_and_no_model(there: Served) -> None:
    """Everybody may list; so what is listed is what the port is, not what it serves."""
    for ready, status in ((True, SERVING), (False, NOT_SERVING)):
        there.world.core.ready = ready
        found = (await there.client.ask("List", of=HEALTH)).message.statuses
        assert {name: one.status for name, one in found.items()} == dict.fromkeys(
            ("", SERVICE.service, HEALTH.service), status
        )


async def test_a_watch_tells_every_change_and_ends_with_the_port(there: Served) -> None:
    """A watch says how it is, says so again when that changes, and holds no stop up."""
    core = there.world.core
    told = watched(there, "m")
    assert await anext(told) == SERVING
    core.ready = False
    assert await anext(told) == NOT_SERVING
    core.ready = True
    assert await anext(told) == SERVING
    there.port._health.close()
    assert [status async for status in told] == []
    assert there.port._health._watches == 0


async def test_a_model_may_come_to_be_known(there: Served) -> None:
    """A watch of what is unknown says so, and SERVING once it answers."""
    told = watched(there, "later")
    assert await anext(told) == SERVICE_UNKNOWN
    lane = there.world.core.lanes.table["m"]
    there.world.core.lanes.table = MappingProxyType({**there.world.core.lanes.table, "later": lane})
    assert await anext(told) == SERVING
