"""The table of places where models can be kept, and the one function that opens them.

A new backend is one file, one line here, and one parameter of the contract suite. Nothing is imported before
it is asked for.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

from registry_client.errors import RegistryError
from registry_client.registry import Registry

BACKENDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "directory": "registry_client.directory:DirectoryRegistry",
        "memory": "registry_client.memory:MemoryRegistry",
    }
)
"""Scheme to ``module:Class``; the class is called with (location: str, cache: Path | None)."""

_URL: Final = re.compile(r"([a-z][a-z0-9+-]*):(?://)?(.*)", re.DOTALL)


def open_registry(place: str | Path, cache: Path | None = None) -> Registry:
    """Open ``directory:PATH``, ``memory:`` or a plain path, which means a directory.

    ``cache`` is a folder for verified copies of models, named by digest; without it a directory's files are
    verified where they lie.

    Raises:
        RegistryError: the scheme is not in the table, or no folder is named.
    """
    scheme, location = _split(place)
    if scheme not in BACKENDS:
        known = ", ".join(f"{name}:" for name in BACKENDS)
        raise RegistryError(f"registry {str(place)!r}: {scheme!r} is not known; use one of {known} or a path")
    if scheme == "directory" and not location:
        raise RegistryError(f"registry {str(place)!r}: wanted the path of a folder, found none; name one")
    kind = cast("Callable[[str, Path | None], Registry]", pkgutil.resolve_name(BACKENDS[scheme]))
    return kind(location, cache)


def open_lasting(place: str | Path, cache: Path | None = None) -> Registry:
    """As ``open_registry``, for what other processes are to see, and when this one has ended.

    Raises:
        RegistryError: also for ``memory:``, which lives as long as who opened it.
    """
    if _split(place)[0] == "memory":
        raise RegistryError(
            f"registry {str(place)!r}: it is one process's own, and is gone with it; "
            "wanted the path of a folder, name one"
        )
    return open_registry(place, cache)


def _split(place: str | Path) -> tuple[str, str]:
    found = _URL.fullmatch(place) if isinstance(place, str) else None
    return (found[1], found[2]) if found else ("directory", str(place))
