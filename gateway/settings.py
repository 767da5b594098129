"""The gateway's settings; each has a default that is good on a laptop, and its meaning beside it.

Rules: sections are frozen and refuse unknown fields; sizes are bytes, times are seconds. What is said of
requests and runs stands in `run_settings`, of the log in `log_settings`, of copies in `cache_settings`.
"""

from pathlib import Path
from typing import Annotated

import msgspec

from gateway.cache_settings import CacheSettings
from gateway.log_settings import JournalSettings, LogSettings, check_journal, check_log
from gateway.run_settings import QueueSettings, RequestSettings, RunSettings, ShadowSettings
from groundwork.errors import SettingsError
from groundwork.key_file import load
from groundwork.logs import MessageSettings
from groundwork.ports import KeysSettings, LimitSettings, TlsSettings, check_reach, check_tls
from groundwork.quantities import Bytes, Seconds, Share
from groundwork.tracing import TraceSettings


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
    models: Annotated[
        str, msgspec.Meta(description="the registry: a folder, as its path or as `directory:PATH`")
    ] = "models"
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
    """The same settings, once who may ask is known to be honourable; SettingsError names what is not.

    The keys come last: where they are what is wrong, all else can be honoured.
    """
    check_reach("operator.host", settings.operator.host, settings.keys)
    check_tls("http.tls", settings.http.tls)
    check_tls("operator.tls", settings.operator.tls)
    check_tls("grpc.tls", settings.grpc.tls)
    check_journal(settings.journal)
    check_log(settings.log)
    if Path(settings.models).is_file():
        raise SettingsError(
            f"models is {settings.models}, a file; give the folder that models are published to"
        )
    if settings.keys.file:
        load(Path(settings.keys.file))
    return settings
