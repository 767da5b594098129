"""The alert rules: sound, tested one by one, one source, and about metrics that we have."""

import re
from typing import Any, Final

import pytest
import yaml

from gateway import metrics as gateway_metrics
from monitor import metrics as monitor_metrics
from tests.deploy import rules, tools

UNIT_TESTS: Final = rules.FOLDER / "driftgate.rules.test.yml"
DECLARED: Final = {
    instrument.name: instrument.labels
    for instrument in (*gateway_metrics.INSTRUMENTS, *monitor_metrics.INSTRUMENTS)
}
NOT_YET: Final[dict[str, str]] = {}
GIVEN: Final = {"alertname", "severity", "namespace", "pod", "instance", "job"}
"""Labels of ours or of the scrape."""
METRIC: Final = re.compile(r"\bdriftgate_\w+")


def alerts() -> list[dict[str, Any]]:
    """Every alert of the plain rule file."""
    groups = yaml.safe_load(rules.PLAIN.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def names() -> list[Any]:
    """Every metric that an alert looks at, as parameters; those we cannot have yet are expected to fail."""
    found = sorted({name for alert in alerts() for name in METRIC.findall(alert["expr"])})
    return [
        pytest.param(name, marks=pytest.mark.xfail(reason=NOT_YET[name], strict=True))
        if name in NOT_YET
        else name
        for name in found
    ]


def test_promtool_finds_the_rules_sound() -> None:
    """Every expression parses, every template renders, and no rule stands twice."""
    assert f"SUCCESS: {len(alerts())} rules" in tools.run(
        "promtool", "check", "rules", "--lint-fatal", rules.PLAIN.name, folder=rules.FOLDER
    )


def test_every_alert_fires_and_stays_silent() -> None:
    """Promtool's unit tests of the rules pass."""
    assert "SUCCESS" in tools.run("promtool", "test", "rules", UNIT_TESTS.name, folder=rules.FOLDER)


def test_every_alert_has_a_unit_test_that_sees_it_fire_and_one_that_does_not() -> None:
    """An alert without both would be a hope."""
    document = yaml.safe_load(UNIT_TESTS.read_text())
    fired: set[str] = set()
    silent: set[str] = set()
    for case in document["tests"]:
        for check in case.get("promql_expr_test", ()):
            (silent, fired)[bool(check["exp_samples"])].update(re.findall('alertname="(.+?)"', check["expr"]))
        for check in case.get("alert_rule_test", ()):
            (silent, fired)[bool(check["exp_alerts"])].add(check["alertname"])
    every = {alert["alert"] for alert in alerts()}
    assert (every - fired, every - silent) == (set(), set())


def test_the_prometheus_rule_carries_the_groups_of_the_plain_file() -> None:
    """What the operator is given is made from the rule file, to the byte."""
    assert rules.WRAPPED.read_text() == rules.wrapped()
    document = yaml.safe_load(rules.WRAPPED.read_text())
    assert document["spec"] == yaml.safe_load(rules.PLAIN.read_text())
    assert (document["apiVersion"], document["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")


@pytest.mark.parametrize("name", names())
def test_alerts_look_at_metrics_that_are_declared(name: str) -> None:
    """A rule about a metric that nobody exposes would be silent for ever."""
    assert name in DECLARED


def test_alerts_name_labels_that_their_metrics_have() -> None:
    """A label in a text or a selector is one of the metric's own, or of the scrape."""
    for alert in alerts():
        used = METRIC.findall(alert["expr"])
        if any(name in NOT_YET for name in used):
            continue
        texts = " ".join(alert["annotations"].values())
        selected = re.findall(r'(\w+)=~?"', alert["expr"])
        labels = {label for name in used for label in DECLARED[name]} | GIVEN
        assert {*re.findall(r"\$labels\.(\w+)", texts), *selected} <= labels, alert["alert"]


def test_every_alert_says_what_is_so_and_what_to_do() -> None:
    """Whoever is woken finds a summary, an action and how bad it is."""
    for alert in alerts():
        assert alert["labels"]["severity"] in {"warning", "critical"}
        assert all(alert["annotations"][part] for part in ("summary", "action"))
