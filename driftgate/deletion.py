"""Deleting predictions from a data folder, whether or not a gateway is running over it.

Rules: what is still in a slot is waited for, because a running gateway brings it into the log within moments;
over a folder that no gateway holds, we bring it there ourselves, under the folder's lock. Where pairs are
recorded, those of what was just answered are waited for as well: a shadow runs behind the answer.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from driftgate.errors import CommandError
from groundwork.boot import boot_id
from groundwork.clock import Clock
from groundwork.errors import LockedError
from groundwork.files import FolderLock
from groundwork.slot_readings import read_slots
from prediction_log import deletion, spooling
from prediction_log.deletion import Deleted, Request
from prediction_log.ids import PredictionIds, load_key
from prediction_log.recovery import take_over
from prediction_log.segment_sink import SegmentSink

PATIENCE_SECONDS: Final = 15.0
POLL_SECONDS: Final = 0.05
SHADOW_SECONDS: Final = 2.0
"""A shadow that follows the log has seldom taken a quarter of it to record the pair of an answer."""


def delete(
    data: Path,
    request: Request,
    clock: Clock,
    *,
    patience: float = PATIENCE_SECONDS,
    rest: Callable[[float], object] = lambda seconds: threading.Event().wait(seconds),
) -> Deleted:
    """Do what is asked, over rows in slots and in the log alike.

    CommandError where there is no log, or where rows stay in a slot for more than `patience` seconds; raises
    what `prediction_log.deletion.delete` raises.
    """
    if not (data / "log").exists() or not (data / "id.key").exists():
        raise CommandError(f"{data}: wanted a data folder with a prediction log, found none; see --data")
    sink = SegmentSink(data / "log", clock=clock)
    try:
        with _held(data) as is_ours:
            if is_ours:
                for slot in read_slots(data / "slots"):
                    if not slot.alive:
                        take_over(slot, sink, boot_id(), clock)
            _catch_up(data, clock, patience)
            if not is_ours and spooling.has_pairs(data / "slots"):
                rest(SHADOW_SECONDS)
                _catch_up(data, clock, patience)
            return deletion.delete(data / "log", request, PredictionIds(load_key(data)), sink, clock)
    finally:
        sink.close()


@contextlib.contextmanager
def _held(data: Path) -> Iterator[bool]:
    """Hold the folder where no gateway does; whether we do."""
    try:
        lock = FolderLock.acquire(data)
    except LockedError:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _catch_up(data: Path, clock: Clock, patience: float) -> None:
    """Wait until what is in the slots now is in the log."""
    ends = spooling.standing(data / "slots")
    deadline = clock.monotonic() + patience
    while ends := spooling.behind(data / "log", ends):
        if clock.monotonic() >= deadline:
            raise CommandError(
                f"{data}: rows of {len(ends)} streams are not in the log after {patience:g} s, so nothing "
                "was deleted; see why the gateway does not write them, and give the command again"
            )
        threading.Event().wait(POLL_SECONDS)
