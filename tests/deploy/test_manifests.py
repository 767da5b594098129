"""The Kubernetes manifests as kustomize builds them: valid, safe, and true about the programs."""

import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from driftgate import settings
from gateway.app import DOOR_SECONDS
from gateway.children import PATIENCE_SECONDS
from groundwork import key_file, keys
from groundwork.errors import SettingsError
from tests.deploy import tools
from tests.sources import ROOT

BASE: Final = "k8s/base"
OVERLAY: Final = "k8s/overlays/prometheus"
OURS: Final = "monitoring.coreos.com/v1"
"""Custom resources: no schema of theirs comes with Kubernetes."""
VERSIONS: Final = ("1.32", "1.34", "1.37")
Document = dict[str, Any]


@cache
def built(folder: str) -> list[Document]:
    """Every document that `kubectl kustomize` makes of a folder."""
    return [
        part for part in yaml.safe_load_all(tools.run("kubectl", "kustomize", folder, folder=ROOT)) if part
    ]


def written() -> list[Document]:
    """Every object of Kubernetes' own as it stands in the files."""
    files = [file for folder in (BASE, OVERLAY) for file in sorted((ROOT / folder).glob("*.yaml"))]
    parts = [part for file in files for part in yaml.safe_load_all(file.read_text())]
    others = (OURS.partition("/")[0], "kustomize.config.k8s.io")
    return [part for part in parts if "kind" in part and not part["apiVersion"].startswith(others)]


def one(folder: str, kind: str, name: str = "driftgate") -> Document:
    """The one document of this kind whose name is this, or this and a hash of its content."""
    named = re.compile(rf"{name}(-[a-z0-9]{{10}})?")
    (found,) = [
        part for part in built(folder) if part["kind"] == kind and named.fullmatch(part["metadata"]["name"])
    ]
    return found


def pod(folder: str) -> Document:
    """The spec of the one pod."""
    found: Document = one(folder, "StatefulSet")["spec"]["template"]["spec"]
    return found


def containers(folder: str) -> dict[str, Document]:
    """Every container of the pod by name."""
    spec = pod(folder)
    return {part["name"]: part for part in (*spec["initContainers"], *spec["containers"])}


def shipped_settings(tmp_path: Path, folder: str, program: str) -> Any:
    """The settings a container comes up with: those of the ConfigMap under its variables."""
    file = tmp_path / "driftgate.yaml"
    file.write_text(one(folder, "ConfigMap")["data"]["driftgate.yaml"])
    environ = {part["name"]: part["value"] for part in containers(folder)[program].get("env", ())}
    if "DRIFTGATE_KEYS_FILE" in environ:
        environ["DRIFTGATE_KEYS_FILE"] = str(_mounted_keys(tmp_path))
    return settings.load(file, {}, environ).value


def _mounted_keys(folder: Path) -> Path:
    """A keys file with one key, standing for the one that the Secret is mounted as."""
    path = folder / "keys.yaml"
    key, _ = keys.create("prober", ["read"], datetime(2026, 1, 1, tzinfo=UTC))
    key_file.save(path, [key])
    return path


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", [BASE, OVERLAY])
def test_the_manifests_are_valid_to_the_letter(folder: str, version: str) -> None:
    """Every document fits Kubernetes' own schema, and has no property that the schema does not know."""
    documents = [part for part in built(folder) if part["apiVersion"] != OURS]
    assert len(documents) >= len(built(BASE))
    for part in documents:
        kubernetes_validate.validate(part, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_files_are_valid_where_there_is_no_kubectl(version: str) -> None:
    """Each object as it is written, before kustomize, has no property that the schema does not know."""
    found = written()
    assert {part["kind"] for part in found} >= {"StatefulSet", "Service", "NetworkPolicy"}
    for part in found:
        kubernetes_validate.validate(part, version, strict=True)


def test_strict_means_that_a_misspelt_property_is_refused() -> None:
    """The validation that the other test trusts is able to fail."""
    wrong = {**one(BASE, "Service"), "spek": {}}
    with pytest.raises(kubernetes_validate.ValidationError, match="spek"):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@pytest.mark.parametrize("folder", [BASE, OVERLAY])
def test_what_selects_pods_selects_ours(folder: str) -> None:
    """Services, policies and the set all find the pod by labels that it carries."""
    template = one(folder, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
    paths: Mapping[str, tuple[str, ...]] = {
        "Service": ("selector",),
        "NetworkPolicy": ("podSelector", "matchLabels"),
        "StatefulSet": ("selector", "matchLabels"),
    }
    for part in built(folder):
        if part["kind"] in paths:
            selected = part["spec"]
            for key in paths[part["kind"]]:
                selected = selected[key]
            assert selected
            assert selected.items() <= template.items(), part["metadata"]["name"]


def test_clients_of_the_gateway_need_one_label_only() -> None:
    """The policy's own selector has not leaked into whom it lets in."""
    (rule,) = one(BASE, "NetworkPolicy")["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"driftgate-client": "true"}}}]
    assert rule["ports"] == [{"port": name, "protocol": "TCP"} for name in ("http", "grpc")]


def test_there_is_one_replica_and_a_second_would_not_start() -> None:
    """One replica; the first container that runs refuses any other place, and a data volume is one pod's."""
    spec = one(BASE, "StatefulSet")["spec"]
    assert spec["replicas"] == 1
    first = spec["template"]["spec"]["initContainers"][0]
    assert "pod-index" in first["env"][0]["valueFrom"]["fieldRef"]["fieldPath"]
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]


@pytest.mark.parametrize(("place", "refused"), [("0", False), ("1", True)])
def test_the_guard_against_a_second_replica_works(place: str, *, refused: bool) -> None:
    """Place 0 is let through, any other ends with a line that says what to do."""
    _, _, script = containers(BASE)["only-one"]["command"]
    if refused:
        with pytest.raises(SystemExit, match="scale to 1"):
            _run_guard(script, place)
    else:
        _run_guard(script, place)


def _run_guard(script: str, place: str) -> None:
    """The script of the first container, with its variable replaced by a value."""
    exec(script.replace('os.environ["POD_INDEX"]', repr(place)), {})  # noqa: S102  our own manifest


@pytest.mark.parametrize("name", ["only-one", "monitor", "gateway"])
def test_every_container_is_confined(name: str) -> None:
    """No root, no writable root file system, no capability, no escalation, the default seccomp profile."""
    assert containers(OVERLAY)[name]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    around = pod(OVERLAY)["securityContext"]
    assert around["runAsNonRoot"]
    assert around["seccompProfile"] == {"type": "RuntimeDefault"}
    assert f"USER {around['runAsUser']}:{around['runAsGroup']}\n" in (ROOT / "Dockerfile").read_text()
    assert pod(OVERLAY)["automountServiceAccountToken"] is False


def test_every_container_says_what_it_needs() -> None:
    """Requests of CPU and memory, and a limit of memory."""
    for part in containers(BASE).values():
        assert set(part["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in part["resources"]["limits"]


def test_nothing_that_answers_waits_for_the_monitor() -> None:
    """The monitor is a sidecar that is stopped last, and no probe of it holds the gateway back."""
    monitor = containers(BASE)["monitor"]
    assert monitor["restartPolicy"] == "Always"
    assert {"startupProbe", "readinessProbe"} & set(monitor) == set()
    for name in ("driftgate", "driftgate-headless"):
        assert one(BASE, "Service", name)["spec"]["publishNotReadyAddresses"] is True


def test_the_shipped_settings_are_honoured(tmp_path: Path) -> None:
    """Both programs accept the ConfigMap, and it agrees with the ports and mounts of the containers."""
    value = shipped_settings(tmp_path, BASE, "gateway")
    mounts = {part["mountPath"] for part in containers(BASE)["gateway"]["volumeMounts"]}
    assert {value.data, value.models} <= mounts
    ports = {
        part["name"]: part["containerPort"]
        for name in ("gateway", "monitor")
        for part in containers(BASE)[name]["ports"]
    }
    assert ports == {name: getattr(value, name).port for name in ("http", "grpc", "operator", "monitor")}
    assert containers(BASE)["gateway"]["args"][0] == "serve"
    assert containers(BASE)["monitor"]["args"][0] == "monitor"


@pytest.mark.parametrize("program", ["gateway", "monitor"])
def test_the_settings_of_the_keys_are_honoured(tmp_path: Path, program: str) -> None:
    """With keys, both programs know where they are and the monitor listens off loopback."""
    value = shipped_settings(tmp_path, OVERLAY, program)
    assert value.monitor.host == "0.0.0.0"
    assert value.keys.file == str(tmp_path / "keys.yaml")


@pytest.mark.parametrize("program", ["gateway", "monitor"])
def test_both_programs_are_given_the_keys(program: str) -> None:
    """The Secret is mounted where the variable points, for reading only, and the manifests hold no key."""
    part = containers(OVERLAY)[program]
    (variable,) = [item["value"] for item in part["env"] if item["name"] == "DRIFTGATE_KEYS_FILE"]
    (mount,) = [item for item in part["volumeMounts"] if item["name"] == "keys"]
    assert Path(variable).parent == Path(mount["mountPath"])
    assert mount["readOnly"]
    assert [item["secret"]["secretName"] for item in pod(OVERLAY)["volumes"] if item["name"] == "keys"] == [
        "driftgate-keys"
    ]
    assert not [item for item in built(OVERLAY) if item["kind"] == "Secret"]


def test_kubernetes_puts_no_variable_of_a_service_into_the_containers() -> None:
    """Variables such as DRIFTGATE_PORT, made from a Service of our name, would be refused."""
    assert pod(BASE)["enableServiceLinks"] is False
    with pytest.raises(SettingsError, match="DRIFTGATE_PORT"):
        settings.load(None, {}, {"DRIFTGATE_PORT": "tcp://10.0.0.1:80"})


def test_a_stop_has_the_time_it_needs(tmp_path: Path) -> None:
    """The pod's grace covers the gateway's drain, door and all, and the monitor's way to the log's end."""
    value = shipped_settings(tmp_path, BASE, "gateway")
    drain = value.stop.delay + DOOR_SECONDS + value.stop.linger + value.stop.limit + PATIENCE_SECONDS
    assert pod(BASE)["terminationGracePeriodSeconds"] >= drain + value.monitor.catch_up + 10


def test_balancers_have_time_to_notice_a_stop(tmp_path: Path) -> None:
    """The gateway itself answers on for some looks of the readiness probe: no hook has to sleep for it."""
    gateway = containers(BASE)["gateway"]
    probe = gateway["readinessProbe"]
    noticed = probe["failureThreshold"] * probe["periodSeconds"] + probe["timeoutSeconds"]
    assert noticed < shipped_settings(tmp_path, BASE, "gateway").stop.delay <= 10
    assert "lifecycle" not in gateway


def test_probes_ask_what_the_programs_answer() -> None:
    """The gateway is asked on its data port, the monitor from inside its container."""
    gateway, monitor = containers(BASE)["gateway"], containers(BASE)["monitor"]
    asked = {name: gateway[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert asked == {
        "startup": {"path": "/v2/health/ready", "port": "http"},
        "readiness": {"path": "/v2/health/ready", "port": "http"},
        "liveness": {"path": "/v2/health/live", "port": "http"},
    }
    settings = monitor["args"][1:]
    assert monitor["livenessProbe"]["exec"]["command"] == [
        "driftgate", "doctor", "--probe", "monitor", *settings,
    ]  # fmt: skip


def test_images_are_of_this_version() -> None:
    """The tag that the manifests ask for is the version of the project."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {part["image"] for part in containers(BASE).values()} == {
        f"driftgate-gateway:{version}",
        f"driftgate-monitor:{version}",
    }


def test_the_service_monitor_scrapes_both_programs() -> None:
    """Both ports of a Service that it selects, with our own labels kept and a key for reading."""
    spec = one(OVERLAY, "ServiceMonitor")["spec"]
    service = one(OVERLAY, "Service", "driftgate-metrics")
    assert spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [part["port"] for part in spec["endpoints"]] == [part["name"] for part in service["spec"]["ports"]]
    for part in spec["endpoints"]:
        assert set(part) == {"port", "path", "interval", "scrapeTimeout", "honorLabels", "authorization"}
        assert part["path"] == "/metrics"
        assert part["honorLabels"] is True
        assert set(part["authorization"]["credentials"]) == {"name", "key"}
    assert service["spec"]["publishNotReadyAddresses"] is True


def test_the_prometheus_rule_is_built_in() -> None:
    """The overlay carries groups of rules, each with a name of its own and the fields of an alert."""
    groups = one(OVERLAY, "PrometheusRule")["spec"]["groups"]
    assert len({group["name"] for group in groups}) == len(groups)
    for rule in (rule for group in groups for rule in group["rules"]):
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"(\d+[smh])?", rule.get("for", ""))
