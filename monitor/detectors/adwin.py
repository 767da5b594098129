"""river's ADWIN beside the error stream: it advises, it never alarms.

ADWIN compares a stream with its own past, so it finds when errors rose even without a reference; but nothing
bounds how often it speaks over months, so its share of the budget is 0 and its word only stands beside an
incident. Its evidence is nominal: ln(1 / delta) for `_ECHO` rows after a detection of a rise, none otherwise.

ADWIN cannot be stored (its window lives in compiled code). The adapter therefore starts a new one every
`_EPOCH` rows, primed with the end of the old one's window; its state is the bits fed since, at most 8 kB. The
first row after a restore feeds them again, at most 50 000, about 10 ms; before it no ADWIN is made, for river
loads slowly (`monitor.river_parts`).
"""

import math
from collections.abc import Mapping
from typing import Any, Final, Self

import msgspec
import numpy as np

from groundwork import decoders
from monitor.blocks import Block, Mark
from monitor.detectors.detector import Effect, Feed
from monitor.errors import DetectorStateError
from monitor.river_parts import adwin
from monitor.settings import DetectionSettings
from registry_client.profile import Profile

SIGNAL: Final = "error-change"
_DELTA: Final = 0.002
_EPOCH: Final = 50_000
_CARRIED: Final = 1_000
_ECHO: Final = 1_000


class _Saved(msgspec.Struct, frozen=True, array_like=True, tag="adwin-1"):
    """The epoch's inputs, packed eight to a byte, and what was found."""

    length: int
    bits: bytes
    quiet: int
    before: float
    after: float
    rows: int
    onset: Mark


class AdwinDetector:
    """Advice that a version errs more than it used to."""

    feed: Feed = "errors"
    share = 0.0

    def __init__(self) -> None:
        self.weights: Mapping[str, float] = {SIGNAL: 1.0}
        self._adwin: Any = None
        self._bits = bytearray()
        self._quiet = _ECHO
        self._before = 0.0
        self._after = 0.0
        self._rows = 0
        self._onset = Mark()

    @classmethod
    def build(cls, profile: Profile | None, settings: DetectionSettings) -> Self | None:
        """A detector for any version: it needs no reference and takes no setting."""
        del profile, settings
        return cls()

    def update(self, block: Block) -> Mapping[str, float]:
        """Take in labelled rows (one column, 1 = wrong); ln(1 / delta) while a rise is recent."""
        for bit in (block.rows.numeric[:, 0] > 0.5).tolist():  # noqa: PLR2004  a truth value as a number
            self._feed(bit, block)
        return {SIGNAL: -math.log(_DELTA) if self._quiet < _ECHO else -math.inf}

    def _feed(self, bit: bool, block: Block) -> None:  # noqa: FBT001  one bit of the stream
        if self._adwin is None:
            self._adwin = _fed(self._bits)
        if len(self._bits) >= _EPOCH:
            self._start_epoch()
        before = self._adwin.estimation
        self._bits.append(bit)
        self._adwin.update(float(bit))
        self._quiet = min(_ECHO, self._quiet + 1)
        if self._adwin.drift_detected and self._adwin.estimation > before:
            self._quiet, self._before, self._after = 0, before, self._adwin.estimation
            self._rows = int(self._adwin.width)
            self._onset = Mark(
                max(0, block.end.rows - self._rows), block.end.time, block.end.segment, block.end.row
            )

    def _start_epoch(self) -> None:
        """A new ADWIN that has seen the end of the old one's window."""
        self._bits = self._bits[-min(_CARRIED, max(1, int(self._adwin.width))) :]
        self._adwin = _fed(self._bits)

    def effect(self, signal: str) -> Effect:
        """The rise that was found last."""
        return Effect(
            size=max(0.0, self._after - self._before),
            event=signal,
            before=self._before,
            after=self._after,
            rows=self._rows,
            onset=self._onset,
        )

    def state(self) -> bytes:
        """The epoch's inputs and what was found."""
        packed = np.packbits(np.frombuffer(bytes(self._bits), np.uint8)).tobytes()
        return msgspec.msgpack.encode(
            _Saved(len(self._bits), packed, self._quiet, self._before, self._after, self._rows, self._onset)
        )

    def restore(self, state: bytes) -> None:
        """Take the epoch's inputs, for a new ADWIN."""
        try:
            saved = decoders.msgpack_of(_Saved).decode(state)
        except msgspec.DecodeError as error:
            raise DetectorStateError(
                f"an ADWIN's inputs cannot be read ({error}); it starts afresh"
            ) from None
        bits = np.unpackbits(np.frombuffer(saved.bits, np.uint8), count=saved.length)
        self._adwin, self._bits = None, bytearray(bits.tobytes())
        self._quiet, self._before, self._after = saved.quiet, saved.before, saved.after
        self._rows, self._onset = saved.rows, saved.onset


def _fed(bits: bytearray) -> Any:
    """A new ADWIN that has seen these."""
    made = adwin(_DELTA)
    for bit in bits:
        made.update(float(bit))
    return made
