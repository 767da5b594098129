"""The shipped policies: valid, and honest about how they differ from the defaults."""

from pathlib import Path

import pytest

from driftgate import settings
from driftgate.demo import policies
from driftgate.demo.stage import prepare
from rollouts import spec_file
from rollouts.rollout import RolloutSpec


@pytest.mark.parametrize("file", [policies.ROLLOUT, policies.CANARY], ids=lambda file: file.stem)
def test_margins_and_error_rates_are_the_defaults(file: Path) -> None:
    """Only waiting times, counts and shares are made for a fast stream; accuracy is required."""
    spec = spec_file.read(file)
    assert spec.decision == RolloutSpec().decision
    assert spec.guards == RolloutSpec().guards
    assert all((one.margin, one.floor, one.cap) == (None, None, None) for one in spec.metrics)
    assert {one.name for one in spec.metrics if one.required} == {"error-rate", "accuracy"}
    assert spec.steps[-1].hold.until == "pass"


def test_the_canary_meets_users_at_once_and_the_rollout_does_not() -> None:
    """Version 4 must hold user traffic to fall; versions 2 and 3 begin in shadow."""
    assert spec_file.read(policies.CANARY).steps[0].weight_share > 0
    assert spec_file.read(policies.ROLLOUT).steps[0].weight_share == 0


def test_differences_are_found_by_comparing() -> None:
    """Each line says the value and the default; what is the default is not told."""
    lines = policies.rollout_differences(policies.ROLLOUT)
    assert "steps: 2 (default 4)" in lines
    assert "metrics.accuracy.required: true (default false)" in lines
    assert "steps.1.hold.for: 2s (default 2m)" in lines
    assert not any("alpha" in line for line in lines)


def test_settings_differ_in_pace_only() -> None:
    """The monitor's budget and its tolerances are the defaults."""
    lines = policies.settings_differences(policies.SETTINGS)
    assert any(line.startswith("pace.pilot: 250ms (default ") for line in lines)
    assert not any("detection" in line for line in lines)


def test_the_settings_of_a_run_can_be_honoured(tmp_path: Path) -> None:
    """Folders, free ports and the webhook are filled in; everything lies below the run's folder."""
    stage = prepare(tmp_path / "demo-run")
    policies.write_settings(stage, "http://127.0.0.1:1")
    value = settings.load(stage.settings, {}, {}).value
    gateway, monitor = settings.gateway_settings(value), settings.monitor_settings(value)
    assert (gateway.http.port, gateway.operator.port, monitor.port) == (0, 0, 0)
    assert Path(gateway.data).is_relative_to(stage.folder)
    assert [webhook.events for webhook in monitor.webhooks] == [("retrain.requested",)]
