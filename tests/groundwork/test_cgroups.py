"""Memory by cgroup, over trees of files as kernels and containers show them."""

from pathlib import Path

import pytest

from groundwork.cgroups import memory, spare_memory

PHYSICAL = 64 << 30
NONE = "9223372036854771712\n"
"""How version 1 says that there is no limit."""


def tree(folder: Path, own: str, files: dict[str, str]) -> None:
    """Lay these files out below `folder / "cgroup"`, and `folder / "own"`."""
    for name, content in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (folder / "own").write_text(own)


@pytest.mark.parametrize(
    ("own", "files", "wanted"),
    [
        ("0::/\n", {"memory.max": "2147483648\n"}, 2 << 30),
        ("0::/\n", {"memory.max": "max\n"}, PHYSICAL),
        ("0::/\n", {"memory.max": str(128 << 30)}, PHYSICAL),
        ("0::/a/b\n", {"a/memory.max": "1073741824", "a/b/memory.max": "max"}, 1 << 30),
        ("0::/a/b\n", {"a/memory.max": "1073741824", "a/b/memory.max": "536870912"}, 1 << 29),
        ("0::/kubepods/of/the/host\n", {"memory.max": "1073741824"}, 1 << 30),
        ("9:memory:/x\n8:cpu:/y\n", {"memory/x/memory.limit_in_bytes": "1073741824\n"}, 1 << 30),
        ("9:memory:/of/the/host\n", {"memory/memory.limit_in_bytes": "1073741824\n"}, 1 << 30),
        (
            "9:memory:/x\n",
            {"memory/memory.limit_in_bytes": NONE, "memory/x/memory.limit_in_bytes": NONE},
            PHYSICAL,
        ),
        # Hybrid: version 2 names our cgroup, and version 1 limits it, or the other way round.
        (
            "4:memory:/x\n0::/x\n",
            {"unified/x/cgroup.procs": "1\n", "memory/x/memory.limit_in_bytes": "1073741824\n"},
            1 << 30,
        ),
        ("4:cpu:/x\n0::/x\n", {"unified/x/memory.max": "1073741824\n"}, 1 << 30),
        ("4:cpu:/x\n", {"memory/x/memory.limit_in_bytes": "1073741824\n"}, PHYSICAL),
        ("0::/\n", {"memory.max": "what\n"}, PHYSICAL),
        ("", {}, PHYSICAL),
    ],
)
def test_the_tightest_limit_of_either_version_counts(
    tmp_path: Path, own: str, files: dict[str, str], wanted: int
) -> None:
    """A limit of ours or above us is honoured; "max", the greatest number and no file limit nothing."""
    tree(tmp_path, own, files)
    assert memory(PHYSICAL, tmp_path / "cgroup", tmp_path / "own") == wanted


def test_without_cgroups_the_machine_s_memory_is_all_there_is(tmp_path: Path) -> None:
    """Where no file can be read there is no limit but the machine's."""
    assert memory(PHYSICAL, tmp_path / "no", tmp_path / "file") == PHYSICAL
    assert 0 < memory(PHYSICAL) <= PHYSICAL


MEMINFO = "MemTotal:  1000 kB\nMemAvailable:  4096 kB\n"


@pytest.mark.parametrize(
    ("own", "files", "wanted"),
    [
        ("", {}, 4096 << 10),
        ("0::/\n", {"memory.max": "max", "memory.current": "99"}, 4096 << 10),
        (
            "0::/a\n",
            {
                "a/memory.max": "1000000",
                "a/memory.current": "700000",
                "a/memory.stat": "anon 5\ninactive_file 9\n",
            },
            300_009,
        ),
        ("0::/a\n", {"a/memory.max": "1000000", "a/memory.current": "1000001"}, 0),
        (
            "9:memory:/x\n",
            {
                "memory/x/memory.limit_in_bytes": "1000",
                "memory/x/memory.usage_in_bytes": "900",
                "memory/x/memory.stat": "inactive_file 1\ntotal_inactive_file 30\n",
            },
            130,
        ),
    ],
)
def test_memory_to_spare_is_what_the_tightest_limit_leaves(
    tmp_path: Path, own: str, files: dict[str, str], wanted: int
) -> None:
    """Pages of files that are given back when they are wanted count as free."""
    tree(tmp_path, own, files)
    (tmp_path / "meminfo").write_text(MEMINFO)
    assert spare_memory(tmp_path / "meminfo", tmp_path / "cgroup", tmp_path / "own") == wanted


def test_where_nothing_can_be_read_no_memory_is_to_spare(tmp_path: Path) -> None:
    """Who cannot tell takes none; here something can be read."""
    assert spare_memory(tmp_path / "no", tmp_path / "no", tmp_path / "no") == 0
    assert spare_memory() > 0
