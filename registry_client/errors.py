"""Every way in which a registry, a document of it, or a publication can refuse.

Each error carries a stable kebab-case ``code`` for machines; its one-line message names the thing, what was
wanted, what was found, and what to do. Nothing here knows how an error is shown.
"""

from __future__ import annotations

from typing import ClassVar

from groundwork.errors import DriftgateError


class RegistryError(DriftgateError):
    """The registry itself cannot be used: not found, not readable, not known."""

    code: ClassVar[str] = "registry"


class BadNameError(RegistryError):
    """A model name or a version that breaks the naming rule; it never becomes part of a path."""

    code: ClassVar[str] = "bad-name"


class UnknownModelError(RegistryError):
    """No version of that model is in the registry."""

    code: ClassVar[str] = "unknown-model"


class UnknownVersionError(RegistryError):
    """The model exists, that version of it does not."""

    code: ClassVar[str] = "unknown-version"


class VersionExistsError(RegistryError):
    """Versions never change: other bytes were offered under a version that is already taken."""

    code: ClassVar[str] = "version-exists"


class DigestMismatchError(RegistryError):
    """The bytes at hand are not the bytes that were published."""

    code: ClassVar[str] = "digest-mismatch"


class ManifestError(RegistryError):
    """A manifest that is cut, malformed, or speaks of another version than the one it lies under."""

    code: ClassVar[str] = "bad-manifest"


class ProfileError(RegistryError):
    """A reference profile that is missing, cut, altered, or does not fit the one it is combined with."""

    code: ClassVar[str] = "bad-profile"


class SignatureError(RegistryError):
    """A model whose inputs or outputs are not plain tensors of a known datatype."""

    code: ClassVar[str] = "bad-signature"


class PublishError(RegistryError):
    """A publication that was refused; nothing of it is visible in the registry."""

    code: ClassVar[str] = "publish-refused"


class ReferenceDataError(PublishError):
    """Reference rows or labels from which no input, profile or comparison can be made."""

    code: ClassVar[str] = "bad-reference"


class ConversionError(PublishError):
    """An estimator that cannot be written as ONNX, with the step that stands in the way."""

    code: ClassVar[str] = "cannot-convert"


class ExportDisagreementError(PublishError):
    """The exported model answers differently from the original on the reference rows."""

    code: ClassVar[str] = "export-disagrees"


class MissingExtraError(PublishError):
    """A library that only publishing needs is not installed."""

    code: ClassVar[str] = "missing-extra"
