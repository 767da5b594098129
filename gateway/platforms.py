"""What platforms tell a container in its environment, as settings.

    AIP_HTTP_PORT, SAGEMAKER_BIND_TO_PORT   http.port, and http.host becomes every address
    AIP_HEALTH_ROUTE                        platform.vertex_health
    AIP_PREDICT_ROUTE                       platform.vertex_predict

Rules: these are defaults; a settings file, a DRIFTGATE_ variable or a flag that says otherwise stands. Azure
ML tells its container no routes: they are settings on both sides.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104  a container is called from outside
_PORTS: Final = ("AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT")
_ROUTES: Final[Mapping[str, str]] = MappingProxyType(
    {"AIP_HEALTH_ROUTE": "platform.vertex_health", "AIP_PREDICT_ROUTE": "platform.vertex_predict"}
)


class Told(msgspec.Struct, frozen=True):
    """One setting that a platform decides, as text, and the variable it is from."""

    setting: str
    value: str
    variable: str


def told(environ: Mapping[str, str]) -> Iterator[Told]:
    """What this environment says; each setting at most once."""
    for variable in _PORTS:
        if environ.get(variable):
            yield Told("http.port", environ[variable], variable)
            yield Told("http.host", EVERY_ADDRESS, variable)
            break
    for variable, setting in _ROUTES.items():
        if environ.get(variable):
            yield Told(setting, environ[variable], variable)
