"""What the operator API answers with, besides `rollouts.status.Status` and the moments of history."""

import msgspec

from rollouts.status import Status
from rollouts.timeline import Moment


class Done(msgspec.Struct, frozen=True):
    """What came of an acting verb: what stands now, and which workers had not applied it when we answered.

    `revision` is the route's new one; `seconds` is from the arrival of the request to the answer.
    """

    model: str
    verb: str
    revision: int
    applied: bool
    lagging: list[str]
    seconds: float
    status: Status


class ModelView(msgspec.Struct, frozen=True):
    """A model: what the registry has, what answers, and what went wrong.

    `loaded` says in how many workers each version is in memory; `faults` why a version (or, under an empty
    name, the model itself) is not served here; `unloaded` that it was taken out and answers nobody.
    """

    name: str
    versions: list[str]
    revision: int = 0
    stable: str | None = None
    candidate: str | None = None
    weight: str = "0"
    shadow: str | None = None
    previous: str | None = None
    rollout: str | None = None
    unloaded: bool = False
    loaded: dict[str, int] = {}
    faults: dict[str, str] = {}


class Models(msgspec.Struct, frozen=True):
    """Every model; `faults` are those of no single model, such as a registry that cannot be read."""

    models: list[ModelView]
    faults: list[str] = []


class History(msgspec.Struct, frozen=True):
    """History rows after a sequence number, and the number to ask for the following ones with."""

    history: tuple[Moment, ...]
    after: int
