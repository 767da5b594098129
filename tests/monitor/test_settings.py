"""Tests of monitor.settings: what cannot be honoured is refused before anything starts."""

import ast
import inspect

import pytest

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
