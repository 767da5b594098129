"""The manifest: one small document per version that says what the version is.

Rules: a manifest is written once and never changes; names and versions follow the patterns below, which keep
them safe as parts of a path; the digest is the identity of the model's bytes. It knows no backend.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Final, Literal

import msgspec

from groundwork import decoders
from groundwork.versioned import later_format, newer
from registry_client.errors import BadNameError, ManifestError
from registry_client.signature import Signature

FORMAT: Final = 1
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z"
VERSION_PATTERN: Final = r"^[1-9][0-9]{0,17}\Z"
DIGEST_PATTERN: Final = r"^sha256:[0-9a-f]{64}\Z"

_NAME: Final = re.compile(NAME_PATTERN)
_VERSION: Final = re.compile(VERSION_PATTERN)

Task = Literal["classification", "regression", "unknown"]
Name = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]
Version = Annotated[str, msgspec.Meta(pattern=VERSION_PATTERN)]
Digest = Annotated[str, msgspec.Meta(pattern=DIGEST_PATTERN)]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One version of one model.

    Attributes:
        format: the version of this document's format; 1.
        name: the model's name.
        version: a decimal positive whole number without leading zeros, as text.
        digest: ``sha256:`` and 64 hexadecimal digits, over the model's bytes.
        size: the model's length in bytes.
        signature: inputs and outputs; None when nobody has looked into the graph yet.
        task: classification, regression, or unknown when the graph does not say.
        label_output: the output that holds the predicted class or value, if it is known.
        score_output: the output that holds probabilities or scores, if there is one.
        classes: the classes as text, in the order of the scores; empty when unknown.
        profile_digest: the digest of the reference profile's bytes; None without a profile.
        created: RFC 3339, UTC.
        source: what was published, such as ``estimator sklearn.pipeline.Pipeline`` or ``onnx``.
        producer: the program that wrote the graph, with its version.
    """

    format: Literal[1] = 1
    name: Name
    version: Version
    digest: Digest
    size: int
    signature: Signature | None = None
    task: Task = "unknown"
    label_output: str | None = None
    score_output: str | None = None
    classes: tuple[str, ...] = ()
    profile_digest: Digest | None = None
    created: str = ""
    source: str = ""
    producer: str = ""


def check_name(name: str) -> str:
    """The name itself, when it may become a part of a path.

    Raises:
        BadNameError: it may not.
    """
    if not _NAME.fullmatch(name):
        raise BadNameError(
            f"model name {name[:120]!r}: wanted 1 to 100 of A-Z a-z 0-9 . _ - and a letter or digit first"
        )
    return name


def check_version(version: str) -> str:
    """The version itself, when it may become a part of a path.

    Raises:
        BadNameError: it is not a decimal positive whole number without leading zeros.
    """
    if not _VERSION.fullmatch(version):
        raise BadNameError(
            f"version {version[:40]!r}: wanted a positive whole number without leading zeros, such as 3"
        )
    return version


def digest_of(content: bytes) -> str:
    """``sha256:`` and the hexadecimal digest of these bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest as indented JSON, which people read too."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode_manifest(content: bytes, *, where: str) -> Manifest:
    """Read a manifest; ``where`` names it in the error.

    Raises:
        ManifestError: not JSON, cut, an unknown field, a value that breaks a rule, or of a later format.
    """
    try:
        return decoders.json_of(Manifest).decode(content)
    except msgspec.DecodeError as error:
        later = later_format(content, FORMAT)
        if later is not None:
            raise ManifestError(newer(where, "a manifest", later, FORMAT)) from None
        raise ManifestError(
            f"{where}: not a manifest of format 1 ({error}); remove the version's folder and publish it again"
        ) from None
