"""Small documents of the data folder: a JSON object with a `format`, read only by a program that knows it.

Rules: the format is looked at before anything else, so that a newer document is called newer and not damaged;
an older one is brought forward in memory, by the steps its owner gives, and written in the new form the next
time that it is written at all.

Refuses to know: what a document says.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import msgspec

from groundwork import decoders
from groundwork.errors import NewerStoreError, StoreError

T = TypeVar("T")
Step: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
"""The document of one format as one of the next, its `format` raised by one."""


def read_document(path: Path, kind: type[T], *, what: str, steps: Sequence[Step] = ()) -> T:
    """The document at `path`, brought forward; format `len(steps) + 1` is the newest known.

    FileNotFoundError where there is none, NewerStoreError for a newer format, StoreError for damage; both say
    which file, what was found and what is supported.
    """
    newest = len(steps) + 1
    try:
        document = msgspec.json.decode(path.read_bytes())
        found = document.get("format") if isinstance(document, dict) else None
        if type(found) is int and found > newest:
            raise NewerStoreError(newer(path, what, found, newest))
        if type(found) is not int or found < 1:
            raise StoreError(f"{path}: wanted {what} of format 1 to {newest}, found {found!r}; {RESTORE}")
        for step in steps[found - 1 :]:
            document = step(document)
        return decoders.converted(document, kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise StoreError(f"{path}: wanted {what}, found damage ({error}); {RESTORE}") from error


RESTORE = "restore a copy, or see `driftgate doctor --repair`"


class _Formed(msgspec.Struct, frozen=True):
    format: int = 0


def later_format(content: bytes, newest: int) -> int | None:
    """The format that a document names, where it is later than the newest known; None for any other."""
    try:
        found = decoders.json_of(_Formed).decode(content).format
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if found > newest else None


def newer(path: Path | str, what: str, found: int, newest: int) -> str:
    """The one line that refuses a file of a later program."""
    return (
        f"{path}: wanted {what} of format {newest} or lower, found {found}, written by a newer driftgate; "
        "install the newer driftgate or restore an older copy"
    )
