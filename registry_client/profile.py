"""The reference profile: what a version saw in its reference data, as counts.

Rules: data only, JSON, no raw rows, no pickle; every number in it is finite. A value that is not finite
(numeric) or is empty (text) is *missing*; whoever counts live values against a profile counts them by the
same rule, for which ``category_text`` is here. It knows no model.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal

import msgspec

from groundwork import decoders
from groundwork.versioned import later_format, newer
from registry_client.errors import ProfileError
from registry_client.manifest import digest_of

FORMAT = 1
"""The newest format that is read, and the one that is written."""

EDGES = 64
"""Most edges of a numeric column's grid."""

CATEGORIES = 100
"""Most categories that a column names; rarer ones are counted together."""


class NumericColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="numeric", tag_field="kind"):
    """One numeric column on its frozen grid.

    Attributes:
        name: the column's name, by ``groundwork.elements``.
        n: rows with a finite value.
        missing: rows without one (missing, NaN or infinite).
        minimum: the least finite value; 0 when n is 0, as are the next three.
        maximum: the greatest.
        mean: the mean.
        m2: the sum of squared differences from the mean.
        edges: at most 64, strictly ascending; every distinct value where there are no more than 64.
        counts: one more than edges; count j is of the values v with edges[j-1] < v <= edges[j].
    """

    name: str
    n: int
    missing: int
    minimum: float
    maximum: float
    mean: float
    m2: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]


class CategoricalColumn(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="categorical", tag_field="kind"
):
    """One text column.

    Attributes:
        name: the column's name, by ``groundwork.elements``.
        n: rows with a value that is not empty.
        missing: rows without one.
        categories: the values that are named, most frequent first; at most 100.
        counts: rows of each.
        other: rows with a value that is not named.
        singletons: values seen exactly once (Good and Turing's N1).
    """

    name: str
    n: int
    missing: int
    categories: tuple[str, ...]
    counts: tuple[int, ...]
    other: int
    singletons: int


Column = NumericColumn | CategoricalColumn


class Risk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How wrong the version was on labelled reference rows.

    Attributes:
        n: rows with a label.
        errors: the sum of losses: the number of wrong classes for ``zero-one``, the sum of absolute
            differences for ``absolute``.
        loss: which of the two.
    """

    n: int
    errors: float
    loss: Literal["zero-one", "absolute"] = "zero-one"


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The reference profile of one version.

    Attributes:
        format: the version of this document's format; 1.
        model: the model's name.
        version: the version it describes.
        digest: the digest of that version's model.
        rows: reference rows.
        held_out: whether the publisher said that the model was not trained on these rows. Scores and risk on
            training rows are too good; nothing here can find that out, so it is a statement, not a check.
        columns: the inputs, in the signature's order.
        outputs: what the model answered on the reference rows.
        risk: None when no labels were given.
    """

    format: Literal[1] = 1
    model: str = ""
    version: str = ""
    digest: str = ""
    rows: int
    held_out: bool = False
    columns: tuple[Column, ...]
    outputs: tuple[Column, ...]
    risk: Risk | None = None


def category_text(value: object) -> str:
    """A text value as a profile names it; bytes that are not UTF-8 are escaped, None and NaN are empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    return str(value)


def encode(profile: Profile) -> bytes:
    """The profile as JSON; the same profile is always the same bytes."""
    return msgspec.json.encode(profile)


def decode(content: bytes, *, where: str = "reference profile") -> Profile:
    """Read a profile; ``where`` names it in the error.

    Raises:
        ProfileError: cut, malformed, of a later format, or contradicting itself.
    """
    try:
        profile = decoders.json_of(Profile).decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        later = later_format(content, FORMAT)
        if later is not None:
            raise ProfileError(newer(where, "a profile", later, FORMAT)) from None
        raise ProfileError(f"{where}: not a whole profile of format 1: {error}; publish it again") from None
    for column in (*profile.columns, *profile.outputs):
        reason = _contradiction(column, profile.rows)
        if reason is not None:
            raise ProfileError(f"{where}: column {column.name!r}: {reason}; publish it again")
    return profile


def identify(profile: Profile, *, model: str, version: str, digest: str) -> Profile:
    """The same profile, said to be of this version."""
    return msgspec.structs.replace(profile, model=model, version=version, digest=digest)


def digest(profile: Profile) -> str:
    """The digest of the profile's bytes, as a manifest's ``profile_digest`` names it."""
    return digest_of(encode(profile))


def _contradiction(column: Column, rows: int) -> str | None:
    """Why the column cannot be true, or None."""
    total = sum(column.counts)
    numbers = [*column.counts, column.n, column.missing]
    if isinstance(column, CategoricalColumn):
        total += column.other
        numbers += [column.other, column.singletons]
        if len(column.counts) != len(column.categories):
            return f"{len(column.categories)} categories but {len(column.counts)} counts"
        if len(set(column.categories)) != len(column.categories):
            return "a category is named twice"
    else:
        if len(column.counts) != len(column.edges) + 1 or len(column.edges) > EDGES:
            return f"{len(column.edges)} edges but {len(column.counts)} counts"
        if any(low >= high for low, high in itertools.pairwise(column.edges)):
            return "edges do not ascend"
    if min(numbers) < 0:
        return "a count is negative"
    if total != column.n or column.n + column.missing != rows:
        return f"counts give {total} values and {column.missing} missing, wanted {rows} rows"
    return None
