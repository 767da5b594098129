"""The interface of a rollouts store, as far as the verbs need it; `rollouts.store` is the one there is."""

from typing import Protocol

from rollouts.history import Entry
from rollouts.rollout import Rollout
from rollouts.route import Route


class Store(Protocol):
    """What verbs need of a store: read, and one compare-and-swap write that keeps history."""

    def route(self, model: str) -> Route | None:
        """Return a model's route, or None."""
        ...

    def active(self, model: str) -> Rollout | None:
        """Return the model's live rollout, or None."""
        ...

    def edit(
        self, model: str, expected_revision: int, route: Route, entry: Entry, rollout: Rollout | None = None
    ) -> Route:
        """Write route, rollout and history together, or raise ConflictError and write nothing."""
        ...
