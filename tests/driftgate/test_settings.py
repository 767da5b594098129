"""All settings in one struct: nothing is added, nothing is left out, and each program gets its own part."""

import re
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from driftgate import settings
from driftgate.cli.config import check
from driftgate.variables import CLIENT_VARIABLES
from gateway.settings import GatewaySettings
from groundwork.errors import DriftgateError, SettingsError
from groundwork.settings import fields
from monitor.settings import MonitorSettings
from registry_client.directory import DirectoryRegistry
from tests.monitor import worlds


def test_the_gateways_settings_are_at_the_top_and_the_monitors_below_monitor() -> None:
    """Every setting of either program is there once, and no other."""
    gateway = [setting.name for setting in fields(GatewaySettings)]
    monitor = [
        f"monitor.{setting.name}"
        for setting in fields(MonitorSettings)
        if setting.name.split(".")[0] not in settings.SHARED
    ]
    assert [setting.name for setting in settings.all_settings()] == [*gateway, *monitor]


def test_both_programs_share_data_and_models() -> None:
    """`data` and `models` are set once and reach both."""
    value = settings.load(None, {"data": "here", "models": "there"}, {}).value
    gateway, monitor = settings.gateway_settings(value), settings.monitor_settings(value)
    assert (gateway.data, gateway.models) == (monitor.data, monitor.models) == ("here", "there")


def test_defaults_are_those_of_the_programs() -> None:
    """Joining the structs changes no default."""
    value = settings.load(None, {}, {}).value
    assert settings.gateway_settings(value) == GatewaySettings()
    assert settings.monitor_settings(value) == MonitorSettings(
        data=GatewaySettings().data, models=GatewaySettings().models
    )


def test_file_variables_and_flags_count_in_rising_order(tmp_path: Path) -> None:
    """A flag wins over a variable, a variable over the file, that over the default; each names its source."""
    file = tmp_path / "driftgate.yaml"
    file.write_text("workers: 3\nhttp: {port: 1}\noperator: {port: 1}\nmonitor: {port: 1, poll: 2s}\n")
    environ = {"DRIFTGATE_HTTP_PORT": "2", "DRIFTGATE_OPERATOR_PORT": "2"}
    loaded = settings.load(file, {"http.port": 3}, environ)
    gateway, monitor = settings.gateway_settings(loaded.value), settings.monitor_settings(loaded.value)
    assert (gateway.workers, gateway.operator.port, gateway.http.port) == (3, 2, 3)
    assert (monitor.port, monitor.poll) == (1, 2.0)
    assert loaded.sources["workers"] == f"file {file}"
    assert loaded.sources["operator.port"] == "variable DRIFTGATE_OPERATOR_PORT"
    assert loaded.sources["http.port"] == "flag --http-port"


def test_variables_of_the_command_are_no_settings() -> None:
    """Addresses for the remote verbs may stand in the environment of `up`."""
    loaded = settings.load(None, {}, dict.fromkeys(CLIENT_VARIABLES, "http://127.0.0.1:1"))
    assert loaded == settings.load(None, {}, {})


def test_an_unknown_variable_is_an_error() -> None:
    """A misspelt variable is named, with the one that was meant."""
    with pytest.raises(SettingsError, match=r"DRIFTGATE_WORKER: .*DRIFTGATE_WORKERS"):
        settings.load(None, {}, {"DRIFTGATE_WORKER": "2"})


def test_both_programs_share_keys_and_limits(tmp_path: Path) -> None:
    """Who may ask, and how much, is said once for every port."""
    file = tmp_path / "keys.yaml"
    file.touch(0o600)
    value = settings.load(None, {"keys.file": str(file), "limits.url_bytes": 99}, {}).value
    gateway, monitor = settings.gateway_settings(value), settings.monitor_settings(value)
    assert gateway.keys.file == monitor.keys.file == str(file)
    assert gateway.limits == monitor.limits


def test_what_the_gateway_cannot_honour_is_found_before_it_starts() -> None:
    """A command port that anybody could reach without a key is an error that names the setting."""
    with pytest.raises(SettingsError, match=r"operator\.host is .*keys\.file"):
        settings.load(None, {}, {"DRIFTGATE_OPERATOR_HOST": "0.0.0.0"})


def test_models_are_a_folder(tmp_path: Path) -> None:
    """A file where the registry should be is an error; a folder that is not there yet is made later."""
    file = tmp_path / "model.onnx"
    file.touch()
    with pytest.raises(SettingsError, match=r"model\.onnx, a file; give the folder"):
        settings.load(None, {"models": str(file)}, {})
    settings.load(None, {"models": str(tmp_path / "later")}, {})


def test_what_the_monitor_cannot_honour_is_found_before_it_starts() -> None:
    """The monitor's own checks run as the settings are loaded."""
    with pytest.raises(SettingsError, match=r"monitor\.host is .*keys\.file"):
        settings.load(None, {}, {"DRIFTGATE_MONITOR_HOST": "0.0.0.0"})


def test_a_platform_says_what_nobody_else_has_said(tmp_path: Path) -> None:
    """Vertex AI's and SageMaker's variables stand below a file, a variable and a flag of ours."""
    vertex = {"AIP_HTTP_PORT": "8088", "AIP_HEALTH_ROUTE": "/h", "AIP_PREDICT_ROUTE": "/v1/d:predict"}
    loaded = settings.load(None, {}, vertex)
    gateway = settings.gateway_settings(loaded.value)
    assert (gateway.http.port, gateway.http.host) == (8088, "0.0.0.0")
    assert (gateway.platform.vertex_health, gateway.platform.vertex_predict) == ("/h", "/v1/d:predict")
    assert loaded.sources["http.port"] == "variable AIP_HTTP_PORT"
    file = tmp_path / "driftgate.yaml"
    file.write_text("http: {port: 1}\n")
    said = {**vertex, "DRIFTGATE_PLATFORM_VERTEX_HEALTH": "/own", "SAGEMAKER_BIND_TO_PORT": "9"}
    gateway = settings.gateway_settings(settings.load(file, {}, said).value)
    assert (gateway.http.port, gateway.platform.vertex_health) == (1, "/own")
    sagemaker = settings.load(None, {}, {"SAGEMAKER_BIND_TO_PORT": "8081"}).value
    assert settings.gateway_settings(sagemaker).http.port == 8081


@pytest.mark.parametrize("environ", [{"AIP_HTTP_PORT": "many"}, {"AIP_HEALTH_ROUTE": "/{model}"}])
def test_a_platform_that_says_nonsense_is_refused(environ: dict[str, str]) -> None:
    """A port that is no number, or a route that is no path, names its variable."""
    with pytest.raises(SettingsError, match=next(iter(environ))):
        settings.load(None, {}, environ)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http: {port: 8081}", r"http\.port|operator\.port"),
        ("models: s3://bucket/x", r"'s3' is not known; use one of directory:"),
        ("grpc: {port: 8090}", r"grpc\.port is 8090, and so is monitor\.port"),
        ("monitor: {webhooks: [{url: 'http://x', secret: 'file:not-there'}]}", "cannot be read"),
        ("monitor: {webhooks: [{url: 'http://x', secret: 'env:NOT_SET'}]}", "NOT_SET is not set"),
        ("monitor: {webhooks: [{url: 'x', secret: 'env:NOT_SET'}]}", "wanted an address"),
    ],
)
def test_a_check_finds_what_only_a_start_would(tmp_path: Path, text: str, said: str) -> None:
    """`config check` refuses clashing ports, registries of no known kind and missing secrets, in any FILE."""
    file = tmp_path / "driftgate.yaml"
    file.write_text(text)
    for arguments in ([str(file)], ["--config", str(file)]):
        result = CliRunner().invoke(check, arguments)
        assert isinstance(result.exception, DriftgateError)
        assert re.search(said, str(result.exception))
    file.write_text("http: {port: 0}\noperator: {port: 0}\n")
    assert CliRunner().invoke(check, ["--config", str(file)]).exit_code == 0
    assert CliRunner().invoke(check, []).exit_code == 2


def test_a_check_warns_of_models_that_are_not_there(tmp_path: Path) -> None:
    """A mistyped name is told, to programs too; a registry that is elsewhere tells of none."""
    worlds.fill(DirectoryRegistry(tmp_path / "models"), "1")
    file = tmp_path / "driftgate.yaml"
    file.write_text(f"models: {tmp_path}/models\nplatform: {{default_model: loan}}\n")
    said = "platform.default_model names 'loan', and there is no such model (yet); did you mean 'loans'?"
    result = CliRunner().invoke(check, [str(file)])
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, f"! {said}")
    told = CliRunner().invoke(check, [str(file), "--json"])
    assert msgspec.json.decode(told.output)["warnings"] == [said]
    file.write_text("models: /not/there\nplatform: {default_model: loan}\n")
    assert "loan" not in CliRunner().invoke(check, [str(file)]).output
