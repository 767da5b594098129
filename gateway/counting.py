"""What a request adds to its worker's counters when its run has ended, well or badly.

Rules: plain additions at places that were looked up when the version was loaded; what is rare (a failure)
may look its place up. The stages are whole nanoseconds, and together the latency that is recorded. A request
that was pinned to its version is no evidence.
"""

from typing import Final

from gateway.call import Work
from gateway.stream import Noted
from prediction_log.record import Arm

_NANOSECONDS: Final = 1e9


def count_answered(values: memoryview, work: Work, noted: Noted) -> None:
    """Count a run whose answer is encoded and recorded, and where its time went."""
    arm, meters = work.arm, work.model.meters
    values[meters.ok[arm]] += 1
    values[meters.consecutive_errors] = 0
    meters.observe[arm](noted.latency)
    read, queued, ran = work.began - work.queued - work.started, work.queued, work.ended - work.began
    values[meters.rows] += work.request.rows
    values[meters.decoded] += int(read * _NANOSECONDS)
    values[meters.ran] += int(ran * _NANOSECONDS)
    values[meters.encoded] += max(0, noted.latency * 1000 - int((work.ended - work.started) * _NANOSECONDS))
    values[meters.last] = noted.time // 1_000_000
    if queued:
        values[meters.queued] += int(queued * _NANOSECONDS)
    if work.counted:
        values[work.bound.evidence[arm].requests] += 1


def count_failed(values: memoryview, work: Work, noted: Noted) -> None:
    """Count a run that failed, against the arm that it was for."""
    arm, meters = work.arm, work.model.meters
    rerun = arm is Arm.CANDIDATE
    values[meters.rerun() if rerun else meters.failed(arm)] += 1
    values[meters.consecutive_errors] += 1
    values[meters.failed_time()] += noted.latency * 1000
    meters.observe_failed(arm, noted.latency, rerun=rerun)
    if work.counted:
        evidence = work.bound.evidence[arm]
        values[evidence.requests] += 1
        values[evidence.errors] += 1
