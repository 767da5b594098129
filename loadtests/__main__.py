"""`make loadtest`: everything set up, a minute of locust with a canary on the way, a verdict, an exit code.

What runs: a model pushed a moment ago, `driftgate up` on free loopback ports, one caller alone for the idle
figure, then locust (a closed loop: see docs/loadtesting.md for what that hides). Everything that is started
here is ended here.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from loadtests import criteria, ledger
from loadtests.criteria import PREDICT, Counted
from loadtests.plan import Facts, Plan
from loadtests.subject import Subject, publish, running

REPORT: Final = Path(__file__).parent / "report"
IDLE_S: Final = 5.0
PACE_S: Final = 0.25
MOST_USERS: Final = 1000
SECONDS: Final = (10.0, 3600.0)
GRACE_S: Final = 60.0


def main() -> int:
    """Run it; 0 when every criterion holds."""
    asked = _arguments()
    REPORT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="driftgate-load-") as name:
        folder = Path(name)
        print("Training and pushing a model …")
        reference = publish(folder)
        with running(folder, workers=asked.workers) as subject:
            publish(folder, 2)
            plan = Plan(
                subject.operator, str(reference), str(folder / "idle.json"), IDLE_S, 0.0, canary=False
            )
            idle = _locust(subject, plan, users=1)
            p99 = idle.p99_ms[PREDICT]
            print(f"Idle: {idle.requests[PREDICT]} requests one after the other, 99 % within {p99:.1f} ms.")
            plan = Plan(subject.operator, str(reference), str(folder / "facts.json"), asked.seconds, PACE_S)
            facts = _locust(subject, plan, users=asked.users)
            answered = ledger.metric(subject.http, "driftgate_requests_total", _answered)
            lost = ledger.metric(subject.http, "driftgate_log_rows_lost_total")
        counted = Counted(idle, answered, lost, ledger.logged(folder / "data"))
    checks = criteria.judge(facts, counted)
    print(criteria.table(checks))
    print(f"Report: {os.path.relpath(REPORT / 'index.html')}")
    return 0 if all(check.passed for check in checks) else 1


def _answered(labels: dict[str, str]) -> bool:
    """Whether a sample of driftgate_requests_total counts answers to callers."""
    return labels["arm"] in {"stable", "candidate"} and labels["outcome"] == "ok"


def _locust(subject: Subject, plan: Plan, users: int) -> Facts:
    """Locust in a process of its own (it replaces the standard library's sockets)."""
    command = [sys.executable, "-m", "locust", "--locustfile", str(Path(__file__).parent / "locustfile.py")]
    command += ["--headless", "--host", subject.http, "--users", str(users), "--spawn-rate", str(users)]
    command += ["--run-time", f"{plan.seconds:.0f}s", "--stop-timeout", "10", "--exit-code-on-error", "0"]
    if plan.canary:
        print(
            f"{users} callers, at most {1 / plan.pace:g} requests a second each, for {plan.seconds:g} s …",
            flush=True,
        )
        command += ["--only-summary", "--html", str(REPORT / "index.html")]
    environ = {**os.environ, "LOAD_PLAN": msgspec.json.encode(plan).decode(), "NO_PROXY": "127.0.0.1"}
    subprocess.run(
        command,
        env=environ,
        check=True,
        timeout=plan.seconds + GRACE_S,
        cwd=Path(__file__).parent.parent,
        stdout=None if plan.canary else subprocess.DEVNULL,
        stderr=None if plan.canary else subprocess.DEVNULL,
    )
    return msgspec.json.decode(Path(plan.facts).read_bytes(), type=Facts)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__.split("\n\n")[0])
    parser.add_argument("--users", type=int, default=50, help="callers (default 50)")
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long (default 60)")
    parser.add_argument("--workers", type=int, default=2, help="workers of the gateway (default 2)")
    asked = parser.parse_args()
    if not (1 <= asked.users <= MOST_USERS and SECONDS[0] <= asked.seconds <= SECONDS[1]):
        parser.error(f"wanted 1 to {MOST_USERS} users and {SECONDS[0]:g} to {SECONDS[1]:g} seconds")
    return asked


if __name__ == "__main__":
    sys.exit(main())
