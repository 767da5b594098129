"""Tests of monitor.reports: how long it is known what a receiver reported."""

from pathlib import Path

from monitor import outbox
from monitor.reports import Report, listed
from monitor.store import load_reports
from tests.monitor.test_delivery import Bench

ONE, TWO = "models/m/versions/1", "models/m/versions/2"


async def test_what_was_reported_of_a_versions_latest_request_is_never_forgotten(tmp_path: Path) -> None:
    """Policy goes by it, however short events are kept; other reports go with their requests."""
    bench = Bench(tmp_path)
    gone, held, other = (
        bench.promise(number, kind="retrain.requested", subject=subject)
        for number, subject in ((1, ONE), (2, ONE), (3, TWO))
    )
    for event in (gone, held, other):
        await bench.dispatcher.save_report(event, Report("failed"))
    last = bench.promise(4)
    for _ in range(4):  # one delivery of a model after the other
        await bench.dispatcher.step()
    await bench.pass_time(31 * 86_400)
    assert load_reports(bench.db, [gone, held, other]) == {held: "failed", other: "failed"}
    assert [found.id for found in listed(bench.db, 9)] == [other, held]
    await bench.dispatcher.save_report(held, Report("succeeded"))
    assert load_reports(bench.db, [held]) == {held: "succeeded"}
    bench.promise(5, subject=ONE)
    await bench.pass_time(3_601)
    assert outbox.body_of(bench.db, last) is None
    assert load_reports(bench.db, [held]) == {held: "succeeded"}
    await bench.dispatcher.close()
    bench.db.close()
