"""A worker's own seat in the table of places: what it shows there of itself, and how it compares with others.

It writes its own row and no other, and reads those of its neighbours.
"""

from collections.abc import Callable

from gateway.places import Places, Stage


class Seat:
    """One worker's; used on its loop. `monotonic` gives seconds."""

    def __init__(self, places: Places, place: int, monotonic: Callable[[], float]) -> None:
        self._places = places
        self._place = place
        self._monotonic = monotonic

    def beat(self) -> None:
        """Show that the loop turns."""
        self._places.beat(self._place, self._monotonic())

    def reach(self, stage: Stage) -> None:
        """Show how far this worker has come."""
        self._places.reach(self._place, stage)

    def serve(self, requests: int) -> None:
        """Show how many requests this worker has answered."""
        self._places.serve(self._place, requests)

    def hold(self, connections: int) -> None:
        """Show how many connections of HTTP this worker holds."""
        self._places.hold(self._place, connections)

    def call(self, connections: int) -> None:
        """Show how many connections of gRPC this worker holds."""
        self._places.call(self._place, connections)

    def holds_more(self, connections: int) -> bool:
        """Whether a neighbour that is ready holds fewer connections of HTTP than these."""
        least = self._places.least(self._place, self._monotonic())
        return least is not None and connections > least

    def called_more(self, connections: int) -> bool:
        """Whether a neighbour that is ready holds fewer connections of gRPC than these."""
        least = self._places.least_called(self._place, self._monotonic())
        return least is not None and connections > least
