"""Tests of monitor.settings: what cannot be honoured is refused before anything starts."""

import ast
import inspect
from typing import Any

import pytest
from msgspec.structs import replace

from groundwork.errors import SettingsError
from monitor.events import DATA
from monitor.settings import EVENTS, MonitorSettings, Webhook, checked, is_wanted
from rollouts import verbs


def settings(*events: str) -> MonitorSettings:
    """Settings with one webhook that asks for these events."""
    webhook = Webhook(url="https://jobs.example/hook", secret="env:HOOK", name="training", events=events)
    return MonitorSettings(data="data", models="models", webhooks=(webhook,))


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("drift.detect", "drift.detected"),
        ("drfit.*", "drift.*"),
        ("drift*", "drift.*"),
        ("rollout.set-weight", "rollout.set_weight"),
        ("retrain_requested", "retrain.requested"),
        ("*", "drift.*"),
    ],
)
def test_events_that_nobody_sends_are_refused(pattern: str, meant: str) -> None:
    """A misspelt event would never fire: it is named with its endpoint and the closest known one."""
    with pytest.raises(SettingsError) as refused:
        checked(settings("retrain.requested", pattern))
    assert f"events of training has {pattern!r}" in str(refused.value)
    assert f"the closest known is {meant!r}" in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"poll": 0.0}, "monitor.poll is 0"),
        ({"source": ""}, "monitor.source is ''"),
        ({"source": "our monitor"}, "monitor.source is 'our monitor'"),
        ({"source": "a\nb"}, "monitor.source"),
    ],
)
def test_what_nobody_could_go_by_is_refused(changes: dict[str, Any], said: str) -> None:
    """A look without a pause would never end, and an event without a source is none."""
    with pytest.raises(SettingsError, match=said):
        checked(replace(settings(), **changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"url": "https://jobs.example/a b"}, "url is 'https://jobs.example/a b'"),
        ({"url": "https://jobs.example/\r\nx: y"}, "url is"),
        ({"content_type": "application/json\r\nx: y"}, "content_type of training"),
        ({"content_type": "jsön/x"}, "content_type of training"),
        ({"content_type": ""}, "content_type of training"),
    ],
)
def test_a_webhook_that_no_request_can_be_made_of_is_refused(changes: dict[str, str], said: str) -> None:
    """Every attempt would fail, and the event be a dead letter a day later."""
    webhook = replace(settings().webhooks[0], **changes)
    with pytest.raises(SettingsError, match=said):
        checked(replace(settings(), webhooks=(webhook,)))


@pytest.mark.parametrize("pattern", [*EVENTS, "drift.*", "retrain.*", "rollout.*", "webhook.*"])
def test_every_event_can_be_asked_for(pattern: str) -> None:
    """Each type, and each family of types, is honoured."""
    assert checked(settings(pattern)) == settings(pattern)
    assert checked(settings()) == settings()


def test_every_type_of_event_is_known() -> None:
    """What may be asked for is what there is: the types that have data, and every verb of a rollout."""
    assert [name for name in DATA if not any(is_wanted(kind, name) for kind in EVENTS)] == []
    assert [kind for kind in EVENTS if not any(is_wanted(kind, name) for name in DATA)] == []
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(verbs))) if isinstance(node, ast.Call)]
    changes = [call.args[-1] for call in calls if ast.unparse(call.func) == "Change"]
    told = {str(verb.value).replace("-", "_") for verb in changes if isinstance(verb, ast.Constant)}
    assert {kind.partition(".")[2] for kind in EVENTS if kind.startswith("rollout.")} == {
        *told,
        "first",
        "crash",
    }
