"""Where the paths of the data port lead: to a protocol's codec or to a page, with the scope that they want.

Protocols and pages name their paths in tables; the paths of platforms are chosen by settings. It answers
nothing, and how a path is matched `gateway.paths` knows.
"""

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Final

import msgspec

from gateway.access import data_scope
from gateway.pages.page import PAGES, PLATFORM_PAGES, Page
from gateway.paths import Paths
from gateway.protocols.codec import PLATFORM_PROTOCOLS, PROTOCOLS, Codec
from gateway.responses import ErrorBody
from gateway.settings import PlatformSettings
from groundwork.keys import INFER

_HEALTH: Final = "/v2/health/"


class Destination(msgspec.Struct, frozen=True, gc=False):
    """What a template leads to; the scope it wants; whether it names a model, and where its errors go.

    `beside` is the page that is read where predictions are sent to, on a path that a platform chose for both.
    """

    scope: str | None
    leads: Codec | Page
    named: bool
    fault: ErrorBody
    beside: "Destination | None" = None


def targets_of(platform: PlatformSettings) -> Mapping[str, str]:
    """Every path of the port with what it leads to; the platform's paths come first, for they are chosen.

    But one that a protocol has for a model of that name, or for its health, stays as the protocol has it:
    `/v2/models/m/infer` and `/v2/health/ready` are what Triton's users give Vertex AI, and mean Triton's.
    """
    chosen = {**_chosen(platform, PLATFORM_PAGES), **_chosen(platform, PLATFORM_PROTOCOLS)}
    own = Paths({path: path for path in PROTOCOLS})
    for path in list(chosen):
        found = own.find(path.encode())
        if path.startswith(_HEALTH) or (found is not None and found.model):
            del chosen[path]
    return {
        **chosen,
        **{path: target for path, target in {**PROTOCOLS, **PAGES}.items() if path not in chosen},
    }


def destinations_of(platform: PlatformSettings, targets: Mapping[str, str]) -> dict[str, Destination]:
    """What each of these paths leads to, loaded; the paths of pages that a platform chose are open to all."""
    open_paths = {getattr(platform, name) for name in PLATFORM_PAGES}
    beside = _pages_beside(platform)
    return {
        path: _destination(path, target, open_paths, beside.get(path)) for path, target in targets.items()
    }


def _pages_beside(platform: PlatformSettings) -> Mapping[str, str]:
    """The pages on paths that a platform chose for predictions too: the one is read, the other sent to."""
    pages = {**PAGES, **_chosen(platform, PLATFORM_PAGES)}
    return {path: pages[path] for path in _chosen(platform, PLATFORM_PROTOCOLS) if path in pages}


def _chosen(platform: PlatformSettings, settings: Mapping[str, str]) -> dict[str, str]:
    """The paths that these settings of `platform` hold, with what they lead to."""
    found = {getattr(platform, name): target for name, target in settings.items()}
    found.pop("", None)
    return found


def _destination(path: str, target: str, open_paths: set[str], beside: str | None = None) -> Destination:
    leads: Codec | Page = resolve_name(target)
    page = None if beside is None else _destination(path, beside, open_paths)
    scope: str | None = INFER  # who predicts shows a key, even where a page beside it asks for none
    if isinstance(leads, Page):
        scope = None if path in open_paths else data_scope(path)
    return Destination(scope, leads, "{model}" in path, leads.fault, page)
