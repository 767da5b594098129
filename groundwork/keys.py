"""Keys and scopes: what a key is, how one is made, and which of several a text is. Pure.

    dg_<id>_<secret>     id: 8 hexadecimal digits, in the open; secret: 64 of them, 256 random bits

Rules:
1. Only the SHA-256 of the secret is kept. A slow hash protects secrets that people choose, because those can
   be guessed; nobody guesses one of 2**256, so a slow hash would cost every caller and protect nothing.
2. A key is looked up by its id, which is no secret, and its hash is then compared in constant time. An id
   that is not there is compared too, with a hash that nothing has.
3. A key has the scopes it is given and no others: none of them contains another.
4. Several keys are good at once, under one name if so wished: rotation is "add, move the callers, revoke".
   No two have the same secret: who shows it would be the one or the other by its id alone.

Refuses to know: files, requests, limits.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec

from groundwork import decoders
from groundwork.errors import SettingsError

Scope = Literal["infer", "labels:write", "read", "operate"]
SCOPES: Final[tuple[Scope, ...]] = ("infer", "labels:write", "read", "operate")
INFER: Final[Scope] = "infer"
LABELS_WRITE: Final[Scope] = "labels:write"
READ: Final[Scope] = "read"
OPERATE: Final[Scope] = "operate"

MOST_KEYS: Final = 1024
_SECRET_BYTES: Final = 32
_TEXT: Final = re.compile(rb"dg_([0-9a-f]{8})_([0-9a-f]{64})")
_NOTHING: Final = "0" * 64

_Id = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{8}$")]
_Hash = Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One key as the keys file holds it; `rate` is requests a second, None is no limit."""

    id: _Id
    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
    hash: _Hash
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1)]
    created: _Moment
    expires: _Moment | None = None
    rate: Annotated[float, msgspec.Meta(ge=1e-6, le=1e6)] | None = None
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None


def parse(text: bytes) -> tuple[str, bytes] | None:
    """The id and the secret of a key's text; None when it is not one, whatever it is."""
    found = _TEXT.fullmatch(text)
    return None if found is None else (found[1].decode(), found[2])


def digest(secret: bytes) -> str:
    """What the file keeps of a secret."""
    return f"sha256:{hashlib.sha256(secret).hexdigest()}"


def create(
    name: str,
    scopes: Iterable[Scope],
    created: datetime,
    *,
    expires: datetime | None = None,
    rate: float | None = None,
    concurrency: int | None = None,
) -> tuple[Key, str]:
    """A new key and its text, which is shown once and kept nowhere. SettingsError when a part cannot be."""
    identifier, secret = secrets.token_hex(4), secrets.token_hex(_SECRET_BYTES)
    parts = {
        "id": identifier,
        "name": name,
        "hash": digest(secret.encode()),
        "scopes": tuple(dict.fromkeys(scopes)),
        "created": created,
        "expires": expires,
        "rate": rate,
        "concurrency": concurrency,
    }
    try:
        return decoders.converted(parts, Key), f"dg_{identifier}_{secret}"
    except msgspec.ValidationError as error:
        raise SettingsError(f"key {name[:80]!r}: {error}") from None


class KeyBook:
    """The keys that stand at one time, by id; never changed, replaced as a whole."""

    def __init__(self, keys: Iterable[Key]) -> None:
        """SettingsError when two share an id or a secret, or there are more than MOST_KEYS."""
        self.keys = tuple(keys)
        _check_unlike(self.keys, "id", lambda key: key.id)
        _check_unlike(self.keys, "secret", lambda key: key.hash)
        self._by_id: Mapping[str, Key] = MappingProxyType({key.id: key for key in self.keys})
        if len(self.keys) > MOST_KEYS:
            raise SettingsError(f"wanted at most {MOST_KEYS} keys, found {len(self.keys)}; revoke some")

    def known(self, identifier: str) -> bool:
        """Whether there is a key of this id."""
        return identifier in self._by_id

    def find(self, text: bytes) -> Key | None:
        """The key whose text this is, in a time that says nothing about how nearly it is one."""
        parts = parse(text)
        if parts is None:
            return None
        identifier, secret = parts
        key = self._by_id.get(identifier)
        kept = key.hash if key is not None else f"sha256:{_NOTHING}"
        same = hmac.compare_digest(kept, digest(secret))
        return key if same else None


def _check_unlike(keys: Iterable[Key], what: str, of: Callable[[Key], str]) -> None:
    """SettingsError naming two keys of which this is the same."""
    seen: dict[str, Key] = {}
    for key in keys:
        other = seen.get(of(key))
        if other is not None:
            raise SettingsError(
                f"the keys {other.name} ({other.id}) and {key.name} ({key.id}) have the same {what}; revoke "
                f"{key.id} (`driftgate config keys revoke`), and create a key anew where it is wanted"
            )
        seen[of(key)] = key
