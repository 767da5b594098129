"""The reference profile: what a version saw in its reference data, as counts.

Rules: data only, JSON, no raw rows, no pickle; every number in it is finite; profiles of the same grid merge
by addition. A value that is not finite (numeric) or is empty (text) is *missing*; whoever counts live values
against a profile counts them by the same rule, for which ``category_text`` is here. It knows no model.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from registry_client.manifest import digest_of

EDGES = 64
"""Most edges of a numeric column's grid."""

CATEGORIES = 100
"""Most categories that a column names; rarer ones are counted together."""


class NumericColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="numeric", tag_field="kind"):
    """One numeric column on its frozen grid.

    Attributes:
        name: the column's name, by ``signature.element_names``.
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
        name: the column's name, by ``signature.element_names``.
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
    """A text value as a profile names it; bytes that are not UTF-8 are escaped, None is empty."""
    if value is None:
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
        ProfileError: cut, malformed, or contradicting itself.
    """
    raise NotImplementedError


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
    raise NotImplementedError
