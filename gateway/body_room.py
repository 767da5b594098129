"""The memory that large request bodies may take together, in one worker.

Rules: each body is bounded by itself (`requests.max_body_bytes`), and all that are here together by this,
until they are answered. What has come counts, not what was announced: a client that announces much and sends
nothing takes nothing from the others. One that would find no room now is refused before it is read, for a
client can ask again, and a worker out of memory answers nobody. What is small is not counted: there is no
more of that than connections. Messages of gRPC, of which a connection has many, are counted by
`gateway.grpc_port.incoming`.
"""

from gateway.errors import OverloadedError
from gateway.run_settings import RequestSettings


class BodyRoom:
    """Room for the large bodies of one worker; owned by its loop."""

    def __init__(self, settings: RequestSettings) -> None:
        """Room for as much as the settings say; a body that is read on the loop takes none."""
        self.limit = settings.large_bodies * settings.max_body_bytes
        self.small = settings.inline_body_bytes
        self.held = 0

    def share(self) -> "BodyShare":
        """A share of it, for one request."""
        return BodyShare(self)


class BodyShare:
    """What one request has of the room; given back when it has ended, whether it took any or not."""

    __slots__ = ("_room", "size")

    def __init__(self, room: BodyRoom) -> None:
        self._room = room
        self.size = 0

    def expect(self, size: int) -> None:
        """OverloadedError where a body of so many bytes has no room now; takes none."""
        if size > self._room.small:
            self._check(size)

    def reach(self, size: int) -> None:
        """Let the share be of so many bytes, if it is smaller; OverloadedError where there is no room."""
        if size > self._room.small:
            self.take(size)

    def take(self, size: int) -> None:
        """As `reach`, of what is small too."""
        if size > self.size:
            self._check(size)
            self._room.held += size - self.size
            self.size = size

    def give_back(self) -> None:
        """The request has ended."""
        self._room.held -= self.size
        self.size = 0

    def _check(self, size: int) -> None:
        room = self._room
        if room.held - self.size + size > room.limit:
            raise OverloadedError(
                f"a body of {size} bytes has no room now: of the {room.limit} bytes for large bodies "
                f"{room.held} are taken; try again in a moment, or send less at a time"
            )
