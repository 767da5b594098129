"""Which models exist: manifest, signature, artifacts, reference profile.

``from registry_client import publish`` gives the function without loading it before it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from registry_client.publishing import publish as publish


def __getattr__(name: str) -> Any:
    """Resolve ``publish`` on first use; nothing else lives here."""
    if name == "publish":
        from registry_client.publishing import publish  # noqa: PLC0415  publishing is optional to serving

        return publish
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
