"""Settings that name models: which of those are not there, for a name that is mistyped asks for nothing.

It may be that the model is published later, so it is a warning and never an error. Pure but for `warn`.
"""

import difflib
from collections.abc import Collection, Iterator, Mapping

import msgspec

from gateway.settings import GatewaySettings
from groundwork.logs import Log

_EVERY = "*"


class Stranger(msgspec.Struct, frozen=True):
    """A model that a setting names and nobody knows; `closest` is one that is there, or empty."""

    setting: str
    model: str
    closest: str

    def __str__(self) -> str:
        meant = f"; did you mean {self.closest!r}?" if self.closest else ""
        return f"{self.setting} names {self.model!r}, and there is no such model (yet){meant}"


def strangers(settings: GatewaySettings, known: Collection[str]) -> list[Stranger]:
    """What settings name that is none of the `known` models."""
    return [
        Stranger(setting, model, next(iter(difflib.get_close_matches(model, known, n=1)), ""))
        for setting, model in _named(settings)
        if model not in known
    ]


def warn(settings: GatewaySettings, known: Collection[str], log: Log) -> None:
    """Tell the operator of each of them."""
    for found in strangers(settings, known):
        closest = {"closest": found.closest} if found.closest else {}
        log.warning("model-not-there", setting=found.setting, model=found.model, **closest)


def _named(settings: GatewaySettings) -> Iterator[tuple[str, str]]:
    if settings.platform.default_model:
        yield "platform.default_model", settings.platform.default_model
    of_models: Mapping[str, Collection[str]] = {
        "runs.models": settings.runs.models,
        "journal.sampling": settings.journal.sampling,
        "journal.columns": settings.journal.columns,
    }
    for setting, chosen in of_models.items():
        yield from ((setting, model) for model in chosen if model != _EVERY)
