"""The keys file: YAML, private, replaced as a whole, and followed by programs that run.

    - id: 1f0c93ab
      name: checkout
      hash: sha256:…
      scopes: [infer]
      created: 2026-05-01T12:00:00Z
      expires: 2027-05-01T12:00:00Z      # and rate: 200, concurrency: 8

Rules: nobody but the owner may write it and no stranger may read it (a mounted Secret is readable for its
group); unknown fields are errors. A program that runs takes a changed file as it is, whole, within a second.
A changed file that cannot be read changes nothing: the keys in force stay in force, and the log says why.

Refuses to know: what keys open.
"""

import os
import stat
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import msgspec

from groundwork import decoders, marks
from groundwork.errors import SettingsError
from groundwork.files import in_turn, write_atomic
from groundwork.keys import Key, KeyBook
from groundwork.logs import Log

_FORBIDDEN: Final = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
_MOST_BYTES: Final = 4 << 20
_MEND: Final = "correct it there, or put an earlier copy of the file back"


class KeyFileError(SettingsError):
    """A keys file that cannot be used."""


def load(path: Path) -> KeyBook:
    """The keys of a file; KeyFileError where `read` raises one, and where they cannot stand together."""
    keys = read(path)
    try:
        return KeyBook(keys)
    except SettingsError as error:
        raise KeyFileError(f"keys.file: {path}: {error}") from None


def read(path: Path) -> tuple[Key, ...]:
    """What stands in a file, too many or alike as its keys may be: for who lists them, or takes some out.

    KeyFileError naming the file when it cannot be read, or others may change it.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & _FORBIDDEN:
            raise KeyFileError(
                f"keys.file: {path} has the mode {mode:04o}, wanted 0600 (or 0640); chmod 600 {path}"
            )
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise KeyFileError(f"keys.file: {path} has more than {_MOST_BYTES} bytes; revoke some keys")
    except OSError as error:
        refused = isinstance(error, PermissionError)
        remedy = (
            f"let the user of this program (uid {os.geteuid()}) read it"
            if refused
            else "make it with `driftgate config keys create`, or take the setting away"
        )
        raise KeyFileError(f"keys.file: {path} cannot be read: {error.strerror}; {remedy}") from None
    return _decoded(path, content)


def _decoded(path: Path, content: bytes) -> tuple[Key, ...]:
    try:
        # In two steps: a moment may stand there as YAML's own kind or as a text.
        document = msgspec.yaml.decode(content) if content.strip() else ()
        keys = decoders.converted(document, tuple[Key, ...])
        doubt = marks.doubt(content, is_read=True)
    except msgspec.ValidationError as error:
        found = f"wanted a list of keys, but {marks.misfit(error, content)}"
    except marks.UNREADABLE as error:
        found = f"wanted YAML, but {marks.unreadable(error, content)}"
    else:
        if doubt is None:
            return keys
        found = doubt
    raise KeyFileError(f"keys.file: {path}: {found}; {_MEND}")


def changing(path: Path) -> AbstractContextManager[None]:
    """Hold the file's folder while the file is read and saved."""
    return in_turn(path.resolve().parent)


def save(path: Path, keys: Iterable[Key]) -> None:
    """Replace the file by one that holds these keys, mode 0600; of a link what it leads to.

    Programs may follow the file by its own name, and would go by a key that was revoked beside it.
    """
    write_atomic(path.resolve(), msgspec.yaml.encode(list(keys)))


class KeyFile:
    """A file that is followed; `look` costs one stat where nothing has changed."""

    def __init__(self, path: Path, changed: Callable[[KeyBook], None], log: Log) -> None:
        """Read it and hand the keys to `changed`, as every later look does; SettingsError as `load`."""
        self._path = path
        self._changed = changed
        self._log = log
        self._seen = fingerprint(path)
        changed(load(path))

    def look(self) -> None:
        """Take the file as it is now, if it has changed since."""
        seen = fingerprint(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            book = load(self._path)
        except SettingsError as error:
            self._log.error("keys-not-reloaded", fault=error, in_force="the keys read before")
            return
        self._changed(book)
        self._log.info("keys-reloaded", file=self._path, keys=len(book.keys))


def fingerprint(path: Path) -> tuple[int, int, int]:
    """What changes when a file is replaced or written; zeros when it is not there."""
    try:
        found = os.stat(path)  # noqa: PTH116  follows the links of a mounted Secret, at a third of the cost
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_ino, found.st_size)
