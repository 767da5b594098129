"""What an operator can set about the monitor; a setting that cannot be honoured is an error.

Durations are seconds here; in files and variables people write "6h" (groundwork.quantities).

The budget: 10⁸ rows per false alarm and model version. At a million rows a day that is one false alarm in
three months from everything watched together; ten times more costs about ln 10 nats, some 20 rows of delay at
half a sigma, and ten times less is one in ten days, which teaches people to look away.
"""

import difflib
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from groundwork.errors import SettingsError
from groundwork.key_file import load
from groundwork.logs import MessageSettings
from groundwork.ports import KeysSettings, LimitSettings, TlsSettings, check_reach, check_tls
from groundwork.quantities import Seconds
from groundwork.tracing import TraceSettings

Group = Literal["inputs", "risk"]
MOST_ROWS: Final = 10**12
"""More than any disk holds, and few enough to be reckoned with in 64 bits."""
EVENTS: Final = (
    "drift.detected",
    "drift.resolved",
    "retrain.requested",
    "rollout.first",
    "rollout.start",
    "rollout.advance",
    "rollout.set_weight",
    "rollout.promote",
    "rollout.finish",
    "rollout.pause",
    "rollout.resume",
    "rollout.abort",
    "rollout.undo",
    "rollout.crash",
    "rollout.load",
    "rollout.unload",
    "webhook.test",
)
"""Every type of event that a webhook may ask for."""


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One receiver of events.

    `secret` is `env:NAME`, `file:/path` or the literal `whsec_…`; `previous_secret` signs too while receivers
    change over. `events` are type names, or prefixes ending in `.*`; empty means all of them.
    """

    url: Annotated[str, Meta(description="where events are posted")]
    secret: Annotated[str, Meta(description="env:NAME, file:PATH or whsec_… (Standard Webhooks)")]
    events: Annotated[tuple[str, ...], Meta(description='event types, or prefixes such as "drift.*"')] = ()
    name: Annotated[str, Meta(description="how the endpoint is called; its URL if empty")] = ""
    previous_secret: Annotated[str, Meta(description="the old secret, which signs beside the new")] = ""
    content_type: Annotated[str, Meta(description="the Content-Type of a delivery")] = (
        "application/cloudevents+json; charset=utf-8"
    )

    @property
    def endpoint(self) -> str:
        """The name deliveries are filed under."""
        return self.name or self.url


class PolicySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When an incident becomes a request to retrain."""

    retrain_on: Annotated[
        tuple[Group, ...], Meta(description="which evidence may ask for a retrain: risk, inputs or both")
    ] = ("risk", "inputs")
    min_labelled: Annotated[int, Meta(ge=0, le=4096, description="labelled rows wanted since the onset")] = (
        500
    )
    min_effect: Annotated[
        float, Meta(ge=0, le=1, description="smallest change (distance, or rise of the error rate) worth it")
    ] = 0.02
    cooldown: Annotated[Seconds, Meta(description="time between two requests for one model version")] = (
        21_600.0
    )
    expires: Annotated[
        Seconds, Meta(description="how long a request stays worth delivering and counts as in flight")
    ] = 21_600.0


class Tolerance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far live data may lie from the reference before it counts as changed (shares of one)."""

    distribution: Annotated[
        float, Meta(ge=0, lt=1, description="numeric columns: points of cumulative share")
    ] = 0.02
    category: Annotated[float, Meta(ge=0, lt=1, description="share of a category")] = 0.02
    category_relative: Annotated[float, Meta(ge=0, lt=1, description="and relative to its share")] = 0.25
    missing: Annotated[float, Meta(ge=0, lt=1, description="share of missing values")] = 0.005
    missing_relative: Annotated[float, Meta(ge=0, lt=1, description="and relative to that share")] = 0.2
    risk: Annotated[float, Meta(ge=0, lt=1, description="error rate of labelled rows")] = 0.01
    risk_relative: Annotated[float, Meta(ge=0, lt=1, description="or relative to it, whichever is more")] = (
        0.1
    )


class DetectionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the evidence is gathered and when it is an alarm."""

    budget_rows: Annotated[
        float,
        Meta(gt=1, description="mean rows between false alarms, per model version, all signals together"),
    ] = 1e8
    reference_doubt: Annotated[
        float, Meta(gt=0, lt=1, description="chance that a reference's own sampling error exceeds its margin")
    ] = 0.01
    tolerance: Tolerance = Tolerance()
    block_rows: Annotated[int, Meta(ge=1, le=4096, description="rows of one block of inputs")] = 64
    label_block_rows: Annotated[int, Meta(ge=1, le=4096, description="labelled rows of one block")] = 16
    block_seconds: Annotated[
        Seconds, Meta(description="a block closes when record time has moved on this far")
    ] = 10.0
    idle_resolve: Annotated[
        Seconds,
        Meta(description="an incident ends when its version has been unused this long while others run"),
    ] = 600.0
    gather_rows: Annotated[
        int, Meta(ge=0, description="rows the evidence must stay low before an incident ends")
    ] = 1000


class LedgerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long, and for how many rows, predictions wait for their labels."""

    keep: Annotated[Seconds, Meta(description="how long a prediction waits for its label")] = 35 * 86_400.0
    max_rows: Annotated[
        int, Meta(ge=1, le=MOST_ROWS, description="predictions waiting at most; the oldest go first")
    ] = 5_000_000
    max_early: Annotated[
        int, Meta(ge=1, le=MOST_ROWS, description="labels that came before their prediction, at most")
    ] = 50_000


class MonitorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything the monitor needs to run."""

    data: Annotated[str, Meta(description="the folder of all local state")]
    models: Annotated[str, Meta(description="the registry: a folder, as its path or as `directory:PATH`")]
    host: Annotated[
        str, Meta(description="address of the monitor's API; loopback only, unless keys are set")
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="port of the monitor's API; 0 = any free one")] = (
        8090
    )
    tls: TlsSettings = TlsSettings()
    keys: KeysSettings = KeysSettings()
    limits: LimitSettings = LimitSettings()
    messages: MessageSettings = MessageSettings()
    traces: TraceSettings = TraceSettings()
    source: Annotated[str, Meta(description="the `source` attribute of events")] = "/driftgate/monitor"
    webhooks: Annotated[
        tuple[Webhook, ...], Meta(description="who is told of what (docs/webhooks.md); nobody if empty")
    ] = ()
    policy: PolicySettings = PolicySettings()
    detection: DetectionSettings = DetectionSettings()
    ledger: LedgerSettings = LedgerSettings()
    poll: Annotated[Seconds, Meta(description="how long an idle monitor waits before it looks again")] = 0.2
    catch_up: Annotated[Seconds, Meta(description="how long a stopping monitor may read on")] = 10.0
    keep_events: Annotated[
        Seconds,
        Meta(
            description="how long events are kept once they are delivered or given up; "
            "the latest request to retrain each version stays"
        ),
    ] = 30 * 86_400.0


def checked(settings: MonitorSettings) -> MonitorSettings:
    """The same settings, once they are known to be honourable, the keys last; SettingsError otherwise."""
    check_reach("monitor.host", settings.host, settings.keys)
    check_tls("monitor.tls", settings.tls)
    if not settings.poll:
        raise SettingsError("monitor.poll is 0, wanted a time such as 200ms; it would take a whole processor")
    _check_source(settings.source)
    for webhook in settings.webhooks:
        _check_url(webhook)
        _check_content_type(webhook)
        _check_events(webhook)
    names = [webhook.endpoint for webhook in settings.webhooks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError(
            f"monitor.webhooks: two endpoints are called {twice[0]!r}; give each its own name"
        )
    if settings.keys.file:
        load(Path(settings.keys.file))
    return settings


def is_wanted(kind: str, pattern: str) -> bool:
    """Whether a type of event is the one that is asked for, or begins with a prefix such as "drift.*"."""
    return kind == pattern or (pattern.endswith(".*") and kind.startswith(pattern[:-1]))


def _check_events(webhook: Webhook) -> None:
    for pattern in webhook.events:
        if not any(is_wanted(kind, pattern) for kind in EVENTS):
            families = dict.fromkeys(f"{kind.partition('.')[0]}.*" for kind in EVENTS)
            close = difflib.get_close_matches(pattern, [*EVENTS, *families], n=1, cutoff=0.0)[0]
            raise SettingsError(
                f"monitor.webhooks: events of {webhook.endpoint} has {pattern!r}, which no event is; "
                f"the closest known is {close!r}, and without `events` all are sent"
            )


def _check_source(source: str) -> None:
    if not source or not _is_plain(source):
        raise SettingsError(
            f"monitor.source is {source!r}, wanted a URI or a path such as /driftgate/monitor; receivers of "
            "CloudEvents refuse events without one"
        )


def _check_content_type(webhook: Webhook) -> None:
    kind = webhook.content_type
    if not (kind.isascii() and kind.isprintable() and "/" in kind):
        raise SettingsError(
            f"monitor.webhooks: content_type of {webhook.endpoint} is {kind!r}, wanted one such as "
            "application/json; nothing could be sent with it"
        )


def _is_plain(text: str) -> bool:
    """Whether it has neither spaces nor characters that cannot be seen."""
    return text.isprintable() and " " not in text


def _check_url(webhook: Webhook) -> None:
    try:
        url = urlsplit(webhook.url)
        reachable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
        reachable = reachable and _is_plain(webhook.url)
    except ValueError:
        reachable = False
    if not reachable:
        raise SettingsError(
            f"monitor.webhooks: url is {webhook.url!r}, wanted an address such as "
            "https://jobs.example/retrain; nothing could be delivered there"
        )
