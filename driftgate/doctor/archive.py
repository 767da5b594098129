"""What a backup is: a tar of the data folder's files, and last in it `backup.json`, which names them all.

Rules: only names of the data folder's own arrangement are in it, so that unpacking one writes nowhere else;
every file's digest is in `backup.json`, and a tar without it was cut. It knows no contents.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

CONTENTS: Final = "backup.json"
FORMAT: Final = 1
NAMES: Final = re.compile(
    r"folder\.json|id\.key|monitor\.db|rollouts\.db|log/\d{6,}\.seg"
    r"|slots/(next|retired\.json|\d+/[A-Za-z0-9_][A-Za-z0-9_.-]*)"
)


class Part(msgspec.Struct, frozen=True):
    """One file: its name in the data folder, bytes, and SHA-256 (hex)."""

    name: str
    bytes: int
    digest: str


class Contents(msgspec.Struct, frozen=True):
    """The document backup.json; `begun` is unix ns: what was answered before is in the backup."""

    format: int
    written_by: str
    begun: int
    parts: tuple[Part, ...]
