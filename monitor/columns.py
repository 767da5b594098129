"""A frame's inputs as the columns of a reference profile: numbers, category codes, and what is not there.

Rules, the same by which profiles are built: a number that is not finite, and a text that is empty, is
missing. A column the frame does not hold, and a value that was withheld, hashed or deleted, is not counted at
all – neither as a value nor as missing. A hash cannot be compared with the values of a profile, which is made
where the folder's key is not.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from groundwork.elements import element_names
from monitor.blocks import MISSING, PRESENT, WITHHELD, Codes, Flags, Floats, Rows
from prediction_log.frame import Frame, Strings
from prediction_log.record import Schema, Validity
from registry_client.profile import CategoricalColumn, NumericColumn, Profile, category_text

_VALIDITY: Final = np.array([PRESENT, MISSING, WITHHELD, WITHHELD], np.uint8)
"""Our flag for each Validity; a number from a later version of the log is withheld."""


def unwatched(schema: Schema) -> dict[str, str]:
    """The inputs whose values the log does not hold as they were, by element name, and why."""
    reasons = {}
    for column in schema.values:
        if column.role == "input" and (column.withheld or column.hashed):
            why = (
                "withheld by policy" if column.withheld else "hashed by policy; the reference profile is not"
            )
            reasons.update(dict.fromkeys(element_names(column.origin, column.shape), why))
    return reasons


class Layout:
    """Which columns of a profile are where in the arrays of `Rows`; immutable."""

    def __init__(self, profile: Profile) -> None:
        self.numeric: tuple[NumericColumn, ...] = tuple(
            column for column in profile.columns if isinstance(column, NumericColumn)
        )
        self.categorical: tuple[CategoricalColumn, ...] = tuple(
            column for column in profile.columns if isinstance(column, CategoricalColumn)
        )
        self._numeric = {column.name: index for index, column in enumerate(self.numeric)}
        self._codes = {column.name: index for index, column in enumerate(self.categorical)}
        self._categories: tuple[Mapping[str, int], ...] = tuple(
            {category: code for code, category in enumerate(column.categories)} for column in self.categorical
        )

    def rows(self, frame: Frame, chosen: npt.NDArray[np.intp]) -> Rows:
        """The chosen rows of a frame; about 1 µs per column and frame, and 0.1 µs per text value."""
        width = len(self.numeric) + len(self.categorical)
        rows = Rows(
            np.zeros((len(chosen), len(self.numeric))),
            np.zeros((len(chosen), len(self.categorical)), np.int32),
            np.full((len(chosen), width), WITHHELD, np.uint8),
            np.ascontiguousarray(frame.array("time")[chosen], np.int64),
        )
        for values, names, flags in _inputs(frame, chosen):
            if isinstance(values, Strings):
                self._fill_text(rows, values, chosen, names, flags)
            else:
                self._fill_numbers(rows, values, names, flags)
        return rows

    def _fill_numbers(self, rows: Rows, values: Floats, names: tuple[str, ...], flags: Flags) -> None:
        """One tensor of numbers, [rows, elements]; an element the profile does not know is left out."""
        known = [index for index, name in enumerate(names) if name in self._numeric]
        places = [self._numeric[names[index]] for index in known]
        if not known:
            return
        part = values[:, known]
        finite = np.isfinite(part)
        rows.numeric[:, places] = np.where(finite, part, 0.0)
        shown = np.where(finite | (flags != PRESENT)[:, None], flags[:, None], MISSING)
        rows.validity[:, places] = shown.astype(np.uint8)

    def _fill_text(
        self, rows: Rows, values: Strings, chosen: npt.NDArray[np.intp], names: tuple[str, ...], flags: Flags
    ) -> None:
        texts = values.tolist()
        for element, name in enumerate(names):
            place = self._codes.get(name)
            if place is None:
                continue
            codes, empty = _coded(texts, chosen * len(names) + element, self._categories[place])
            rows.codes[:, place] = codes
            shown = np.where(empty & (flags == PRESENT), MISSING, flags)
            rows.validity[:, len(self.numeric) + place] = shown


def _coded(
    texts: list[bytes], positions: npt.NDArray[np.intp], categories: Mapping[str, int]
) -> tuple[Codes, npt.NDArray[np.bool_]]:
    """Codes of the texts at these positions (their number when not listed), and which of them are empty."""
    unlisted = len(categories)
    found = [texts[position] for position in positions.tolist()]
    codes = np.array([categories.get(category_text(text), unlisted) for text in found], np.int32)
    return codes, np.array([not text for text in found], np.bool_)


def _inputs(
    frame: Frame, chosen: npt.NDArray[np.intp]
) -> Iterator[tuple[Floats | Strings, tuple[str, ...], Flags]]:
    """Each input that the frame holds: values, element names, and one flag per chosen row."""
    present = np.zeros(len(chosen), np.uint8)
    for index, column in enumerate(frame.schema.values):
        if column.role != "input" or column.name not in frame.columns or column.hashed:
            continue
        names = element_names(column.origin, column.shape)
        flags = present
        if frame.validity is not None and frame.validity.size:
            raw = np.minimum(frame.validity[chosen, index], Validity.DELETED)
            flags = _VALIDITY[raw]
        values = frame.columns[column.name]
        if isinstance(values, Strings):
            yield values, names, flags
        else:
            yield values[chosen].reshape(len(chosen), len(names)).astype(np.float64), names, flags
