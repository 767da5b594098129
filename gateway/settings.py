"""The gateway's settings; each has a default that is good on a laptop, and its meaning beside it.

Rules: sections are frozen and refuse unknown fields; sizes are bytes, times are seconds.
"""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec

from gateway.cache_settings import CacheSettings
from groundwork.errors import SettingsError
from groundwork.key_file import load
from groundwork.logs import MessageSettings
from groundwork.ports import KeysSettings, LimitSettings, TlsSettings, check_reach, check_tls
from groundwork.quantities import Bytes, Seconds
from groundwork.tracing import TraceSettings

MIB = 1 << 20
GIB = 1 << 30
DAY = 86_400.0

Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]
Treatment: TypeAlias = Literal["keep", "hash", "drop"]
ANY_MODEL = "*"
"""Stands for every model that is not named."""


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
    compress_bytes: Annotated[
        Bytes,
        msgspec.Meta(
            description="answers above this are compressed for clients that offer several codings; one that "
            "asks for gzip or deflate alone always gets it"
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


Optimisation: TypeAlias = Literal["none", "basic", "extended", "all"]
Threads: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1024)]


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


class JournalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the prediction log is kept in memory between two flushes."""

    buffer_bytes: Annotated[
        Bytes, msgspec.Meta(description="each of the two buffers of a version's predictions")
    ] = 4 * MIB
    side_buffer_bytes: Annotated[
        Bytes, msgspec.Meta(description="each of the two buffers of rejects, labels and shadow pairs")
    ] = 1 * MIB
    max_row_bytes: Annotated[
        Bytes, msgspec.Meta(description="inputs above this per row are not recorded, and counted")
    ] = 64 * 1024
    sampling: Annotated[
        dict[str, Share],
        msgspec.Meta(
            description="model (`*`: every other) to the share of its requests whose rows are recorded, 0 "
            "to 1; errors, candidates and shadowed requests are recorded whatever the draw"
        ),
    ] = {}
    columns: Annotated[
        dict[str, dict[str, Treatment]],
        msgspec.Meta(
            description="model (`*`: every model) to its inputs and outputs that are not recorded as they "
            "are: `hash` (texts, by a key of the data folder) or `drop`; `keep` takes one out of `*`"
        ),
    ] = {}
    durability: Annotated[
        Literal["buffered", "sync"],
        msgspec.Meta(
            description="when a prediction is answered: `buffered` when its row is in the slot, which "
            "survives the process; `sync` when it is in the log and on the disk, which survives a power cut"
        ),
    ] = "buffered"


class ShadowSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shadow runs may take; beyond it they are dropped and counted."""

    max_bytes: Annotated[Bytes, msgspec.Meta(description="inputs and outputs waiting for a shadow run")] = (
        64 * MIB
    )
    max_waiting: Annotated[int, msgspec.Meta(ge=1, description="requests waiting for a shadow run")] = 256


class PortSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a port listens."""

    port: Annotated[int, msgspec.Meta(ge=0, le=65535, description="the TCP port; 0 takes any free one")]
    host: Annotated[str, msgspec.Meta(description="the address to listen on")] = "127.0.0.1"
    tls: TlsSettings = TlsSettings()


class GrpcSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gRPC port, where the extra `grpc` is installed; its messages may be as long as a body."""

    enabled: Annotated[bool, msgspec.Meta(description="listen, where the extra is installed")] = True
    port: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=65535)] | None,
        msgspec.Meta(
            description="the TCP port; 0 takes any free one. Unset: 8082 where `http.port` is 8080 and "
            "nothing else is there, else any free one, and none without the extra"
        ),
    ] = None
    host: Annotated[str, msgspec.Meta(description="the address to listen on")] = "127.0.0.1"
    tls: TlsSettings = TlsSettings()


class PaceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often a worker looks at what it follows."""

    follow: Annotated[
        Seconds, msgspec.Meta(description="between two looks at the routes; microseconds each")
    ] = 0.01
    registry: Annotated[Seconds, msgspec.Meta(description="between two looks for new models")] = 1.0
    flush: Annotated[Seconds, msgspec.Meta(description="between two writes of the prediction log")] = 0.2
    pilot: Annotated[Seconds, msgspec.Meta(description="between two looks at the evidence of a rollout")] = (
        0.5
    )
    lease: Annotated[
        Seconds, msgspec.Meta(description="how long the pilot of a dead worker is waited for")
    ] = 3.0
    retry: Annotated[
        Seconds, msgspec.Meta(description="until a version that failed to load is tried again")
    ] = 10.0
    unload: Annotated[
        Seconds, msgspec.Meta(description="how long a version that no route names stays loaded")
    ] = 30.0
    load: Annotated[
        Seconds, msgspec.Meta(description="how long a request waits for a version to be loaded for it")
    ] = 30.0
    idle: Annotated[
        Seconds,
        msgspec.Meta(
            description="a model that was asked so recently leaves memory for no other (`runs.max_bytes`)"
        ),
    ] = 60.0


class StopSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a worker stops."""

    delay: Annotated[
        Seconds, msgspec.Meta(description="answering on after readiness fails, for a balancer to notice")
    ] = 0.0
    linger: Annotated[
        Seconds, msgspec.Meta(description="how long an idle connection may still send one request")
    ] = 0.2
    limit: Annotated[Seconds, msgspec.Meta(description="how long requests in flight may take to finish")] = (
        10.0
    )


class WorkerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a worker serves; then another takes its place, one at a time, without a request lost."""

    max_requests: Annotated[
        int, msgspec.Meta(ge=0, description="a worker that answered so many is replaced; 0: no limit")
    ] = 0
    max_age: Annotated[
        Seconds, msgspec.Meta(description="a worker that answered for so long is replaced; 0: no limit")
    ] = 0.0
    max_memory: Annotated[
        Bytes, msgspec.Meta(description="a worker with more resident memory is replaced; 0: no limit")
    ] = 0
    jitter: Annotated[
        Share,
        msgspec.Meta(
            description="each worker draws up to this share off `max_requests` and `max_age`, so that "
            "workers that began together do not end together"
        ),
    ] = 0.1
    linger: Annotated[
        Seconds,
        msgspec.Meta(
            description="how long a replaced worker waits for a request on each idle connection, to "
            "answer it with `Connection: close`"
        ),
    ] = 5.0
    hung: Annotated[
        Seconds,
        msgspec.Meta(
            description="a worker whose event loop stands still for so long is ended and replaced; more than "
            "the longest run may take; 0: never"
        ),
    ] = 120.0


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The prediction log on disk."""

    segment_bytes: Annotated[
        Bytes,
        msgspec.Meta(
            description="a segment that reaches this is sealed; the log is dropped by whole segments"
        ),
    ] = 256 * MIB
    max_bytes: Annotated[
        Bytes, msgspec.Meta(description="above this the oldest segments are dropped, and that is recorded")
    ] = 8 * GIB
    max_age: Annotated[
        Seconds,
        msgspec.Meta(
            description="a segment whose newest row is older is dropped; 0: never. Rows leave at most an "
            "eighth later"
        ),
    ] = 30 * DAY
    min_free_bytes: Annotated[
        Bytes, msgspec.Meta(description="with less free disk than this the oldest segments are dropped")
    ] = GIB
    reserve_bytes: Annotated[
        Bytes,
        msgspec.Meta(
            description="with less free disk than this nothing is logged: rows wait in their slot, are then "
            "lost, and counted; at most `log.min_free_bytes`"
        ),
    ] = 64 * MIB


_Path = Annotated[str, msgspec.Meta(pattern=r"^(/[^{}?#\s]*)?$", max_length=200)]


class PlatformSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Paths that platforms call a container on, beside those that protocols fix; empty: none."""

    default_model: Annotated[
        str,
        msgspec.Meta(
            description="the model that paths without a model's name ask (`/invocations`, the paths below); "
            "empty: the only one there is"
        ),
    ] = ""
    vertex_health: Annotated[
        _Path, msgspec.Meta(description="Vertex AI's health route; its AIP_HEALTH_ROUTE is the default")
    ] = ""
    vertex_predict: Annotated[
        _Path, msgspec.Meta(description="Vertex AI's prediction route; its AIP_PREDICT_ROUTE is the default")
    ] = ""
    azure_liveness: Annotated[_Path, msgspec.Meta(description="Azure ML's liveness route")] = ""
    azure_readiness: Annotated[_Path, msgspec.Meta(description="Azure ML's readiness route")] = ""
    azure_scoring: Annotated[_Path, msgspec.Meta(description="Azure ML's scoring route")] = ""


class GatewaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of the gateway."""

    data: Annotated[str, msgspec.Meta(description="the folder of all local state")] = "driftgate-data"
    models: Annotated[str, msgspec.Meta(description="the registry: a folder, or a URL of a known kind")] = (
        "models"
    )
    workers: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            le=256,
            description="worker processes; 0: one a processor that cgroup and affinity leave, at most 8",
        ),
    ] = 0
    worker: WorkerSettings = WorkerSettings()
    http: PortSettings = PortSettings(port=8080)
    operator: PortSettings = PortSettings(port=8081)
    grpc: GrpcSettings = GrpcSettings()
    keys: KeysSettings = KeysSettings()
    limits: LimitSettings = LimitSettings()
    messages: MessageSettings = MessageSettings()
    traces: TraceSettings = TraceSettings()
    pace: PaceSettings = PaceSettings()
    stop: StopSettings = StopSettings()
    log: LogSettings = LogSettings()
    cache: CacheSettings = CacheSettings()
    requests: RequestSettings = RequestSettings()
    platform: PlatformSettings = PlatformSettings()
    runs: RunSettings = RunSettings()
    queue: QueueSettings = QueueSettings()
    journal: JournalSettings = JournalSettings()
    shadow: ShadowSettings = ShadowSettings()


def checked(settings: GatewaySettings) -> GatewaySettings:
    """The same settings, once who may ask is known to be honourable; SettingsError names what is not."""
    check_reach("operator.host", settings.operator.host, settings.keys)
    check_tls("http.tls", settings.http.tls)
    check_tls("operator.tls", settings.operator.tls)
    check_tls("grpc.tls", settings.grpc.tls)
    if settings.keys.file:
        load(Path(settings.keys.file))
    _check_log(settings.log)
    if Path(settings.models).is_file():
        raise SettingsError(
            f"models is {settings.models}, a file; give the folder that models are published to"
        )
    return settings


def _check_log(log: LogSettings) -> None:
    if log.max_bytes < 2 * log.segment_bytes:
        raise SettingsError(
            f"log.max_bytes is {log.max_bytes}, wanted 2 * log.segment_bytes ({log.segment_bytes}) or more: "
            "the segment that is written to is never dropped"
        )
    if log.reserve_bytes > log.min_free_bytes:
        raise SettingsError(
            f"log.reserve_bytes is {log.reserve_bytes}, wanted log.min_free_bytes ({log.min_free_bytes}) at "
            "most: otherwise logging would stop before anything is dropped"
        )
