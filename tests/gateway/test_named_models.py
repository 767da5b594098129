"""Tests of gateway.named_models."""

import contextlib
import io
from pathlib import Path

import pytest

from gateway.log_settings import JournalSettings
from gateway.named_models import Stranger, strangers, warn
from gateway.run_settings import ModelOptions, RunSettings
from gateway.settings import GatewaySettings, PlatformSettings
from gateway.supervisor import known_models
from groundwork.clock import FakeClock
from groundwork.logs import Log
from registry_client.directory import DirectoryRegistry
from registry_client.errors import RegistryError
from rollouts.store import SqliteStore
from tests.monitor import worlds

KNOWN = {"fraud", "loans"}


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        (GatewaySettings(), []),
        (
            GatewaySettings(platform=PlatformSettings(default_model="froud")),
            [Stranger("platform.default_model", "froud", "fraud")],
        ),
        (
            GatewaySettings(runs=RunSettings(models={"iris": ModelOptions(), "loans": ModelOptions()})),
            [Stranger("runs.models", "iris", "")],
        ),
        (
            GatewaySettings(
                journal=JournalSettings(
                    sampling={"*": 0.5, "loan": 0.1, "fraud": 1.0},
                    columns={"*": {"name": "drop"}, "Fraud": {"name": "hash"}, "loans": {}},
                )
            ),
            [Stranger("journal.sampling", "loan", "loans"), Stranger("journal.columns", "Fraud", "fraud")],
        ),
    ],
)
def test_every_setting_that_names_a_model_nobody_knows_is_told(
    settings: GatewaySettings, found: list[Stranger]
) -> None:
    """With the closest name that is there; `*` names none."""
    assert strangers(settings, KNOWN) == found


def test_the_operator_is_told_of_each() -> None:
    """One line for each, with a name where one is close."""
    told = io.StringIO()
    settings = GatewaySettings(journal=JournalSettings(sampling={"loan": 0.1, "x": 0.1}))
    warn(settings, KNOWN, Log(told, FakeClock()))
    near, far = told.getvalue().splitlines()
    assert "warning model-not-there setting=journal.sampling model=loan closest=loans" in near
    assert far.endswith("setting=journal.sampling model=x")


def test_a_stranger_is_a_sentence() -> None:
    """It says which setting, which model, and what may have been meant."""
    assert str(Stranger("a.b", "x", "")) == "a.b names 'x', and there is no such model (yet)"
    assert str(Stranger("a.b", "x", "y")).endswith("; did you mean 'y'?")


def test_a_start_knows_models_of_the_registry_and_of_routes(tmp_path: Path) -> None:
    """A registry that cannot be read hides no route; without any it is a mistyped place."""
    models = tmp_path / "models"
    settings = GatewaySettings(
        data=str(tmp_path), models=str(models), journal=JournalSettings(sampling={"loans": 0.5})
    )
    with pytest.raises(RegistryError):
        known_models(settings, tmp_path)
    with contextlib.closing(SqliteStore(tmp_path / "rollouts.db", FakeClock())) as store:
        store.ensure_first("gone", "1", "gateway")
    assert set(known_models(settings, tmp_path)) == {"gone"}
    worlds.fill(DirectoryRegistry(models), "1")
    assert set(known_models(settings, tmp_path)) == {"gone", "loans"}
