"""Which version answers a request: an immutable table of lanes, and one pure function over a 64-bit draw.

A draw's upper 32 bits choose the arm, its lower 32 bits whether a shadow runs, so the two choices are
independent. Thresholds are whole numbers of 2**32, as in the route document: weight w sends exactly the
draws below w to the candidate, so raising a weight never takes a sticky client off the candidate.

It reads no clock, holds no state and knows no wire format.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from gateway.model import LoadedModel
from groundwork.errors import DriftgateError
from prediction_log.record import Arm
from rollouts.route import Route, bucket

_MASK: Final = (1 << 64) - 1
_LOW: Final = (1 << 32) - 1
_HEADER_KEY: Final = "header:"


class RoutingError(DriftgateError):
    """A route that names a version which is not loaded, so that no table can be built from it."""

    code = "unroutable"


class Lane(msgspec.Struct, frozen=True, gc=False):
    """How one model is answered now.

    `weight` and `shadow_share` are thresholds of 2**32; `key_header` is the lower-case header that makes
    assignment sticky (None: each request on its own); `salt` parts the draws of different rollouts.
    """

    route: Route
    stable: LoadedModel
    candidate: LoadedModel | None = None
    shadow: LoadedModel | None = None
    versions: Mapping[str, LoadedModel] = MappingProxyType({})
    weight: int = 0
    shadow_share: int = 0
    key_header: bytes | None = None
    salt: int = 0


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """Who answers, as which arm, and who runs beside it (None: nobody)."""

    model: LoadedModel
    arm: Arm
    shadow: LoadedModel | None = None


Table = Mapping[str, Lane]
"""Model name to lane; replaced as a whole, never changed."""


def lane_of(route: Route, loaded: Mapping[tuple[str, str], LoadedModel]) -> Lane:
    """The lane of one route; RoutingError names the first version that is not loaded."""
    versions = {version: model for (name, version), model in loaded.items() if name == route.model}

    def need(version: str) -> LoadedModel:
        if version not in versions:
            raise RoutingError(
                f"route {route.model} revision {route.revision} names version {version}, which is not loaded "
                f"(loaded: {', '.join(sorted(versions)) or 'none'}): load it first"
            )
        return versions[version]

    candidate = None if route.candidate is None else need(route.candidate)
    shadow = None if route.shadow is None else need(route.shadow)
    return Lane(
        route=route,
        stable=need(route.stable),
        candidate=candidate,
        shadow=shadow,
        versions=MappingProxyType(versions),
        weight=route.weight if candidate is not None else 0,
        shadow_share=route.shadow_share if shadow is not None else 0,
        key_header=header_key(route.key),
        salt=bucket(route.salt, b""),
    )


def header_key(key: str) -> bytes | None:
    """The header named by a route's `key` ("header:User-Id" → b"user-id"), None for "request"."""
    return key.removeprefix(_HEADER_KEY).lower().encode() if key.startswith(_HEADER_KEY) else None


def draw_for_key(lane: Lane, key: bytes, number: int) -> int:
    """The draw of a sticky key: the arm by its bucket, alike in all workers; the shadow by request."""
    return bucket(lane.route.salt, key) << 32 | (draw_for_request(lane, number) & _LOW)


def draw_for_request(lane: Lane, number: int) -> int:
    """The 64-bit draw of the worker's `number`-th request: splitmix64 (Steele, Lea, Flood 2014)."""
    mixed = (number * 0x9E3779B97F4A7C15 + lane.salt) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return mixed ^ (mixed >> 31)


def assign(lane: Lane, draw: int) -> Assignment:
    """Who answers a request with this draw.

    A request answered by the candidate is paired with the stable version, one answered by the stable
    version with the lane's shadow.
    """
    shadowed = (draw & _LOW) < lane.shadow_share
    if lane.candidate is not None and (draw >> 32) < lane.weight:
        return Assignment(lane.candidate, Arm.CANDIDATE, lane.stable if shadowed else None)
    return Assignment(lane.stable, Arm.STABLE, lane.shadow if shadowed else None)
