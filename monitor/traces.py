"""W3C trace contexts of what is told: everything of one incident, or of one rollout, is one trace.

Rules: a trace id follows from what is told about and a span id from the event (and, on its way, from the
attempt), so that the same log gives the same contexts. A context says "sampled": these are few, and somebody
wants to see them.
"""

import hashlib
from typing import Final

_SAMPLED: Final = "01"


def trace_id(*parts: object) -> str:
    """32 hexadecimal digits that follow from the parts."""
    return _digest(*parts)[:32]


def span_id(*parts: object) -> str:
    """16 hexadecimal digits that follow from the parts."""
    return _digest("span", *parts)[:16]


def traceparent(trace: str, span: str) -> str:
    """The header, and the CloudEvents attribute, of a span."""
    return f"00-{trace}-{span}-{_SAMPLED}"


def trace_of(header: str) -> str:
    """The trace id of a `traceparent` that we made; empty for an empty one."""
    return header[3:35]


def _digest(*parts: object) -> str:
    return hashlib.sha256("\n".join(str(part) for part in parts).encode()).hexdigest()
