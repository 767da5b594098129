"""What is recorded of predictions, and how long the log is kept: sections of the gateway's settings."""

from typing import Annotated, Literal, TypeAlias

import msgspec

from groundwork.errors import SettingsError
from groundwork.quantities import GIB, MIB, Bytes, Seconds, Share
from prediction_log.transport import FRAME_BYTES

DAY = 86_400.0

Treatment: TypeAlias = Literal["keep", "hash", "drop"]


class JournalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the prediction log is kept in memory between two flushes."""

    buffer_bytes: Annotated[
        Bytes, msgspec.Meta(description="each of the two buffers of a version's predictions")
    ] = 4 * MIB
    side_buffer_bytes: Annotated[
        Bytes, msgspec.Meta(description="each of the two buffers of rejects, labels and shadow pairs")
    ] = 1 * MIB
    max_row_bytes: Annotated[
        Bytes, msgspec.Meta(description="inputs above this per row are not recorded, and counted")
    ] = 64 * 1024
    sampling: Annotated[
        dict[str, Share],
        msgspec.Meta(
            description="model (`*`: every other) to the share of its requests whose rows are recorded, 0 "
            "to 1; errors, candidates and shadowed requests are recorded whatever the draw"
        ),
    ] = {}
    max_rate: Annotated[
        Bytes,
        msgspec.Meta(
            description="bytes a second that the predictions of a worker write; of versions that would "
            "write more an even sample is recorded, of all others everything; 0: no limit"
        ),
    ] = 32 * MIB
    columns: Annotated[
        dict[str, dict[str, Treatment]],
        msgspec.Meta(
            description="model (`*`: every model) to its inputs and outputs that are not recorded as they "
            "are: `hash` (texts, by a key of the data folder) or `drop`; `keep` takes one out of `*`"
        ),
    ] = {}
    durability: Annotated[
        Literal["buffered", "sync"],
        msgspec.Meta(
            description="when a prediction is answered: `buffered` when its row is in the slot, which "
            "survives the process; `sync` when it is in the log and on the disk, which survives a power cut"
        ),
    ] = "buffered"


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The prediction log on disk."""

    segment_bytes: Annotated[
        Bytes,
        msgspec.Meta(
            description="a segment that reaches this is sealed; the log is dropped by whole segments"
        ),
    ] = 256 * MIB
    max_bytes: Annotated[
        Bytes, msgspec.Meta(description="above this the oldest segments are dropped, and that is recorded")
    ] = 8 * GIB
    max_age: Annotated[
        Seconds,
        msgspec.Meta(
            description="a segment whose newest row is older is dropped; 0: never. Rows leave at most an "
            "eighth later"
        ),
    ] = 30 * DAY
    min_free_bytes: Annotated[
        Bytes, msgspec.Meta(description="with less free disk than this the oldest segments are dropped")
    ] = GIB
    reserve_bytes: Annotated[
        Bytes,
        msgspec.Meta(
            description="with less free disk than this nothing is logged: rows wait in their slot, are then "
            "lost, and counted; at most `log.min_free_bytes`"
        ),
    ] = 64 * MIB


def check_journal(journal: JournalSettings) -> None:
    """SettingsError where a buffer could not be written to the log when it is full."""
    for name in ("buffer_bytes", "side_buffer_bytes"):
        size = getattr(journal, name)
        if size > FRAME_BYTES:
            raise SettingsError(
                f"journal.{name} is {size}, wanted {FRAME_BYTES} at most: no segment holds a larger frame"
            )


def check_log(log: LogSettings) -> None:
    """SettingsError where the limits of the log contradict one another."""
    if log.max_bytes < 2 * log.segment_bytes:
        raise SettingsError(
            f"log.max_bytes is {log.max_bytes}, wanted 2 * log.segment_bytes ({log.segment_bytes}) or more: "
            "the segment that is written to is never dropped"
        )
    if log.reserve_bytes > log.min_free_bytes:
        raise SettingsError(
            f"log.reserve_bytes is {log.reserve_bytes}, wanted log.min_free_bytes ({log.min_free_bytes}) at "
            "most: otherwise logging would stop before anything is dropped"
        )
