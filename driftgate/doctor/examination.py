"""All that a doctor looks at, by area, in the order of the report. A check that fails itself is a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from driftgate.doctor import clock, registry, state, surroundings
from driftgate.doctor.finding import Finding, Subject, fail, one_line
from groundwork.errors import DriftgateError

Check = Callable[[Subject], Iterator[Finding]]

CHECKS: Final[Mapping[str, Check]] = {
    "installation": surroundings.installation,
    "settings": surroundings.settings,
    "ports": surroundings.ports,
    "stores": state.stores,
    "registry": registry.registry,
    "log": state.log,
    "slots": state.slots,
    "clock": clock.clock,
    "limits": surroundings.limits,
    "keys": surroundings.keys,
}


def examine(subject: Subject) -> list[Finding]:
    """Every finding; changes nothing. Reads every artifact and every database once: seconds per gigabyte."""
    found: list[Finding] = []
    for area, check in CHECKS.items():
        try:
            found += check(subject)
        except (DriftgateError, OSError) as error:
            found.append(fail(area, f"could not be looked at: {one_line(error)}", "see the message"))
    return found


def is_well(found: list[Finding]) -> bool:
    """Whether nothing failed; warnings are well enough."""
    return all(finding.level != "fail" for finding in found)
