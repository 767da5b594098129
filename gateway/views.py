"""What the operator API answers with, besides `rollouts.status.Status` and the moments of history."""

from typing import Any

import msgspec

from rollouts.status import Status
from rollouts.timeline import Moment


class Done(msgspec.Struct, frozen=True):
    """What came of an acting verb: what stands now, and which workers had not applied it when we answered.

    `revision` is the route's new one; `seconds` is from the arrival of the request to the answer. `advice` is
    about what was done as it was asked for and is probably not meant.
    """

    model: str
    verb: str
    revision: int
    applied: bool
    lagging: list[str]
    seconds: float
    status: Status
    advice: tuple[str, ...] = ()


class RunView(msgspec.Struct, frozen=True):
    """How a version is run in the worker that was asked, and what that follows from.

    `mode` is inline (on the event loop), batched (requests run together, off it) or queued (one by one, off
    it); `batch_rows` the most rows of a joined run. Seconds as measured when it was loaded: a run of one row,
    a row of a run of `batch_rows`, a hand-off to a thread and back. `agreement`: whether joined rows come out
    as alone (exact, close, differs, alike, unknown, untried), `deviation` by how much of the largest value
    not. `opening_seconds`: processor time to open the graph; `copied`: from its optimised copy.
    """

    mode: str
    batch_rows: int
    run_seconds: float
    row_seconds: float
    handoff_seconds: float
    agreement: str
    deviation: float
    reason: str
    opening_seconds: float = 0.0
    copied: bool = False


class ModelView(msgspec.Struct, frozen=True):
    """A model: what the registry has, what answers, and what went wrong.

    `loaded` says in how many workers each version is in memory; `faults` why a version (or, under an empty
    name, the model itself) is not served here; `unloaded` that it was taken out and answers nobody; `runs`
    how the versions that this worker has in memory are run; `options` what onnxruntime is told for the model.
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
    runs: dict[str, RunView] = {}
    options: dict[str, Any] = {}


class Models(msgspec.Struct, frozen=True):
    """Every model; `faults` are those of no single model: a registry that cannot be read, a stray folder."""

    models: list[ModelView]
    faults: list[str] = []


class History(msgspec.Struct, frozen=True):
    """History rows after a sequence number, and the number to ask for the following ones with."""

    history: tuple[Moment, ...]
    after: int
