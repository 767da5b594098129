"""Which settings a running gateway can take up, and which want a restart. Pure.

A reload is total, because workers are replaced: whatever a worker reads when it starts can be changed. What
the supervisor itself holds for as long as it lives cannot: the data folder, the registry, the sockets and
what they speak, the number of workers, the size of segments. One such difference refuses the whole reload,
by name.
"""

from typing import Final

import msgspec

from gateway.settings import GatewaySettings
from groundwork.errors import DriftgateError
from groundwork.settings import differences, value_of

HELD: Final = frozenset({"data", "models", "workers", "log.segment_bytes", "grpc.enabled"})
_HELD_ENDS: Final = (".port", ".host")
_SCHEME_END: Final = ".tls.cert"


class RestartError(DriftgateError):
    """Settings that were changed and want a restart; nothing was changed."""

    code = "needs-restart"


def check_reload(old: GatewaySettings, new: GatewaySettings) -> list[str]:
    """The names of the settings that a reload would change; RestartError names those that it cannot."""
    changed = differences(old, new)
    held = [name for name in changed if _is_held(name, old, new)]
    if held:
        raise RestartError(restart_needed(held))
    return changed


def restart_needed(names: list[str]) -> str:
    """The sentence about settings that cannot be reloaded."""
    return f"settings {', '.join(names)} need a restart; nothing was changed"


def _is_held(name: str, old: GatewaySettings, new: GatewaySettings) -> bool:
    if name.endswith(_SCHEME_END):
        # A renewed certificate is taken up; whether there is one decides what the port's URL says.
        return bool(value_of(old, name)) != bool(value_of(new, name))
    return name in HELD or name.endswith(_HELD_ENDS)


def with_ports_of(new: GatewaySettings, given: GatewaySettings, current: GatewaySettings) -> GatewaySettings:
    """The new settings with the ports that are open, where the new ones ask for what was given before.

    `given` may say 0, any free port, where `current` names the one that was found.
    """
    replace = msgspec.structs.replace
    kept = {
        name: replace(section, port=getattr(current, name).port)
        for name in ("http", "operator", "grpc")
        if (section := getattr(new, name)).port == getattr(given, name).port
    }
    return replace(new, **kept)
