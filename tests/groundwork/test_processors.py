"""Processors by cgroup, over trees of files as kernels and containers show them."""

from pathlib import Path

import pytest

from groundwork.processors import kind_of_processor, processors


def tree(folder: Path, own: str, **files: str) -> tuple[Path, Path]:
    """A tree of cgroups (`__` for `/` and `_DOT_` for `.` in names), and what /proc/self/cgroup says."""
    root = folder / "cgroup"
    root.mkdir()
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (folder / "own").write_text(own)
    return root, folder / "own"


@pytest.mark.parametrize(
    ("own", "files", "wanted"),
    [
        ("0::/\n", {"cpu_DOT_max": "200000 100000\n"}, 2.0),
        ("0::/\n", {"cpu_DOT_max": "50000 100000\n"}, 0.5),
        ("0::/\n", {"cpu_DOT_max": "max 100000\n"}, 16.0),
        ("0::/a/b\n", {"a__cpu_DOT_max": "300000 100000", "a__b__cpu_DOT_max": "max 100000"}, 3.0),
        ("0::/a/b\n", {"a__cpu_DOT_max": "300000 100000", "a__b__cpu_DOT_max": "150000 100000"}, 1.5),
        ("0::/kubepods/of/the/host\n", {"cpu_DOT_max": "400000 100000"}, 4.0),
        ("0::/../above\n", {"cpu_DOT_max": "400000 100000"}, 4.0),
        (
            "5:cpu,cpuacct:/x\n0::/\n",
            {
                "cpu,cpuacct__x__cpu_DOT_cfs_quota_us": "250000",
                "cpu,cpuacct__x__cpu_DOT_cfs_period_us": "100000",
            },
            2.5,
        ),
        (
            "1:cpu:/\n",
            {"cpu__cpu_DOT_cfs_quota_us": "-1\n", "cpu__cpu_DOT_cfs_period_us": "100000\n"},
            16.0,
        ),
        ("3:memory:/x\n", {}, 16.0),
        ("", {}, 16.0),
        ("0::/\n", {"cpu_DOT_max": "what\n"}, 16.0),
    ],
)
def test_the_tightest_limit_of_either_version_counts(
    tmp_path: Path, own: str, files: dict[str, str], wanted: float
) -> None:
    """A quota of ours or above us is honoured; "max", -1 and what cannot be read limit nothing."""
    root, mine = tree(tmp_path, own, **files)
    assert processors(root, mine, 16) == wanted


def test_the_affinity_counts_too(tmp_path: Path) -> None:
    """A cpuset (which the affinity shows) below the quota is the limit."""
    root, mine = tree(tmp_path, "0::/\n", cpu_DOT_max="800000 100000")
    assert processors(root, mine, 3) == 3.0


def test_without_cgroups_the_affinity_is_all_there_is(tmp_path: Path) -> None:
    """Where no file can be read the answer is what the scheduler allows."""
    assert processors(tmp_path / "no", tmp_path / "file", 5) == 5.0
    assert processors(tmp_path / "no", tmp_path / "file") >= 1.0


def test_a_kind_of_processor_is_its_model_and_instruction_sets(tmp_path: Path) -> None:
    """Its number and its speed at the moment say nothing of the kind, and only the first one is asked."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(
        "processor\t: 0\nmodel name\t: A\ncpu MHz\t: 2100.0\nflags\t: avx\n\nprocessor\t: 1\nflags\t: sse\n"
    )
    told = kind_of_processor(cpuinfo)
    assert told.splitlines()[1:] == ["model name\t: A", "flags\t: avx"]
    cpuinfo.write_text(cpuinfo.read_text().replace("2100", "900"))
    assert kind_of_processor(cpuinfo) == told
    assert kind_of_processor(tmp_path / "none") == told.splitlines()[0]
