"""The page of metrics as OpenMetrics 1.0, for a scraper that asks for it by its Accept.

https://prometheus.io/docs/specs/om/open_metrics_spec/. It is the same page: the family of a counter is named
without `_total`, quotes in a help line are escaped, edges of buckets are floats ("1.0"), and the end is told.
Names, labels and numbers of the samples stay as they are.
"""

import re
from typing import Final

from groundwork.metrics import CONTENT_TYPE, go_float

OPEN_CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_OPEN: Final = "application/openmetrics-text"
_PLAIN: Final = "text/plain"
_COUNTER: Final = re.compile(r"^# TYPE (\S+)_total counter$", re.MULTILINE)
_ABOUT: Final = re.compile(r"^# (HELP|TYPE) (\S+)(.*)$", re.MULTILINE)
# Quotes inside a label's value are escaped, so no value holds a label with a number for its own.
_EDGE: Final = re.compile(r'([{,]le=")([0-9.e+-]+)"')


def shown(text: bytes, accept: str) -> tuple[bytes, str]:
    """The page that `groundwork.metrics.render` wrote as this Accept wants it, and its content type."""
    return (open_page(text), OPEN_CONTENT_TYPE) if wants_open(accept) else (text, CONTENT_TYPE)


def wants_open(accept: str) -> bool:
    """Whether an Accept names OpenMetrics, and Prometheus' own text as nothing better."""
    weights = {_OPEN: 0.0, _PLAIN: 0.0}
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        if name in weights:
            weights[name] = max(weights[name], _weight(parameters))
    return 0.0 < weights[_OPEN] >= weights[_PLAIN]


def open_page(text: bytes) -> bytes:
    """The page in OpenMetrics; about a microsecond per line, off the loop."""
    page = text.decode()
    counters = frozenset(_COUNTER.findall(page))

    def about(found: re.Match[str]) -> str:
        word, name, rest = found.groups()
        family = name.removesuffix("_total")
        told = rest.replace('"', r"\"") if word == "HELP" else rest
        return f"# {word} {family if family in counters else name}{told}"

    edged = _EDGE.sub(lambda found: f'{found[1]}{go_float(float(found[2]))}"', _ABOUT.sub(about, page))
    return f"{edged}# EOF\n".encode()


def _weight(parameters: list[str]) -> float:
    for one in parameters:
        if one.startswith("q="):
            try:
                return float(one[2:])
            except ValueError:
                return 0.0
    return 1.0
