"""Every way of asking a port with and without a key; what each must get. Shared by the tests of all ports."""

from collections.abc import Iterator, Mapping
from typing import Final

import httpx

from groundwork.keys import SCOPES
from tests.keys import bearer

OPEN: Final = "open"
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
SHAPES: Final = ({"error", "code"}, {"error_code", "message"})
"""What an error has: ours, and MLflow's on its own paths."""
UNKNOWN: Final = f"dg_{'0' * 8}_{'0' * 64}"


def filled(template: str) -> str:
    """The template with names in it."""
    for name, value in {
        "model": "m",
        "version": "1",
        "verb": "abort",
        "name": "x",
        "event": "x",
        "label": "x",
    }.items():
        template = template.replace("{" + name + "}", value)
    return template


def strangers(texts: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Headers of requests that have no key, or none that is good."""
    half = texts["operate"][:-1]
    wrong = half + ("0" if texts["operate"][-1] != "0" else "1")
    yield {}
    for text in ("", "x", UNKNOWN, half, wrong, texts["operate"] + "0", texts["operate"].upper()):
        yield bearer(text)
        yield {"x-api-key": text}
    yield {"authorization": f"Basic {texts['operate']}"}
    yield {"authorization": texts["operate"]}
    yield {"x-driftgate-key": texts["operate"]}


async def check(
    client: httpx.AsyncClient, path: str, method: str, scope: str, texts: Mapping[str, str]
) -> None:
    """A route gives 401 to strangers, 403 to every other scope, and lets exactly its own scope through."""
    asked = f"{method} {path}"
    for headers in strangers(texts):
        answer = await client.request(method, path, headers=headers, content=b"{not json")
        if scope == OPEN:
            assert answer.status_code not in (401, 403), asked
            continue
        assert answer.status_code == 401, (asked, headers)
        assert answer.headers["www-authenticate"].startswith('Bearer realm="driftgate"'), asked
        assert method == "HEAD" or set(answer.json()) in SHAPES, asked
    for shown in SCOPES:
        answer = await client.request(method, path, headers=bearer(texts[shown]), content=b"{not json")
        if scope in (OPEN, shown):
            assert answer.status_code not in (401, 403), (asked, shown)
        else:
            assert answer.status_code == 403, (asked, shown)
            assert method == "HEAD" or scope in answer.text, asked
