"""The route: which versions of one model answer, and in which shares.

One immutable document per model. It changes only through the pure edits of `rollouts.edits`, each of which
makes exactly the next revision, and only by compare-and-swap in a store. Rules that hold for every route:

* `stable` is always set, so somebody always answers;
* a candidate is another version than stable, and without a candidate the weight is 0;
* shares are whole numbers of 2**32: 0 sends nobody, `FULL` sends everybody.

It does not know when to change (`rollouts.pilot`), where it is kept (`rollouts.store`) or how a request
without a key of its own is drawn (the gateway's routing).
"""

from decimal import Decimal
from fractions import Fraction
from hashlib import blake2b
from typing import Final, Literal

import msgspec

from groundwork.errors import SettingsError
from groundwork.quantities import parse_percent
from rollouts.errors import RouteError

FULL: Final = 2**32
"""The whole of the traffic; also the number of buckets."""

REQUEST_KEY: Final = "request"
UNLOADED: Final = "unloaded (nobody)"
"""What is said instead of the version that answers, of a model that is unloaded."""
_HEADER_KEY: Final = "header:"
_MOST_DECIMALS: Final = 12


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What should answer for one model.

    `weight` is the candidate's share and `shadow_share` the share of requests that are also run beside,
    both of `FULL`. A request that stable answers is paired with the version `shadow`; one that the
    candidate answers is paired with stable. `previous` is the version `undo` returns to and is kept warm.
    `rollout` and `step` name the rollout in progress (None and -1: none). `salt` goes into the hash that
    assigns requests; `key` says what is hashed: "request" (each on its own) or "header:NAME" (sticky).
    An `unloaded` route answers nobody until it is loaded again; what it names is kept.
    """

    model: str
    revision: int
    stable: str
    candidate: str | None = None
    weight: int = 0
    shadow: str | None = None
    shadow_share: int = 0
    previous: str | None = None
    rollout: str | None = None
    step: int = -1
    salt: str = ""
    key: str = REQUEST_KEY
    unloaded: bool = False

    def versions(self) -> tuple[str, ...]:
        """Return every version that must be ready or warm, stable first, without repeats."""
        named = (self.stable, self.candidate, self.shadow, self.previous)
        return tuple(dict.fromkeys(version for version in named if version is not None))


def check(route: Route, *, standing: int | None = None) -> Route:
    """Return the route when it is one that may stand; `standing` is the revision that it would follow.

    Raises:
        RouteError: It breaks a rule of this module.
    """
    complaint = _complaint(route)
    if complaint is not None:
        revision = route.revision if standing is None else standing
        raise RouteError(f"route of {route.model!r} at revision {revision}: {complaint}")
    return route


def _complaint(route: Route) -> str | None:
    for wrong, said in (
        (not route.model, "no model is named; name one"),
        (not route.stable, "no stable version is named, so nobody would answer; name one"),
        (route.revision < 1, "revisions count from 1; start from `first`"),
        (not 0 <= route.weight <= FULL, f"weight {route.weight} is not within 0..2**32"),
        (not 0 <= route.shadow_share <= FULL, f"shadow share {route.shadow_share} is not within 0..2**32"),
        (route.candidate is None and route.weight > 0, "it has a weight but no candidate; set weight 0"),
        (
            route.candidate == route.stable,
            f"candidate {route.candidate} is stable already; name another version",
        ),
        (route.shadow is None and route.shadow_share > 0, "it has a shadow share but no shadow version"),
        (route.shadow == route.stable, f"shadow {route.shadow} is stable already; name another version"),
        (
            route.unloaded and route.candidate is not None,
            f"candidate {route.candidate} is being rolled out; abort or promote it before unloading",
        ),
        (route.previous == route.stable, f"previous {route.previous} is stable already; leave previous out"),
    ):
        if wrong:
            return said
    return key_complaint(route.key)


def load_first(model: str) -> str:
    """Return what is said of an unloaded model where somebody wants it to answer."""
    return f"it is unloaded: load it first (POST /v2/repository/models/{model}/load)"


def key_complaint(key: str) -> str | None:
    """Return what is wrong with an assignment key, or None."""
    if key == REQUEST_KEY or (key.startswith(_HEADER_KEY) and len(key) > len(_HEADER_KEY)):
        return None
    return f"key {key!r} is unknown; write 'request' or 'header:NAME'"


def bucket(salt: str, key: bytes) -> int:
    """Return the place of a key, uniform over 0..FULL-1: four bytes of BLAKE2b keyed with the salt."""
    return int.from_bytes(blake2b(key, digest_size=4, key=salt.encode()[:64]).digest(), "little")


def arm(route: Route, place: int) -> Literal["stable", "candidate"]:
    """Return who answers a request whose draw fell on `place`, 0..FULL-1.

    Raising the weight only moves places to the candidate, so a sticky client never goes back and forth.
    """
    return "candidate" if place < route.weight else "stable"


def weight_from_percent(written: float | str) -> int:
    """Return the share of FULL nearest to a percentage; only 0 gives 0 and only 100 gives FULL.

    Raises:
        RouteError: It is not a number from 0 to 100.
    """
    text = format(Decimal(repr(written)), "f") if isinstance(written, float) else str(written)
    try:
        part = parse_percent(text)
    except SettingsError as error:
        raise RouteError(f"a share of the traffic: {error}") from None
    if part in {0, 1}:
        return FULL * int(part)
    return min(max(round(part * FULL), 1), FULL - 1)


def percent(weight: int) -> str:
    """Return the shortest decimal percentage that `weight_from_percent` turns into this very weight."""
    exact = Fraction(weight * 100, FULL)
    for digits in range(_MOST_DECIMALS):
        scaled = round(exact * 10**digits)
        text = f"{scaled // 10**digits}" + (f".{scaled % 10**digits:0{digits}d}" if digits else "")
        if weight_from_percent(text) == weight:
            return text
    return format(Decimal(weight) * 100 / FULL, "f")
