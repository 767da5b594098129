"""What a path of the data port means: templates of segments, matched once and remembered.

Rules: a path is split before it is unquoted, so that an escaped slash never makes a segment; segments are
compared with templates and with nothing else. A segment may end in a fixed word after its name
(`{model}:predict`); no name has a colon, so another word there leads to nothing. The first template that fits
is meant. It knows paths, not what answers on them.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

_MOST_REMEMBERED: Final = 1024
_MOST_LENGTH: Final = 512


class Target(msgspec.Struct, frozen=True):
    """What a path leads to, and the parts it names; `entry` is what the table holds for its template."""

    entry: Any
    model: str = ""
    version: str | None = None
    label: str | None = None


class Paths:
    """A table of templates such as `/v2/models/{model}/infer`; a path seen before costs one look-up."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._templates = [
            ([segment.partition("}") for segment in _split(template.encode())], entry)
            for template, entry in table.items()
        ]
        self._seen: dict[bytes, Target] = {}

    def find(self, path: bytes) -> Target | None:
        """What the raw path (still quoted, without its query) leads to; None when to nothing."""
        target = self._seen.get(path)
        if target is None and len(path) <= _MOST_LENGTH:
            target = self._match(_split(path))
            if target is not None:
                if len(self._seen) >= _MOST_REMEMBERED:
                    # All at once: whoever asks for names that nobody has cannot keep the real ones out.
                    self._seen = {}
                self._seen[path] = target
        return target

    def _match(self, segments: list[str]) -> Target | None:
        for template, entry in self._templates:
            if len(template) != len(segments):
                continue
            named: dict[str, str] = {}
            for (wanted, brace, ending), found in zip(template, segments, strict=True):
                name = found.removesuffix(ending) if brace and found.endswith(ending) else ""
                if name and ":" not in name:
                    named[wanted[1:]] = name
                elif brace or wanted != found:
                    break
            else:
                return Target(entry, **named)
        return None


def _split(path: bytes) -> list[str]:
    """The unquoted segments; bytes that are no UTF-8 become a character that no name has."""
    return [unquote_to_bytes(part).decode("utf-8", "replace") for part in path.removeprefix(b"/").split(b"/")]
