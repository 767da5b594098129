"""What a judge says about one metric: three-valued, with both sides' evidence.

Evidence is a natural logarithm of an e-value: 0 says nothing, ln 20 = 3.0 is what a 5 % error rate asks
for. A verdict without data is OPEN with evidence 0 on both sides.
"""

import math
from enum import StrEnum

import msgspec


class Call(StrEnum):
    """PASS: proven within the margin. FAIL: proven beyond it. OPEN: neither, or no data."""

    PASS = "PASS"  # noqa: S105  no secret
    FAIL = "FAIL"
    OPEN = "OPEN"


class Verdict(msgspec.Struct, frozen=True):
    """One metric's verdict.

    `fail_evidence` and `pass_evidence` are ln e-values, the thresholds what each must reach. `n` is how many
    observations it rests on, in the metric's own `unit`; `detail` has the counts behind it; `reason` is the
    sentence for people. `required` and `weight` repeat the specification, so that a verdict stands alone.
    """

    metric: str
    verdict: Call = Call.OPEN
    fail_evidence: float = 0.0
    fail_threshold: float = math.log(20)
    pass_evidence: float = 0.0
    pass_threshold: float = math.log(20)
    n: int = 0
    unit: str = "requests"
    required: bool = True
    weight: float = 1.0
    detail: dict[str, float | int] = {}
    reason: str = ""
