"""The optional parts of an install: which libraries each brings, and the one line when they are not there.

Rule: a verb asks before it imports, so that a person reads what to install instead of an ImportError.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Final

from driftgate.errors import MissingExtraError

EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "monitor": ("river",),
    "publish": ("pandas", "sklearn", "skl2onnx"),
    "export": ("pyarrow",),
    "grpc": ("grpc", "google.protobuf"),
    "demo": ("matplotlib", "prometheus_client", "rich"),
    "bulk": ("simdjson",),
    "otel": ("opentelemetry",),
}
"""Name of the extra to the modules it brings."""


def require(*extras: str) -> None:
    """Do nothing when these extras are installed.

    Raises:
        MissingExtraError: with the command that installs all that is missing.
    """
    missing = [extra for extra in extras if missing_modules(extra)]
    if missing:
        modules = [module for extra in missing for module in missing_modules(extra)]
        wanted = ",".join(missing)
        raise MissingExtraError(
            f"this needs {', '.join(modules)}, not installed here; run: pip install 'driftgate[{wanted}]'"
        )


def missing_modules(extra: str) -> list[str]:
    """The modules of an extra that are not installed here."""
    return [module for module in EXTRAS[extra] if not _there(module)]


def _there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
