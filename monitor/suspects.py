"""Which frame of a round it is that fails it, and when to go on without that frame.

A round is all or nothing: what one frame raises fails it whole, and fails it again after every start.

1. What the store, the disk, the registry or the memory fails at is no frame's, and leaves none out.
2. After any other failure the frames of the round are read one at a time.
3. A frame that failed TRIES times by itself is left out.
4. Where IN_A_ROW were left out and none was taken in between, it is not the frames: none is any more, nor
   after a restart.
5. Where KNOWN frames in a row of one origin were left out, and others' were taken in meanwhile, it is the
   origin: its frames are read one at a time from then on, tried once, and count for nothing in 4. The first
   of them that is taken in clears it, and so does a restart.

It reads no log and feeds no pipeline.
"""

import contextlib
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from prediction_log.frame import decode
from prediction_log.transport import START, Offset

TRIES: Final = 3
IN_A_ROW: Final = 8
"""What fails more frames than these, one after another, is not to be found in them."""
KNOWN: Final = 3

Verdict = Literal["again", "leave out", "go on", "end"]
Frames: TypeAlias = Sequence[tuple[Offset, bytes]]


class Origin(msgspec.Struct, frozen=True):
    """Whose frames these are: a kind of rows of one version, whichever worker writes them."""

    kind: int
    model: str
    version: str


class Streak(msgspec.Struct, frozen=True):
    """Frames of one origin that were left out in a row; whether another's was taken in since the first."""

    frames: int = 0
    alone: bool = False

    @property
    def is_known(self) -> bool:
        """Whether it is the origin that fails."""
        return self.alone and self.frames >= KNOWN


class Suspects:
    """What is remembered of failures, by one process."""

    def __init__(self) -> None:
        self._until = START
        self._tried = (START, 0)
        self._streaks: dict[Origin | None, Streak] = {}

    def alone(self, offset: Offset) -> bool:
        """Whether the frame after this offset is to be read by itself."""
        return offset < self._until

    def parts(self, frames: Frames) -> list[Frames]:
        """The frames in order, in parts that are to be fed one after another: each suspect by itself."""
        if not any(streak.is_known for streak in self._streaks.values()):
            return [frames] if frames else []
        parts: list[list[tuple[Offset, bytes]]] = []
        begun = False
        for frame in frames:
            suspect = self.streak(frame[1]).is_known
            if begun and not suspect:
                parts[-1].append(frame)
            else:
                parts.append([frame])
            begun = not suspect
        return [*parts]

    def streak(self, content: bytes) -> Streak:
        """What was left out of this frame's origin since one was taken in."""
        return self._streaks.get(origin(content), Streak())

    def clear(self) -> None:
        """Forget where to be careful: the log goes on somewhere else."""
        self._until = START
        self._tried = (START, 0)

    def taken(self, frames: Frames) -> None:
        """These were taken in: their origins are cleared, and the others stand alone with their failures."""
        if not self._streaks:
            return
        good = {found for _, content in frames if (found := origin(content)) is not None}
        self._streaks = {
            found: msgspec.structs.replace(streak, alone=streak.alone or bool(good))
            for found, streak in self._streaks.items()
            if found not in good
        }

    def failed(self, frames: Frames, left_out: int) -> Verdict:
        """What to do after these failed their round, by themselves.

        `left_out` were left out since the last that was taken in, those to "go on" without aside. A frame for
        which this is not "again" or "end" counts as left out from now on.
        """
        last, content = frames[-1]
        self._until = max(self._until, last)
        if len(frames) > 1:
            return "again"
        offset, tries = self._tried
        self._tried = (last, tries + 1 if offset == last else 1)
        streak = self.streak(content)
        if not streak.is_known and self._tried[1] < TRIES:
            return "again"
        if not streak.is_known and left_out >= IN_A_ROW:
            return "end"
        self._streaks[origin(content)] = msgspec.structs.replace(streak, frames=streak.frames + 1)
        return "go on" if streak.is_known else "leave out"


def origin(content: bytes) -> Origin | None:
    """Whose frame it is; None where that cannot be told."""
    with contextlib.suppress(Exception):  # what fails a round here is to be left out in the end
        frame = decode(content)
        return Origin(frame.kind, frame.schema.model, frame.schema.version)
    return None
