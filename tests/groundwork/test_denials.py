"""Refusals: what they say, and that the page for operators names each."""

import re
from typing import Final

import pytest

from groundwork import denials
from groundwork.denials import Denial
from groundwork.turned_away import REFUSALS
from tests.sources import ROOT

ALL: Final = (
    denials.NO_KEY,
    denials.BAD_KEY,
    denials.EXPIRED_KEY,
    denials.wrong_scope("read"),
    denials.too_fast(1.0),
    denials.TOO_MANY,
)


def test_every_reason_is_explained() -> None:
    """docs/security.md has a line for each reason to refuse a request or a connection, and for no other."""
    page = (ROOT / "docs" / "security.md").read_text()
    explained = set(re.findall(r"^\| `([a-z-]+)` \| ?(?:\d{3})? ?\|", page, re.MULTILINE))
    assert explained == {denial.code for denial in ALL} | set(REFUSALS) | {"no-tls"}


@pytest.mark.parametrize("denial", ALL, ids=lambda denial: denial.code)
def test_a_refusal_is_told_as_http_wants_it(denial: Denial) -> None:
    """401 and 403 carry a challenge, 429 says when; the body is the one error shape."""
    wanted = b"retry-after" if denial.status == 429 else b"www-authenticate"
    assert wanted in dict(denial.headers)
    assert denial.body().startswith(b'{"error":"')


@pytest.mark.parametrize(("wait", "told"), [(1e-9, b"1"), (1.0, b"1"), (1.001, b"2"), (59.5, b"60")])
def test_the_time_to_wait_is_rounded_up(wait: float, told: bytes) -> None:
    """A caller that waits as long as it was told gets in."""
    assert dict(denials.too_fast(wait).headers)[b"retry-after"] == told
