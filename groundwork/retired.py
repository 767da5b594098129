"""The document retired.json: what the slots counted that are no more, and whom that includes.

Rules: the document names its slots, so that a reader who also found the folder of one can leave that out; it
is replaced whole; only counters are kept, for a gauge is a fact about a living worker. Incarnations are kept
as ranges: numbers are given out in order, so that a long life is a short list.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from groundwork.files import write_atomic
from groundwork.series import SeriesKey
from groundwork.versioned import read_document

_FORMAT: Final = 1
_NAME: Final = "retired.json"


class RetiredSeries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One counter's sum over the retired slots."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: int


class Retired(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document retired.json: whom it includes (closed ranges, ascending) and their counters' sums."""

    format: int = _FORMAT
    included: tuple[tuple[int, int], ...] = ()
    series: tuple[RetiredSeries, ...] = ()

    def includes(self, incarnation: int) -> bool:
        """Whether this slot's counters are already in the sums."""
        return any(first <= incarnation <= last for first, last in self.included)

    def sums(self) -> dict[SeriesKey, int]:
        """Every counter's sum."""
        return {SeriesKey(series.name, series.labels): series.value for series in self.series}

    def with_slot(self, incarnation: int, found: Mapping[SeriesKey, int]) -> "Retired":
        """The next document: the same sums plus this slot's counters, the same ranges plus its number."""
        sums = self.sums()
        for key, value in found.items():
            if key.kind == "counter" and value:
                sums[key] = sums.get(key, 0) + value
        return Retired(
            included=join_ranges([*self.included, (incarnation, incarnation)]),
            series=tuple(RetiredSeries(key.name, key.labels, value) for key, value in sums.items()),
        )

    def gathered(self, stays: Callable[[SeriesKey], bool], into: Mapping[str, str]) -> "Retired":
        """The next document: the same sums, those of series that do not stay together, labelled by `into`."""
        sums: dict[SeriesKey, int] = {}
        for key, value in self.sums().items():
            labels = (
                key.labels if stays(key) else tuple((name, into.get(name, was)) for name, was in key.labels)
            )
            named = SeriesKey(key.name, labels)
            sums[named] = sums.get(named, 0) + value
        return Retired(
            included=self.included,
            series=tuple(RetiredSeries(key.name, key.labels, value) for key, value in sums.items()),
        )

    @property
    def highest(self) -> int:
        """The highest incarnation included, or 0."""
        return self.included[-1][1] if self.included else 0


def read_retired(slots_folder: Path) -> Retired:
    """The retired totals; an empty document where there is none yet; StoreError when it cannot be read."""
    try:
        return read_document(slots_folder / _NAME, Retired, what="retired totals")
    except FileNotFoundError:
        return Retired()


def write_retired(slots_folder: Path, retired: Retired) -> None:
    """Replace the document; two syncs. NoRoomError when the disk is full."""
    write_atomic(slots_folder / _NAME, msgspec.json.encode(retired))


def join_ranges(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The same numbers in as few ascending closed ranges as can be."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(joined)
