"""How each peer's server is started, where it answers the work, and how all of its processes end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from loadtests.bench.cost import tree
from loadtests.bench.peers.environments import Installed
from loadtests.bench.servers import STOP_S, Server, free_port, pinned, wait_until
from loadtests.bench.works import Work

READY_S: Final = 120.0
_FILES: Final = Path(__file__).parent / "servers"
_LAST: Final = 300


class NotStartedError(Exception):
    """A peer that was installed, but did not come up or did not answer."""


Command = tuple[list[str], str, dict[str, str]]
"""What to run, the path that answers the work, and what the environment holds besides."""


def _mlserver(here: Installed, work: Work, port: int, folder: Path) -> Command:
    # One process, as the others have: without parallel_workers 0 a request would cross to a second one.
    server = {"http_port": port, "parallel_workers": 0, "debug": False, "host": "127.0.0.1"}
    server |= {"grpc_port": free_port(), "metrics_port": free_port()}
    model = {"name": "work", "implementation": "mlserver_model.Work", "parameters": {"uri": str(work.model)}}
    (folder / "settings.json").write_text(json.dumps(server))
    (folder / "model-settings.json").write_text(json.dumps(model))
    command = [str(here.python.parent / "mlserver"), "start", str(folder)]
    return command, "/v2/models/work/infer", {"PYTHONPATH": str(_FILES)}


def _kserve(here: Installed, work: Work, port: int, folder: Path) -> Command:
    del folder
    command = [str(here.python), str(_FILES / "kserve_model.py"), str(work.model), str(port)]
    return command, "/v2/models/work/infer", {}


def _litserve(here: Installed, work: Work, port: int, folder: Path) -> Command:
    del folder
    return [str(here.python), str(_FILES / "litserve_api.py"), str(work.model), str(port)], "/predict", {}


def _bentoml(here: Installed, work: Work, port: int, folder: Path) -> Command:
    command = [str(here.python.parent / "bentoml"), "serve", "bentoml_service:Work"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--working-dir", str(_FILES)]
    more = {"WORK": str(work.model), "BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "true"}
    return command, "/infer", more


COMMANDS: Final[Mapping[str, Callable[[Installed, Work, int, Path], Command]]] = {
    "mlserver": _mlserver,
    "kserve": _kserve,
    "litserve": _litserve,
    "bentoml": _bentoml,
}


@contextlib.contextmanager
def serving(here: Installed, work: Work, cores: str | None) -> Iterator[Server]:
    """A peer that answers the work; NotStartedError with its last line where it does not."""
    name, port = here.peer.name, free_port()
    with tempfile.TemporaryDirectory(prefix=f"bench-{name}-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        command, path, more = COMMANDS[name](here, work, port, folder)
        said = folder / "output"
        with said.open("wb") as output:
            process = subprocess.Popen(
                [*pinned(cores), *command],
                env={**os.environ, **more},
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,
            )
        url = f"http://127.0.0.1:{port}{path}"
        try:
            try:
                wait_until(_answers(url, work), name, process, READY_S)
            except RuntimeError as error:
                last = said.read_text(errors="replace").strip().splitlines() or [""]
                raise NotStartedError(f"{error}; it said: {last[-1][:_LAST]}") from None
            yield Server(name, url, tree(process.pid), [])
        finally:
            _end(process)


def _answers(url: str, work: Work) -> Callable[[], bool]:
    body, headers = work.request()

    def answers() -> bool:
        request = urllib.request.Request(url, body, headers)  # noqa: S310  loopback
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5):  # noqa: S310  loopback
            return True
        return False

    return answers


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask, then insist; its workers are in its session and end with it."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
