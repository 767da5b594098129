"""What a running `driftgate up` shows and tells: scrapes of every port, and lines as machines read them."""

import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from driftgate.programs import Program
from driftgate.ring import Addresses
from registry_client.backends import open_registry
from tests import models
from tests.deploy import tools

pytestmark = pytest.mark.system
SECONDS = 60.0
SCRAPES = 8
"""As many connections meet every worker."""
BODY = {"inputs": [{"name": "x", "shape": [1, 30], "datatype": "FP32", "data": [0.1] * 30}]}


class Up:
    """A `driftgate up` with JSON lines, and where it answers."""

    def __init__(self, program: Program, told: Path, addresses: Addresses) -> None:
        self.program = program
        self.told = told
        self.addresses = addresses


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Up]:
    """One with a model and two workers."""
    models.publish(open_registry(str(tmp_path / "models"), tmp_path / "cache"), "m", "1", models.logistic())
    ready, told = tmp_path / "ready.json", tmp_path / "told"
    flags = [f"--{port}-port=0" for port in ("http", "operator", "monitor")]
    places = [f"--models={tmp_path / 'models'}", f"--data={tmp_path / 'data'}", f"--ready-file={ready}"]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("DRIFTGATE_")}
    with told.open("ab") as output:
        program = Program(
            "up",
            [sys.executable, "-P", "-m", "driftgate", "up", "--messages-form=json", *places, *flags],
            environ=environ,
            output=output,
        )
        await program.start()
        try:
            found = await program.ready(ready, SECONDS)
            yield Up(program, told, Addresses(**found))
        finally:
            await program.stop(SECONDS)


def scrape(url: str) -> str:
    """The text of /metrics, by a connection of its own."""
    return httpx.get(f"{url}/metrics", timeout=SECONDS).text


def counted(text: str) -> list[str]:
    """The series of answered requests."""
    return [line for line in text.splitlines() if line.startswith("driftgate_requests_total")]


async def test_every_scrape_is_whole_and_sound_and_every_line_is_an_object(up: Up) -> None:
    """Any worker tells of all of them; what is told to the operator is JSON, to the end."""
    addresses = up.addresses
    async with httpx.AsyncClient(timeout=SECONDS) as client:
        for _ in range(5):
            answer = await client.post(f"{addresses.http}/v2/models/m/infer", json=BODY)
            assert answer.status_code == 200
    texts = [scrape(addresses.http) for _ in range(SCRAPES)]
    assert {tuple(counted(text)) for text in texts} == {tuple(counted(scrape(addresses.operator)))}
    assert 'driftgate_rollout_state{model="m",state="steady"} 1.0' in texts[0]
    assert await up.program.stop(SECONDS)
    lines = up.told.read_text().splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert {"worker-ready", "ready", "stopping", "worker-stopped"} <= {*events}


async def test_promtool_finds_nothing_to_say(up: Up) -> None:
    """Names, units, help texts and types of every port are as Prometheus wants them."""
    for url in (up.addresses.http, up.addresses.operator, up.addresses.monitor):
        said = tools.run("promtool", "check", "metrics", folder=up.told.parent, given=scrape(url))
        assert said == ""
