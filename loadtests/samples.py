"""What a long run leaves behind, sampled: memory and processor time of every process, bytes of files, lag.

Memory is RSS, which counts the pages of mapped row files, and beside it its anonymous part (`RssAnon`), which
does not. RSS is what is judged: row files are bounded, so it must be flat as well; the anonymous part says
where growth came from.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadtests.bench import cost

NAMES: Final = (("gateway.worker", "worker"), ("monitor", "monitor"), ("gateway", "supervisor"), ("up", "up"))
"""Words of a command line, and what the process that has them is called; the first that fits."""
LOG: Final = "log"
GENERATOR: Final = "generator"
"""In `used`: this program with its senders."""


@dataclass(frozen=True)
class Sample:
    """One look, `seconds` after the start of what is judged (before it: less than 0).

    `memory` and, of it, `anonymous` are resident bytes by process, `files` bytes on disk by kind, `used`
    seconds of processor time by process so far, `machine` those of the whole machine, `lag` the monitor's
    seconds behind, `piece` microseconds that a piece of work costs (see `loadtests.yardstick`).
    """

    seconds: float
    memory: Mapping[str, int]
    files: Mapping[str, int]
    anonymous: Mapping[str, int] = field(default_factory=dict)
    used: Mapping[str, float] = field(default_factory=dict)
    machine: float = 0.0
    lag: float = 0.0
    piece: float = float("nan")


def processes(root: int) -> dict[str, int]:
    """Process numbers of the tree below `root` by name; several of one name are numbered."""
    found: dict[str, int] = {}
    for pid in sorted(cost.tree(root)):
        name = _name(pid)
        if name in found:
            name = next(f"{name}-{place}" for place in range(2, 1000) if f"{name}-{place}" not in found)
        found[name] = pid
    return found


def look(root: int, data: Path, seconds: float) -> Sample:
    """Sample now, but for `lag` and `piece`, which others know; what ends meanwhile is not in it."""
    found = {name: (pid, _resident(pid)) for name, pid in processes(root).items()}
    alive = {name: (pid, sizes) for name, (pid, sizes) in found.items() if sizes}
    return Sample(
        seconds,
        memory={name: sizes["VmRSS"] for name, (_, sizes) in alive.items()},
        files=_files(data),
        anonymous={name: sizes["RssAnon"] for name, (_, sizes) in alive.items()},
        used={name: cost.cpu_ns([pid]) / 1e9 for name, (pid, _) in alive.items()}
        | {GENERATOR: cost.cpu_ns(_ours(root)) / 1e9},
        machine=worked(),
    )


def worked() -> float:
    """Seconds that all processors have worked so far, for whomever."""
    user, nice, system, _, _, *interrupts = (cost.PROC / "stat").read_text().splitlines()[0].split()[1:9]
    ticks = sum(map(int, (user, nice, system, *interrupts)))
    return ticks / os.sysconf("SC_CLK_TCK")


def _files(data: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for path in data.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                kind = path.relative_to(data).parts[0].removesuffix("-wal").removesuffix("-shm")
                sizes[kind] = sizes.get(kind, 0) + path.stat().st_blocks * 512
    return sizes


def _resident(pid: int) -> dict[str, int]:
    """Bytes by the kernel's word for them; empty for a process that has ended."""
    try:
        lines = (cost.PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return {}
    words = [line.split() for line in lines if line.startswith(("VmRSS:", "RssAnon:"))]
    return {name.removesuffix(":"): int(size) * 1024 for name, size, _ in words}


def _ours(root: int) -> list[int]:
    return sorted(set(cost.tree(os.getpid())) - set(cost.tree(root)))


def _name(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "ended"
    return next((name for word, name in NAMES if word in words), "other")
