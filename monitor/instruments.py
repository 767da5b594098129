"""What measures one version's stream: its block builders and detectors, made anew or as they were stored.

Rules: a detector whose reference cannot be read now keeps its stored state until it can. One whose state
cannot be read begins anew, and says so. It weighs no evidence and judges nothing.
"""

import pkgutil
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, cast

import msgspec

from monitor.blocks import Block, BlockBuilder, Rows
from monitor.columns import Layout
from monitor.detectors.detector import DETECTORS, Detector
from monitor.errors import DetectorStateError
from monitor.settings import DetectionSettings
from registry_client.profile import Profile

_NS: Final = 1_000_000_000
_NOTHING: Final[Mapping[str, bytes]] = MappingProxyType({})


class Anew(msgspec.Struct, frozen=True):
    """What begins anew, and why; `detector` is empty where it is the rows of a block that was not full."""

    detector: str
    why: str


class Instruments:
    """Those of one version; `layout` is None until there is a profile."""

    def __init__(
        self,
        settings: DetectionSettings,
        blocks: Mapping[str, bytes] = _NOTHING,
        detectors: Mapping[str, bytes] = _NOTHING,
    ) -> None:
        """`blocks` (by feed) and `detectors` (by name) are what `states` gave; `attach` takes them up."""
        self.layout: Layout | None = None
        self._settings = settings
        self._kept_blocks = dict(blocks)
        self._kept = dict(detectors)
        self._builders: dict[str, BlockBuilder] = {}
        self._detectors: dict[str, Detector] = {}

    @property
    def detectors(self) -> Mapping[str, Detector]:
        """The detectors that are running, by name, in the order of their table."""
        return self._detectors

    def attach(self, profile: Profile | None) -> list[Anew]:
        """Build what can be built with this profile (or without one) and is not there yet."""
        detection, anew = self._settings, list[Anew]()
        if profile is not None and self.layout is None:
            self.layout = Layout(profile)
            numeric, codes = len(self.layout.numeric), len(self.layout.categorical)
            anew += self._build("inputs", numeric, codes, detection.block_rows)
        if "errors" not in self._builders:
            anew += self._build("errors", 1, 0, detection.label_block_rows)
        for name, place in DETECTORS.items():
            if name not in self._detectors:
                kind = cast("type[Detector]", pkgutil.resolve_name(place))
                anew += self._add(name, kind.build(profile, detection))
        self._detectors = {name: self._detectors[name] for name in DETECTORS if name in self._detectors}
        return anew

    def blocks(self, feed: str, rows: Rows, segment: int, row: int) -> Iterator[Block]:
        """The blocks of a feed that these rows, which end at this place of the log, make full."""
        builder = self._builders.get(feed)
        if builder is not None:
            yield from builder.feed(rows, segment, row)

    def update(self, feed: str, block: Block) -> dict[str, dict[str, float]]:
        """The evidence (ln, by detector and signal) of the detectors of a feed, after this block of it."""
        return {
            name: dict(detector.update(block))
            for name, detector in self._detectors.items()
            if detector.feed == feed
        }

    def states(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """What is to be stored: by feed, and by detector; what could not be taken up is still among it."""
        blocks = {feed: builder.state() for feed, builder in self._builders.items()}
        detectors = {name: detector.state() for name, detector in self._detectors.items()}
        return self._kept_blocks | blocks, self._kept | detectors

    def _build(self, feed: str, numeric: int, codes: int, size: int) -> list[Anew]:
        span = round(self._settings.block_seconds * _NS)
        builder = self._builders[feed] = BlockBuilder(numeric=numeric, codes=codes, size=size, span_ns=span)
        stored = self._kept_blocks.pop(feed, None)
        try:
            if stored is not None:
                builder.restore(stored)
        except DetectorStateError as error:
            return [Anew("", str(error))]
        return []

    def _add(self, name: str, detector: Detector | None) -> list[Anew]:
        if detector is None:
            return []
        self._detectors[name] = detector
        stored = self._kept.pop(name, None)
        try:
            if stored is not None:
                detector.restore(stored)
        except DetectorStateError as error:
            return [Anew(name, str(error))]
        return []
