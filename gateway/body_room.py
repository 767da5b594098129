"""The memory that large bodies may take together, in one worker: those of requests, and those of answers.

Rules: each body is bounded by itself (`requests.max_body_bytes`), and all that are here together by this,
until they are answered. What has come counts, not what was announced: a client that announces much and sends
nothing takes nothing from the others. One that would find no room now is refused before it is read, for a
client can ask again, and a worker out of memory answers nobody. What is small is not counted: there is no
more of that than connections. Messages of gRPC, of which a connection has many, are counted by
`gateway.grpc_port.incoming`.

Answers have a room of their own (`requests.unread_answers`), from the run that made them until they have gone
to their clients, who may take their time. One that finds none beside others is refused before it is written
and recorded; those of gRPC that are small, of which a connection has many, are counted by
`gateway.grpc_port.backlog`.
"""

from typing import Final

from gateway.errors import OverloadedError
from gateway.run_settings import RequestSettings

PARTS: Final = 8
"""Of the room for answers that clients do not read, a connection of gRPC has one of so many."""


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


class AnswerRoom:
    """Room for the large answers of one worker; owned by its loop."""

    def __init__(self, settings: RequestSettings) -> None:
        """Room for as much as the settings say; `most` is what one connection of gRPC may have."""
        self.limit = settings.unread_answers
        self.most = self.limit // PARTS
        self.small = settings.inline_body_bytes
        self.held = 0

    def share(self, size: int = 0) -> "AnswerShare":
        """A share of it for `size` bytes; OverloadedError where they have no room beside others."""
        if self.held and size and self.held + size > self.limit:
            raise OverloadedError(
                f"an answer of {size} bytes has no room now: of the {self.limit} bytes for large answers "
                f"{self.held} are taken by those that their clients have not read; try again in a moment, "
                "or ask for less at a time"
            )
        made = AnswerShare(self)
        made.hold(size)
        return made


class AnswerShare:
    """What an answer has of the room; given back, too, when nobody has the share any more.

    For an answer may be dropped wherever its client leaves.
    """

    __slots__ = ("_room", "size")

    def __init__(self, room: AnswerRoom) -> None:
        self._room = room
        self.size = 0

    def hold(self, size: int) -> None:
        """Let it be of so many bytes, which are there, whether or not there is room."""
        self._room.held += size - self.size
        self.size = size

    def __del__(self) -> None:
        """Give it back."""
        self.hold(0)
