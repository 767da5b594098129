"""Facts: looked for until they are there, until they are impossible, or until their time is over."""

import time
from collections.abc import Iterator, Sequence
from typing import Self

import httpx
import pytest

from driftgate.demo.facts import Facts, Found, Impossible
from driftgate.errors import DemoError


class Silence:
    """A screen that shows nothing and remembers the facts."""

    def __init__(self) -> None:
        self.facts: list[str] = []

    def act(self, number: int, title: str, text: str) -> None:
        """Nothing."""

    def say(self, lines: Sequence[str]) -> None:
        """Nothing."""

    def waiting(self, name: str) -> None:
        """Nothing."""

    def fact(self, name: str, detail: str) -> None:
        """Remember it."""
        self.facts.append(f"{name}: {detail}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing."""


def facts(trouble: str | None = None) -> tuple[Facts, Silence]:
    """Facts told to a silent screen; `trouble` stands in the way of everything."""
    screen = Silence()
    return Facts(screen, lambda: trouble), screen


async def test_a_fact_is_looked_for_until_it_is_there() -> None:
    """What came with it is returned, and it is told once with its own time."""
    told, screen = facts()
    looks: Iterator[Found | str | httpx.ConnectError] = iter(
        [
            "not yet",
            httpx.ConnectError("busy", request=httpx.Request("GET", "http://x")),
            Found(5.0, "here", 42),
        ]
    )

    async def look() -> Found | str:
        found = next(looks)
        if isinstance(found, Exception):
            raise found
        return found

    assert await told.until("it rains", "sky", look, seconds=10) == 42
    assert screen.facts == ["it rains: here"]
    assert [(fact.name, fact.at, fact.source) for fact in told.happened] == [("it rains", 5.0, "sky")]


async def test_a_fact_whose_time_is_over_is_named_with_what_there_was_instead() -> None:
    """The deadline ends the wait."""
    told, _ = facts()

    async def look() -> Found | str:
        return "only clouds"

    with pytest.raises(DemoError, match=r"the fact that did not happen: it rains \(after 0 s: only clouds\)"):
        await told.until("it rains", "sky", look, seconds=0)


async def test_a_program_that_says_no_is_asked_again() -> None:
    """An answer of 503 is no answer yet: the next look may find the fact."""
    told, _ = facts()
    answers = iter([503, 200])

    async def look() -> Found | str:
        request = httpx.Request("GET", "http://monitor/v1/status")
        httpx.Response(next(answers), request=request).raise_for_status()
        return Found(5.0, "here", 42)

    assert await told.until("it rains", "sky", look, seconds=10) == 42


async def test_an_impossible_fact_ends_the_wait_at_once() -> None:
    """Nobody waits for a deadline when the answer is known."""
    told, _ = facts()

    async def look() -> Found | str:
        raise Impossible("the sky fell")

    began = time.monotonic()
    with pytest.raises(DemoError, match=r"it rains \(the sky fell\)"):
        await told.until("it rains", "sky", look, seconds=60)
    assert time.monotonic() - began < 30


async def test_a_program_that_ended_ends_the_wait() -> None:
    """The trouble is told with the fact that it prevented."""
    told, _ = facts("the gateway ended with exit code 1")

    async def look() -> Found | str:
        return "nothing"

    with pytest.raises(DemoError, match=r"it rains \(the gateway ended with exit code 1\)"):
        await told.until("it rains", "sky", look, seconds=60)
