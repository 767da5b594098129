"""stub"""
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from gateway.journal import Journal
from gateway.model import LoadedModel
from gateway.responses import Response
from gateway.routing import Table
from gateway.settings import GatewaySettings
from groundwork.clock import Clock
from groundwork.counters import Counters

OnDemand = Callable[[str, str], Awaitable[LoadedModel]]
"""Load (model, version) for a request that pins it; raises as Fleet.load does."""

class Core:
    table: Table
    ready: bool
    def __init__(self, table: Table, journal: Journal, counters: Counters, settings: GatewaySettings, clock: Clock, *, on_demand: OnDemand) -> None: ...
