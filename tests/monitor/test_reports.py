"""Tests of monitor.reports: how long it is known what a receiver reported."""

from pathlib import Path

import msgspec

from groundwork.database import transaction
from monitor.blocks import Mark
from monitor.incidents import Incident
from monitor.reports import Report
from monitor.store import load_reports, save_incident
from tests.monitor.test_delivery import Bench


async def test_what_was_reported_of_a_forgotten_request_is_forgotten_with_it(tmp_path: Path) -> None:
    """A report goes with its request, but for the one by which an open incident may be asked about again."""
    bench = Bench(tmp_path)
    gone, held = (bench.promise(number, kind="retrain.requested") for number in (1, 2))
    for event in (gone, held):
        await bench.dispatcher.save_report(event, Report("failed"))
    incident = _incident(held)
    _keep(bench, incident)
    await bench.dispatcher.step()
    await bench.dispatcher.step()
    last = bench.promise(3, kind="retrain.requested")
    await bench.dispatcher.save_report(last, Report("running"))
    await bench.pass_time(31 * 86_400)
    assert load_reports(bench.db, [gone, held, last]) == {held: "failed", last: "running"}
    _keep(bench, msgspec.structs.replace(incident, state="resolved"))
    await bench.pass_time(3_601)
    assert load_reports(bench.db, [gone, held, last]) == {last: "running"}
    await bench.dispatcher.close()
    bench.db.close()


def _keep(bench: Bench, incident: Incident) -> None:
    with transaction(bench.db):
        save_incident(bench.db, incident)


def _incident(trigger: str) -> Incident:
    """An open one that asked for a retrain."""
    return Incident(
        id="inc_1",
        model="m",
        version="1",
        opened=Mark(),
        onset=Mark(),
        latest=Mark(),
        groups=("risk",),
        findings=(),
        evidence=20.0,
        threshold=18.0,
        trigger=trigger,
    )
