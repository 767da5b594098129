"""How much of `cache/` is kept that no route names: a section of the gateway's settings."""

from typing import Annotated

import msgspec

from groundwork.quantities import Bytes, Seconds


class CacheSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Copies of models and profiles; what a route names is never removed."""

    max_bytes: Annotated[
        Bytes,
        msgspec.Meta(description="above this the oldest copies that no route names leave `cache/`"),
    ] = 20 << 30
    keep: Annotated[
        Seconds,
        msgspec.Meta(description="how long a copy stays that the registry lacks and no route names"),
    ] = 7 * 86_400.0
    optimised_above: Annotated[
        Seconds,
        msgspec.Meta(
            description="a graph whose opening takes more of the processor than this is kept as onnxruntime "
            "rewrites it, where that was seen to open quicker and to answer the same; 0: never"
        ),
    ] = 0.25
