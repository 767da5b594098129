"""What a request may be, what may wait, and how models are run: sections of the gateway's settings."""

from typing import Annotated, Literal, TypeAlias

import msgspec

from groundwork.quantities import MIB, Bytes, Seconds

ANY_MODEL = "*"
"""Stands for every model that is not named."""
Optimisation: TypeAlias = Literal["none", "basic", "extended", "all"]
Threads: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1024)]


class RequestSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a request may be."""

    max_body_bytes: Annotated[Bytes, msgspec.Meta(description="bodies above this are refused with 413")] = (
        64 * MIB
    )
    inline_body_bytes: Annotated[
        Bytes,
        msgspec.Meta(
            description="bodies above this are decoded off the event loop, and answers to them, or longer, "
            "encoded and recorded off it"
        ),
    ] = 256 * 1024
    large_bodies: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            description="how many times `max_body_bytes` a worker holds of bodies above `inline_body_bytes`, "
            "together, until they are answered; beyond it they are refused with 503, unread",
        ),
    ] = 8
    unread_answers: Annotated[
        Bytes,
        msgspec.Meta(
            description="what a worker holds of answers above `inline_body_bytes`, together, until they are "
            "read; beyond it they are 503. A connection of gRPC has an eighth of it, for answers of "
            "every size",
        ),
    ] = 512 * MIB
    compress_bytes: Annotated[
        Bytes,
        msgspec.Meta(
            description="predictions above this are compressed for clients that offer several codings; one "
            "that asks for gzip or deflate alone always gets it"
        ),
    ] = 16 * 1024
    fast: Annotated[
        bool, msgspec.Meta(description="answer plain predictions around ASGI, where uvicorn is as expected")
    ] = True


class QueueSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may wait for a version, in each worker; beyond it requests are refused with 503."""

    max_waiting: Annotated[
        int, msgspec.Meta(ge=1, description="requests that wait for runs of one version, in each worker")
    ] = 256
    max_bytes: Annotated[Bytes, msgspec.Meta(description="inputs that wait for runs of one version")] = (
        256 * MIB
    )
    max_lag: Annotated[
        Seconds,
        msgspec.Meta(
            description="requests that may have waited longer than this for the event loop are refused unread"
        ),
    ] = 1.0


class ModelOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """onnxruntime's options for one model; what is left out (None) is as `*` says, then as RunOptions has it.

    The meaning of each stands with `gateway.options.RunOptions`.
    """

    threads: Threads | None = None
    branches: Threads | None = None
    spin: bool | None = None
    optimisation: Optimisation | None = None
    providers: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | None = None
    provider_options: dict[str, dict[str, str]] | None = None
    arena: bool | None = None
    memory_pattern: bool | None = None


class RunSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How models are run."""

    threads: Annotated[int, msgspec.Meta(ge=1, description="onnxruntime threads inside one run")] = 1
    pool: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            description="runs of one expensive version at once, where they are not joined, in each worker; "
            "0: one a processor that there is for a worker, at least 2",
        ),
    ] = 0
    inline: Annotated[
        Seconds, msgspec.Meta(description="a run expected to be shorter than this stays on the event loop")
    ] = 0.0005
    batching: Annotated[
        Literal["off", "exact", "close"],
        msgspec.Meta(
            description="whether requests run together: `exact` where that changes no bit of an answer, "
            "`close` also where it changes the last digits (matrix products of another size are added up in "
            "another order), `off` never"
        ),
    ] = "close"
    batch_rows: Annotated[
        int, msgspec.Meta(ge=1, le=1024, description="the most rows of requests that run together")
    ] = 64
    max_bytes: Annotated[
        Bytes,
        msgspec.Meta(
            description="of model files in each worker's memory; where a load would exceed it, models that "
            "no request has used for longest leave, and are loaded again when a request asks; 0: no limit"
        ),
    ] = 0
    models: Annotated[
        dict[str, ModelOptions],
        msgspec.Meta(
            description="model (`*`: every model) to onnxruntime's options: `threads` inside a node, "
            "`branches` of the graph at once, `spin` (threads that wait keep their cores busy), "
            "`optimisation`, `providers` in order of preference, `provider_options` by provider, `arena` "
            "(memory of a run is kept for the next), `memory_pattern` (one block for shapes seen before)"
        ),
    ] = {}


class ShadowSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shadow runs may take; beyond it they are dropped and counted."""

    max_bytes: Annotated[
        Bytes,
        msgspec.Meta(
            description="inputs and outputs of requests waiting for a shadow run one by one, and as much of "
            "the log waiting to be run from there (below twice `journal.buffer_bytes` none is)"
        ),
    ] = 64 * MIB
    max_waiting: Annotated[
        int, msgspec.Meta(ge=1, description="requests waiting for a shadow run one by one")
    ] = 256
