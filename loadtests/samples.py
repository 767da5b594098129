"""What a long run leaves behind, sampled: the memory of every process, the bytes of every kind of file."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.bench import cost

NAMES: Final = (("gateway.worker", "worker"), ("monitor", "monitor"), ("gateway", "supervisor"), ("up", "up"))
"""Words of a command line, and what the process that has them is called; the first that fits."""
LOG: Final = "log"


@dataclass(frozen=True)
class Sample:
    """One look: seconds since the start, resident bytes by process, bytes on disk by kind of file."""

    seconds: float
    memory: dict[str, int]
    files: dict[str, int]


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
    """Sample now; what ends meanwhile is not in it."""
    memory = {name: cost.rss_bytes([pid]) for name, pid in processes(root).items()}
    files: dict[str, int] = {}
    for path in data.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                kind = path.relative_to(data).parts[0].removesuffix("-wal").removesuffix("-shm")
                files[kind] = files.get(kind, 0) + path.stat().st_blocks * 512
    return Sample(seconds, {name: size for name, size in memory.items() if size}, files)


def _name(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "ended"
    return next((name for word, name in NAMES if word in words), "other")
