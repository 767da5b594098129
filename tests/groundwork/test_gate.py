"""The gate: who is let through, what the others are told, and what their operator is."""

import datetime as dt
import io
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from groundwork.allowance import Allowance
from groundwork.clock import FakeClock
from groundwork.denials import LINES, MINUTE, Audit, Denial
from groundwork.gate import OPEN, REMEMBERED, Gate, Guarded, Keys, api_scope
from groundwork.keys import OPERATE, READ, Key, KeyBook, create
from groundwork.logs import Log
from tests.keys import NOW

HERE = int(NOW.timestamp()) * 10**9


class Bench:
    """A gate over some keys, and what it counted and told."""

    def __init__(self, *keys: Key) -> None:
        self.clock = FakeClock(HERE)
        self.lines = io.StringIO()
        self.counts: Counter[tuple[str, str]] = Counter()
        audit = Audit(Log(self.lines, self.clock), self._count, self.clock)
        self.keys = Keys(Allowance.private(), self.clock)
        if keys:
            self.keys.use(KeyBook(keys))
        self.gate = Gate(self.keys, audit)

    def _count(self, reason: str, scope: str) -> None:
        self.counts[reason, scope] += 1

    def ask(self, scope: str | None, peer: str = "192.0.2.1", **headers: str) -> Any:
        """What the gate says to a request."""
        given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        return self.gate.admit(given, scope, {"client": (peer, 1), "method": "POST", "path": "/p"})

    def told(self, scope: str | None, **headers: str) -> tuple[int, str]:
        """Status and code of a refusal."""
        found = self.ask(scope, **headers)
        assert isinstance(found, Denial)
        return found.status, found.code


def test_an_api_is_read_or_operated() -> None:
    """Health is open, looking wants to read, and whatever else there is, or is to come, to operate."""
    asked = [
        ("GET", "/healthz"),
        ("GET", "/x"),
        ("HEAD", "/x"),
        ("POST", "/x"),
        ("DELETE", "/x"),
        ("BREW", "/x"),
    ]
    assert [api_scope(*one) for one in asked] == [None, READ, READ, OPERATE, OPERATE, OPERATE]


def test_without_keys_the_gate_is_open() -> None:
    """Nobody is asked where no keys are configured; an empty set of keys is not the same."""
    bench = Bench()
    assert bench.ask("operate") is OPEN
    bench.keys.use(KeyBook(()))
    assert bench.told("operate") == (401, "no-key")
    assert bench.ask(None) is OPEN


def test_each_way_of_showing_a_key() -> None:
    """Bearer in any case, X-API-Key, and an Authorization of another scheme beside it."""
    key, text = create("a", ["infer"], NOW)
    bench = Bench(key)
    for _ in range(2):
        assert bench.ask("infer", authorization=f"Bearer {text}").id == key.id
        assert bench.ask("infer", authorization=f"bEARER   {text} ").id == key.id
        assert bench.ask("infer", x_api_key=text).id == key.id
        assert bench.ask("infer", authorization="Basic eDp5", x_api_key=text).id == key.id


def test_an_authorization_that_is_no_bearer_shows_no_key() -> None:
    """A good key without the word Bearer, or with another, is refused like none, remembered keys included."""
    key, text = create("a", ["infer"], NOW)
    bench = Bench(key)
    for _ in range(2):
        for shown in (text, f"Key {text}", f"Bearer{text}", "Basic eDp5", "Bearer", "Bearer "):
            assert bench.told("infer", authorization=shown) == (401, "no-key"), shown
        assert bench.told("infer", x_api_key=f"Bearer {text}") == (401, "bad-key")
        assert bench.ask("infer", x_api_key=text).id == key.id
        assert bench.ask("infer", authorization=f"Bearer {text}").id == key.id
    assert bench.told("infer", authorization="Bearer x") == (401, "bad-key")


def test_each_reason_to_refuse_has_its_status() -> None:
    """No key, a wrong one, one past its time and one for something else are told apart as HTTP does."""
    key, text = create("a", ["infer"], NOW, expires=NOW + dt.timedelta(seconds=1))
    bench = Bench(key)
    assert bench.told("infer") == (401, "no-key")
    assert bench.told("infer", x_api_key="") == (401, "no-key")
    assert bench.told("infer", x_api_key=text[:-1] + ("0" if text[-1] != "0" else "1")) == (401, "bad-key")
    assert bench.told("infer", x_api_key="x" * 100_000) == (401, "bad-key")
    assert bench.told("read", x_api_key=text) == (403, "wrong-scope")
    assert bench.ask("infer", x_api_key=text).id == key.id
    bench.clock.advance(1)
    assert bench.told("infer", x_api_key=text) == (401, "expired-key")
    assert bench.counts["bad-key", "infer"] == 2
    assert b'"invalid_token"' in dict(bench.ask("infer", x_api_key="x").headers)[b"www-authenticate"]


def test_a_revoked_key_is_forgotten() -> None:
    """A key that was remembered as good is refused as soon as the set has changed."""
    (old, old_text), (new, new_text) = create("a", ["infer"], NOW), create("a", ["infer"], NOW)
    bench = Bench(old, new)
    assert bench.ask("infer", x_api_key=old_text).id == old.id
    bench.keys.use(KeyBook([new]))
    assert bench.told("infer", x_api_key=old_text) == (401, "bad-key")
    assert bench.ask("infer", x_api_key=new_text).id == new.id


def test_what_is_remembered_is_bounded() -> None:
    """The owner of a key cannot make us remember without end."""
    key, text = create("a", ["infer"], NOW)
    bench = Bench(key)
    for number in range(2 * REMEMBERED):
        bench.ask("infer", authorization="Bearer " + " " * (number % 170) + text + " " * (number % 7))
        bench.ask("infer", authorization=f"Bearer {number}")
    assert len(bench.keys._bearers) <= REMEMBERED
    assert b"Bearer 1" not in bench.keys._bearers


def test_a_key_beyond_its_rate_is_told_when() -> None:
    """429 with the seconds until one more is there."""
    key, text = create("a", ["infer"], NOW, rate=0.25)
    bench = Bench(key)
    assert bench.ask("infer", x_api_key=text).id == key.id
    refused = bench.ask("infer", x_api_key=text)
    assert (refused.status, dict(refused.headers)[b"retry-after"]) == (429, b"4")
    bench.clock.advance(4)
    assert bench.ask("infer", x_api_key=text).id == key.id


def test_a_key_with_too_much_under_way_waits() -> None:
    """One more than its concurrency is a 429; an answer makes room."""
    key, text = create("a", ["infer"], NOW, concurrency=2)
    bench = Bench(key)
    first, second = bench.ask("infer", x_api_key=text), bench.ask("infer", x_api_key=text)
    assert (first.counted, second.counted) == (True, True)
    assert bench.told("infer", x_api_key=text) == (429, "too-many-at-once")
    bench.keys.leave(first)
    assert bench.ask("infer", x_api_key=text).id == key.id


def test_one_line_per_subject_and_minute_whatever_comes() -> None:
    """A flood of refusals is a bounded number of lines, and none of them shows a secret."""
    key, text = create("a", ["infer"], NOW)
    bench = Bench(key)
    for number in range(500):
        bench.ask("infer", peer=f"198.51.100.{number % 250}")
        bench.ask("read", x_api_key=text)
    assert len(bench.lines.getvalue().splitlines()) == LINES
    assert f"key {key.id}" in bench.lines.getvalue()
    bench.clock.advance(MINUTE)
    bench.ask("infer", peer="198.51.100.1")
    assert f"denied-more requests={1000 - LINES}" in bench.lines.getvalue()
    assert text.split("_")[2] not in bench.lines.getvalue()
    assert (bench.counts["no-key", "infer"], bench.counts["wrong-scope", "read"]) == (501, 500)


async def played(app: Guarded, **headers: str) -> list[dict[str, Any]]:
    """The messages that a POST gets; reading a body would fail."""
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        raise AssertionError("the body was read before the key")

    async def send(message: Any) -> None:
        sent.append(message)

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/p", "headers": given, "client": None}
    await app(scope, receive, send)
    return sent


async def test_nothing_runs_for_a_request_that_is_refused() -> None:
    """The application is not called and the body not read; the answer is the one error shape."""
    key, _ = create("a", ["infer"], NOW)
    bench = Bench(key)
    wanted: Callable[[str, str], str] = lambda _method, _path: "infer"  # noqa: E731  one word

    async def app(*_: Any) -> None:
        raise AssertionError("the application was called")

    start, body = await played(Guarded(app, bench.gate, wanted))
    assert start["status"] == 401
    assert (b"content-type", b"application/json") in start["headers"]
    assert body["body"].startswith(b'{"error":"')


async def test_a_request_that_breaks_gives_its_place_back() -> None:
    """Concurrency is given back whatever the application does."""
    key, text = create("a", ["infer"], NOW, concurrency=1)
    bench = Bench(key)

    async def app(*_: Any) -> None:
        raise RuntimeError("broken")

    guarded = Guarded(app, bench.gate, lambda _method, _path: "infer")
    for _ in range(3):
        with pytest.raises(RuntimeError, match="broken"):
            await played(guarded, x_api_key=text)
