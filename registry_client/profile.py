"""The reference profile: what a version saw in its reference data, as counts.

Rules: data only, JSON, no raw rows, no pickle; every number in it is finite; profiles of the same grid merge
by addition. A value that is not finite (numeric) or is empty (text) is *missing*; whoever counts live values
against a profile counts them by the same rule, for which ``category_text`` is here. It knows no model.
"""

from __future__ import annotations

import itertools
import math
import sys
from typing import Literal

import msgspec

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
        singletons: values seen exactly once (Good and Turing's N1); after a merge an upper bound of it.
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
        profile = msgspec.json.decode(content, type=Profile)
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


def merge(a: Profile, b: Profile) -> Profile:
    """The profile of both parts together; associative (moments up to rounding).

    Raises:
        ProfileError: they are not of one version, or their grids or categories differ.
    """
    if (a.model, a.version, a.digest) != (b.model, b.version, b.digest):
        raise ProfileError(
            f"profiles of {a.model!r} version {a.version!r} and {b.model!r} version {b.version!r} "
            "cannot be merged: they describe different models"
        )
    return msgspec.structs.replace(
        a,
        rows=a.rows + b.rows,
        held_out=a.held_out and b.held_out,
        columns=_merge_columns(a.columns, b.columns),
        outputs=_merge_columns(a.outputs, b.outputs),
        risk=_merge_risks(a.risk, b.risk),
    )


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


def _merge_columns(a: tuple[Column, ...], b: tuple[Column, ...]) -> tuple[Column, ...]:
    if [column.name for column in a] != [column.name for column in b]:
        raise ProfileError("profiles with different columns cannot be merged; build both from one model")
    return tuple(_merge_column(left, right) for left, right in zip(a, b, strict=True))


def _merge_column(a: Column, b: Column) -> Column:
    if isinstance(a, NumericColumn) and isinstance(b, NumericColumn) and a.edges == b.edges:
        return _merge_numeric(a, b)
    if isinstance(a, CategoricalColumn) and isinstance(b, CategoricalColumn) and a.categories == b.categories:
        return msgspec.structs.replace(
            a,
            n=a.n + b.n,
            missing=a.missing + b.missing,
            counts=_add(a.counts, b.counts),
            other=a.other + b.other,
            singletons=a.singletons + b.singletons,
        )
    raise ProfileError(
        f"column {a.name!r}: edges or categories differ; build one profile with the other as its grid"
    )


def _merge_numeric(a: NumericColumn, b: NumericColumn) -> NumericColumn:
    """Counts by addition, moments by Chan, Golub and LeVeque (1979), equation 2.1."""
    missing, counts = a.missing + b.missing, _add(a.counts, b.counts)
    if a.n == 0 or b.n == 0:
        full = a if b.n == 0 else b
        return msgspec.structs.replace(full, missing=missing, counts=counts)
    n = a.n + b.n
    shift = finite(b.mean - a.mean)
    return msgspec.structs.replace(
        a,
        n=n,
        missing=missing,
        minimum=min(a.minimum, b.minimum),
        maximum=max(a.maximum, b.maximum),
        mean=finite(a.mean * (a.n / n) + b.mean * (b.n / n)),
        m2=finite(a.m2 + b.m2 + shift * shift * (a.n / n * b.n)),
        counts=counts,
    )


def _merge_risks(a: Risk | None, b: Risk | None) -> Risk | None:
    if a is None or b is None:
        return a or b
    if a.loss != b.loss:
        raise ProfileError(f"risks of different losses ({a.loss}, {b.loss}) cannot be merged")
    return Risk(a.n + b.n, finite(a.errors + b.errors), a.loss)


def finite(value: float) -> float:
    """The value, or the greatest float of its sign where arithmetic has overflowed (JSON has no infinity)."""
    return max(-sys.float_info.max, min(sys.float_info.max, value))


def _add(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(left + right for left, right in zip(a, b, strict=True))
