"""Shadowed requests: the routes, the settings and the callers that several tests of shadow runs share."""

import threading
from typing import Any

import msgspec

from gateway.inference import Array
from gateway.log_settings import JournalSettings
from gateway.model import LoadedModel
from gateway.responses import Response
from gateway.run_settings import RequestSettings
from gateway.session import Session
from gateway.settings import GatewaySettings
from rollouts.route import FULL, Route
from tests.facts import DEADLINE
from tests.gateway.worlds import ROW, World, call, request

BAD = [5.0, *ROW[1:]]
"""What `fragile_logistic` fails at."""
SHADOWED = Route(model="m", revision=3, stable="1", shadow="2", shadow_share=FULL)
CANARY = msgspec.structs.replace(SHADOWED, revision=4, candidate="2", weight=FULL // 2)
PLAIN = Route(model="m", revision=9, stable="1")
SETTINGS = {
    "as-ever": GatewaySettings(),
    "large": GatewaySettings(requests=RequestSettings(inline_body_bytes=100)),
    "sampled": GatewaySettings(journal=JournalSettings(sampling={"m": 0.5})),
    "dropped": GatewaySettings(journal=JournalSettings(columns={"m": {"x": "drop"}})),
}


class Gate(Session):
    """A session whose runs wait until the gate is open."""

    def __init__(self, session: Session) -> None:
        self.begun = False
        self.go = threading.Event()
        self.signature = session.signature
        self._inner = session

    def run(self, feeds: dict[str, Array]) -> list[Array]:
        """As the session's own, once the gate is open."""
        self.begun = True
        assert self.go.wait(DEADLINE)
        return self._inner.run(feeds)

    def close(self) -> None:
        """As the session's own."""
        self._inner.close()


class Watched(Gate):
    """A session whose runs go on at once; how many rows each had, and whether off the loop's thread."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.go.set()
        self.rows: list[int] = []
        self.off_the_loop: list[bool] = []

    def run(self, feeds: dict[str, Array]) -> list[Array]:
        """As the session's own."""
        self.rows.append(len(feeds["x"]))
        self.off_the_loop.append(threading.current_thread() is not threading.main_thread())
        return super().run(feeds)


def close_gate(version: LoadedModel) -> Gate:
    """Have all runs of a version wait, off the loop."""
    version.session = gate = Gate(version.session)
    version.inline_rows, version.strays = -1, True
    return gate


async def ask(here: World, *requests: list[list[float]], version: str = "", **more: Any) -> None:
    """Send requests of these rows one after the other."""
    named = {"x-driftgate-version": version} if version else {}
    for rows in requests:
        answer = here.core.begin(call(request(rows, **more), **named))
        response = answer if isinstance(answer, Response) else await answer
        assert response.status in {200, 500}
