"""The root of every error the product raises on purpose, and the errors of the groundwork.

    DriftgateError                 code "error"
    ├── SettingsError              "bad-settings"   a setting cannot be honoured
    │   └── FlagError              "bad-flag"       the value of a flag cannot
    ├── StoreError                 "bad-store"      a file of ours is not what it should be
    │   ├── NewerStoreError        "newer-store"    a later version of the product wrote the file
    │   └── OlderStoreError        "older-store"    an earlier one wrote it, and it is opened for reading only
    ├── LockedError                "locked"         another process holds what we need for ourselves
    └── NoRoomError                "no-room"        the disk (or the file) has no room

Rules: a message is one line and names the thing, what was wanted, what was found and what to do. A code is
kebab-case, part of the public interface and never reused for another meaning. An error knows nothing of HTTP,
exit codes or colours: the edge that shows it decides those.
"""

from typing import ClassVar


class DriftgateError(Exception):
    """Anything the product refuses or fails at knowingly; `code` names the kind for programs."""

    code: ClassVar[str] = "error"


class SettingsError(DriftgateError):
    """A setting, or a quantity written by a person, that cannot be honoured."""

    code: ClassVar[str] = "bad-settings"


class FlagError(SettingsError):
    """A flag of the command line whose value its setting does not take: a misuse."""

    code: ClassVar[str] = "bad-flag"


class StoreError(DriftgateError):
    """A file of the data folder that is damaged, foreign, or cannot be opened."""

    code: ClassVar[str] = "bad-store"


class NewerStoreError(StoreError):
    """A file written by a later version of the product; reading it could only guess."""

    code: ClassVar[str] = "newer-store"


class OlderStoreError(StoreError):
    """A file of an earlier version that its owner will bring forward, and that a reader alone may not."""

    code: ClassVar[str] = "older-store"


class LockedError(DriftgateError):
    """A lock that another process (or another part of this one) holds."""

    code: ClassVar[str] = "locked"


class NoRoomError(DriftgateError):
    """A file that cannot be allocated or grown: the disk or a quota is full."""

    code: ClassVar[str] = "no-room"
