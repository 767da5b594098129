"""The settings in force as they are told: setting -> its value as plain data, and where that came from.

    {"workers": {"value": 2, "source": "flag --workers"}, …}

Rules: secrets are covered, so it may be told to whoever may read the operator API. A program is given it by
whoever started it (`driftgate up`, `serve`, `monitor`), for it does not know where its values came from. Of a
program that answers each port is the one it has, also where any free one was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from driftgate import settings
from driftgate.written import shown
from gateway.settings import GatewaySettings
from groundwork.settings import Loaded, Setting, fields, value_of

InForce = Mapping[str, Any]


def in_force(
    loaded: Loaded[msgspec.Struct],
    known: Iterable[Setting] | None = None,
    sized: GatewaySettings | None = None,
) -> InForce:
    """These settings (None: all); the gateway's as it runs by them, where they are given `sized`."""
    value = loaded.value
    if sized is not None:
        value = msgspec.structs.replace(
            value, **{name: getattr(sized, name) for name in sized.__struct_fields__}
        )
    return {
        setting.name: {"value": shown(value_of(value, setting.name)), "source": loaded.sources[setting.name]}
        for setting in (settings.all_settings() if known is None else known)
    }


def port_of(place: str) -> int | None:
    """The port in a URL or a "host:port"; None where it names none."""
    return urlsplit(place if "//" in place else f"//{place}").port


def bound(told: InForce, **places: str | None) -> InForce:
    """The same with the ports that are really listened on: http="http://127.0.0.1:40123", grpc=None."""
    ports = {f"{name}.port": port_of(place) for name, place in places.items() if place is not None}
    return {name: {**one, "value": ports.get(name, one["value"])} for name, one in told.items()}


def of_gateway() -> list[Setting]:
    """The settings that a gateway alone goes by."""
    return fields(GatewaySettings)


def of_monitor() -> list[Setting]:
    """The settings that a monitor alone goes by: its own, and those that both programs have."""
    return [
        setting
        for setting in settings.all_settings()
        if setting.name.partition(".")[0] in settings.SHARED | {settings.MONITOR}
    ]
