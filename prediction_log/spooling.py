"""Whether what was in the slots at one moment is in the log by now.

Whoever wants to act on rows that were just answered (delete them, say) notes where the row files stand and
waits until the segments have caught up. It reads the heads of row files that belong to others, and changes
nothing.
"""

from pathlib import Path
from typing import Final, TypeAlias

from prediction_log import layout
from prediction_log import segment_file as files
from prediction_log.layout import HEAD, Head
from prediction_log.record import Kind
from prediction_log.rows import SUFFIX

Ends: TypeAlias = dict[tuple[int, int], int]
"""For each (incarnation, stream), the sequence number before which all must be in the log."""

_HALVES: Final = 2


def standing(slots_folder: Path) -> Ends:
    """Where every stream with rows in a slot stands now; microseconds per row file."""
    ends: Ends = {}
    for path in slots_folder.glob(f"*/*{SUFFIX}"):
        for head in heads(path):
            if head.rows or head.skipped:
                stream = (head.incarnation, head.stream)
                ends[stream] = max(ends.get(stream, 0), head.end)
    return ends


def has_pairs(slots_folder: Path) -> bool:
    """Whether any worker records shadow pairs, or has since it began."""
    return any(head.kind == Kind.PAIR for path in slots_folder.glob(f"*/*{SUFFIX}") for head in heads(path))


def behind(log_folder: Path, ends: Ends) -> Ends:
    """Those of `ends` that the log has not reached yet."""
    number = files.active_number(log_folder)
    if number is None:
        return dict(ends)
    connection = files.open_segment(log_folder, number, readonly=True)
    try:
        return {
            stream: end
            for stream, end in ends.items()
            if (files.last_sequence(connection, *stream) or 0) < end
        }
    finally:
        connection.close()


def heads(path: Path) -> list[Head]:
    """The heads of both halves of a row file; none where it has gone or is none."""
    try:
        with path.open("rb", buffering=0) as file:
            half = file.seek(0, 2) // _HALVES
            found = []
            for start in (0, half):
                file.seek(start)
                found.append(file.read(HEAD.size))
    except FileNotFoundError:
        return []
    unpacked = (Head._make(HEAD.unpack(head)) for head in found if len(head) == HEAD.size)
    return [head for head in unpacked if head.magic == layout.MAGIC]
