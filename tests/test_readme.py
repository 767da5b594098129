"""The README's tour works: every command in it but the two is run, in order, against real processes."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
THE_TWO: Final = "make demo\nmake test\n"
PORTS: Final = {"http": 8080, "operator": 8081, "monitor": 8090}
RECEIVER: Final = 8900
SECONDS: Final = 240


def blocks() -> list[str]:
    """The fenced shell blocks, in order."""
    return BLOCK.findall((ROOT / "README.md").read_text())


def free_ports(count: int) -> Iterator[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    yield from ports


def shell(script: str, folder: Path, environ: dict[str, str]) -> tuple[int, str]:
    """Exit code and output of a script, of which nothing is left when its time is over."""
    with (folder / "told.txt").open("w+") as told:
        process = subprocess.Popen(
            ["/usr/bin/env", "bash", "-c", script],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            code = -1
            os.killpg(process.pid, signal.SIGTERM)
        told.seek(0)
        return code, told.read()


def test_the_two_commands_stand_there_alone() -> None:
    """One block holds the two commands and nothing else."""
    assert blocks().count(THE_TWO) == 1
    assert blocks()[0] == THE_TWO


@pytest.mark.system
def test_the_tour_runs(tmp_path: Path) -> None:
    """Typed in order into one shell, every command of the tour does what the README says."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    *ports, receiver = free_ports(len(PORTS) + 1)
    moved = {
        str(RECEIVER): str(receiver),
        **dict(zip(map(str, PORTS.values()), map(str, ports), strict=True)),
    }
    script = "\n".join(
        ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT", *blocks()[1:]]
    )
    for old, new in moved.items():
        script = re.sub(rf"\b{old}\b", new, script)
    settings = tmp_path / "examples" / "tour.yaml"
    settings.write_text(settings.read_text().replace(str(RECEIVER), str(receiver)))
    by_name = dict(zip(PORTS, ports, strict=True))
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DRIFTGATE_")},
        **{f"DRIFTGATE_{name.upper()}_PORT": str(port) for name, port in by_name.items()},
        **{f"DRIFTGATE_{name.upper()}_URL": f"http://127.0.0.1:{port}" for name, port in by_name.items()},
        "DRIFTGATE_GATEWAY_URL": f"http://127.0.0.1:{by_name['http']}",
    }
    del environ["DRIFTGATE_HTTP_URL"]
    code, told = shell(script, tmp_path, environ)
    assert code == 0, told[-6000:]
    for said in (
        "version 1 says [1, 0]",
        "1 label of loans is in the log",
        "✔ succeeded",
        "✔ undo loans: version 1 answers everything",
        "✔ training answered 202",
        "tour/loans.parquet",
    ):
        assert said in told
