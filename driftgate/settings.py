"""Every setting of the product in one struct: the gateway's at the top level, the monitor's under `monitor`.

Rules: this file adds no setting; it joins those of the two programs and shares `data`, `models`, `keys`,
`limits`, `messages` and `traces` between them, so that a new setting of either needs no line here. One YAML
file, `DRIFTGATE_…` variables and flags set them, in rising order; below all of them stands what a platform
says (`gateway.platforms`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_type_hints

import msgspec

from driftgate.variables import CLIENT_VARIABLES
from gateway import platforms
from gateway.named_models import strangers
from gateway.settings import GatewaySettings
from gateway.settings import checked as checked_gateway
from groundwork import settings as groundwork_settings
from groundwork.errors import SettingsError
from groundwork.setting import convert
from groundwork.settings import Loaded, Setting
from monitor.settings import MonitorSettings, checked
from monitor.signing import secrets_of
from registry_client.backends import open_lasting, open_registry
from registry_client.errors import RegistryError

MONITOR: Final = "monitor"
SHARED: Final = frozenset({"data", "models", "keys", "limits", "messages", "traces"})


def _fields(
    kind: type[msgspec.Struct], *, without: frozenset[str] = frozenset()
) -> list[tuple[str, Any, Any]]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        (field.name, hints[field.name], field.default)
        for field in msgspec.structs.fields(kind)
        if field.name not in without
    ]


_MonitorSection: Final = msgspec.defstruct(
    "MonitorSection",
    _fields(MonitorSettings, without=SHARED),
    frozen=True,
    forbid_unknown_fields=True,
)
SETTINGS: Final[type[msgspec.Struct]] = msgspec.defstruct(
    "Settings",
    [*_fields(GatewaySettings), (MONITOR, _MonitorSection, _MonitorSection())],
    frozen=True,
    forbid_unknown_fields=True,
)


def load(
    file: Path | None,
    flags: Mapping[str, object],
    environ: Mapping[str, str] = os.environ,
) -> Loaded[msgspec.Struct]:
    """The settings in force and where each came from; SettingsError when one cannot be honoured."""
    loaded = read(file, flags, environ)
    gateway_settings(loaded.value)
    monitor_settings(loaded.value)
    return loaded


def keys_file(file: Path | None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The setting `keys.file`, though that file may still have to be made."""
    value: Any = read(file, {}, environ).value
    return Path(value.keys.file) if value.keys.file else None


def read(
    file: Path | None,
    flags: Mapping[str, object],
    environ: Mapping[str, str] = os.environ,
) -> Loaded[msgspec.Struct]:
    """As `load`, but nobody has looked yet whether the files that are named can be used."""
    loaded = groundwork_settings.load(
        SETTINGS, file=file, environ=environ, flags=flags, reserved=CLIENT_VARIABLES
    )
    return _on_platform(loaded, environ)


def _on_platform(loaded: Loaded[msgspec.Struct], environ: Mapping[str, str]) -> Loaded[msgspec.Struct]:
    """The same, with what the platform says where nobody else has said anything."""
    value, sources = loaded.value, dict(loaded.sources)
    known = {setting.name: setting for setting in all_settings()}
    for told in platforms.told(environ):
        if sources[told.setting] == "default":
            source = f"variable {told.variable}"
            section, name = told.setting.split(".")
            found = convert(known[told.setting], told.value, source, is_text=True)
            changed = msgspec.structs.replace(getattr(value, section), **{name: found})
            value = msgspec.structs.replace(value, **{section: changed})
            sources[told.setting] = source
    return Loaded(value, sources)


def parts_of(value: msgspec.Struct) -> tuple[GatewaySettings, MonitorSettings]:
    """The gateway's part and the monitor's, as they are."""
    gateway = {name: getattr(value, name) for name in GatewaySettings.__struct_fields__}
    section: Any = getattr(value, MONITOR)
    own = {name: getattr(section, name) for name in section.__struct_fields__}
    shared = {name: getattr(value, name) for name in SHARED}
    return GatewaySettings(**gateway), MonitorSettings(**shared, **own)


def gateway_settings(value: msgspec.Struct) -> GatewaySettings:
    """The gateway's part, checked."""
    return checked_gateway(parts_of(value)[0])


def monitor_settings(value: msgspec.Struct) -> MonitorSettings:
    """The monitor's part, checked."""
    return checked(parts_of(value)[1])


def check_together(value: msgspec.Struct) -> None:
    """Raise for what only a start would find.

    SettingsError for ports that clash, RegistryError for a registry of a kind that is not known, WebhookError
    for secrets that are not there.
    """
    gateway, monitor = gateway_settings(value), monitor_settings(value)
    ports = {
        "monitor.port": monitor.port,
        "http.port": gateway.http.port,
        "operator.port": gateway.operator.port,
    }
    if gateway.grpc.port is not None and gateway.grpc.enabled:
        ports["grpc.port"] = gateway.grpc.port
    taken: dict[int, str] = {}
    for name, port in ports.items():
        if port and port in taken:
            raise SettingsError(f"{name} is {port}, and so is {taken[port]}; give each a port of its own")
        taken[port] = name
    open_lasting(gateway.models)
    for webhook in monitor.webhooks:
        secrets_of(webhook)


def doubts(value: msgspec.Struct) -> list[str]:
    """What can be honoured and is probably not meant: models that are named and are not in the registry.

    Nothing where the registry cannot be read: a check may run elsewhere.
    """
    gateway = gateway_settings(value)
    with contextlib.suppress(RegistryError, OSError):
        return [str(found) for found in strangers(gateway, open_registry(gateway.models).models())]
    return []


def all_settings() -> list[Setting]:
    """Every setting, in the order of the reference page."""
    return groundwork_settings.fields(SETTINGS)
