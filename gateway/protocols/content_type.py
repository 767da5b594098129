"""A Content-Type header, taken apart."""

import msgspec

from gateway.digits import is_number
from gateway.errors import MalformedError


class ContentType(msgspec.Struct, frozen=True):
    """A media type in lower case, and its parameters; both empty where the header is missing."""

    media: str
    parameters: dict[str, str]

    def header_size(self) -> bytes | None:
        """The parameter `json-header-size`, which clouds let through where they strip headers."""
        value = self.parameters.get("json-header-size")
        if value is None:
            return None
        if not is_number(value):
            raise MalformedError(f"json-header-size is {value[:40]!r}, wanted a number of bytes")
        return value.encode()


def content_type(header: bytes | None) -> ContentType:
    """The header, read leniently."""
    media, *rest = (header or b"").decode("latin-1").split(";")
    parameters = {}
    for part in rest:
        name, _, value = part.partition("=")
        if name.strip():
            parameters[name.strip().lower()] = value.strip().strip('"')
    return ContentType(media.strip().lower(), parameters)
