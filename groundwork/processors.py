"""How many processors this process may use: what the cgroups and the affinity leave, not what the host has.

A container sees every processor of its host, whatever it was given; who counts those starts 64 workers on 2.

    version 2    cpu.max ("200000 100000": 200 ms of every 100 ms) of our cgroup and of each above it
    version 1    cpu.cfs_quota_us and cpu.cfs_period_us of the `cpu` hierarchy, likewise
    cpuset       sched_getaffinity, which the kernel keeps within the cpuset of either version

Rules: the tightest limit counts; a file that is not there, or says "max" or -1, limits nothing. Pure over a
tree of files: every root is an argument.
"""

import contextlib
import os
import platform
from pathlib import Path
from typing import Final

from groundwork.cgroups import CGROUPS, OWN, folders

CPUINFO: Final = Path("/proc/cpuinfo")
_CPU: Final = "cpu"
_TELLING: Final = frozenset({"vendor_id", "model name", "flags", "CPU implementer", "CPU part", "Features"})


def processors(cgroups: Path = CGROUPS, own: Path = OWN, allowed: int | None = None) -> float:
    """Processors for this process, 0.01 at least; `allowed` is how many the affinity leaves (None: ask).

    `own` names our cgroups as /proc/self/cgroup does; `cgroups` is where their files are mounted.
    """
    most = len(os.sched_getaffinity(0)) if allowed is None else allowed
    shares = (share for folder in folders(_CPU, cgroups, own) if (share := _share(folder)) is not None)
    return max(0.01, min((float(most), *shares)))


def kind_of_processor(cpuinfo: Path = CPUINFO) -> str:
    """The first processor: its family, and its model and instruction sets as /proc/cpuinfo tells them."""
    try:
        lines = cpuinfo.read_text().partition("\n\n")[0].splitlines()
    except OSError:
        lines = []
    told = [line for line in lines if line.partition(":")[0].strip() in _TELLING]
    return "\n".join([platform.machine(), *told])


def _share(folder: Path) -> float | None:
    """The processors that one cgroup allows; None where it sets no limit."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return _ratio(int(quota), int(period))
    with contextlib.suppress(OSError, ValueError):
        return _ratio(
            int((folder / "cpu.cfs_quota_us").read_text()), int((folder / "cpu.cfs_period_us").read_text())
        )
    return None


def _ratio(quota: int, period: int) -> float | None:
    return quota / period if quota > 0 and period > 0 else None
