"""What a process tree has used: CPU time to the nanosecond from the scheduler, memory from the kernel."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")


def tree(root: int) -> list[int]:
    """`root` and all of its descendants that are alive."""
    parents: dict[int, int] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def cpu_ns(pids: list[int]) -> int:
    """Time on a processor of all threads of `pids` so far, in ns; processes that ended count nothing."""
    return sum(sum(threads_ns(pid).values()) for pid in pids)


def threads_ns(pid: int) -> dict[str, int]:
    """Time on a processor of each thread of a process so far, in ns, by number; {} where it has ended."""
    used = {}
    for task in _tasks(pid):
        try:
            used[task.name] = int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue
    return used


def rss_bytes(pids: list[int]) -> int:
    """Resident memory of `pids` in bytes, shared pages counted in each."""
    total = 0
    for pid in pids:
        try:
            status = (PROC / str(pid) / "status").read_text()
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024
    return total


def _tasks(pid: int) -> list[Path]:
    try:
        return list((PROC / str(pid) / "task").iterdir())
    except OSError:
        return []
