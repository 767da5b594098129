"""The variables with our prefix that set no program: which API the command asks, and as whom."""

from __future__ import annotations

from typing import Final

from driftgate.credentials import VARIABLES

OPERATOR_VARIABLE: Final = "DRIFTGATE_OPERATOR_URL"
MONITOR_VARIABLE: Final = "DRIFTGATE_MONITOR_URL"
GATEWAY_VARIABLE: Final = "DRIFTGATE_GATEWAY_URL"
ACTOR_VARIABLE: Final = "DRIFTGATE_ACTOR"
CLIENT_VARIABLES: Final = (
    frozenset({OPERATOR_VARIABLE, MONITOR_VARIABLE, GATEWAY_VARIABLE, ACTOR_VARIABLE}) | VARIABLES
)
