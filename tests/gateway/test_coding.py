"""Content codings."""

import gzip
import tracemalloc
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.coding import accepted, coding_of, deflate, inflate
from gateway.errors import EncodingError, MalformedError, TooLargeError
from tests.gateway.worlds import World, request

MIB = 1 << 20


@given(body=st.binary(max_size=2000), name=st.sampled_from(["gzip", "deflate"]))
def test_both_ways_is_the_same(body: bytes, name: str) -> None:
    """What is compressed inflates to itself, up to the very limit."""
    assert inflate(deflate(body, name), name, len(body)) == body
    if body:
        with pytest.raises(TooLargeError):
            inflate(deflate(body, name), name, len(body) - 1)


@given(body=st.binary(max_size=200), name=st.sampled_from(["gzip", "x-gzip", "deflate"]))
def test_any_bytes_inflate_or_are_refused(body: bytes, name: str) -> None:
    """Bytes that are not what their coding says are refused; the rest is what other readers make of it."""
    others = zlib.decompress if name == "deflate" else gzip.decompress
    for hostile in (body, gzip.compress(b"x" * 50)[:20] + body, zlib.compress(b"x" * 50)[:10] + body):
        try:
            found = inflate(hostile, name, 100)
        except (MalformedError, TooLargeError):
            continue
        assert found == others(hostile)
    whole = {"deflate": zlib.compress}.get(name, gzip.compress)(body)
    assert inflate(whole, name, 200) == body


def test_members_are_joined_and_bounded() -> None:
    """A gzip body may have parts, but not by the thousand; what follows the end is refused."""
    assert inflate(gzip.compress(b"a") + gzip.compress(b"b"), "gzip", 2) == b"ab"
    with pytest.raises(MalformedError):
        inflate(gzip.compress(b"") * 1000, "gzip", 2)
    with pytest.raises(MalformedError):
        inflate(zlib.compress(b"a") + b"x", "deflate", 2)
    with pytest.raises(MalformedError):
        inflate(b"", "gzip", 2)


def test_a_bomb_costs_its_limit() -> None:
    """A body of 200 kB that would inflate to 200 MB is stopped at the limit, in memory too."""
    bomb = zlib.compress(bytes(200 * MIB), 9)
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        inflate(bomb, "deflate", MIB)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(bomb) < MIB
    assert peak < 8 * MIB


@pytest.mark.parametrize(
    ("header", "name"),
    [(None, None), (b"", None), (b"identity", None), (b" GZIP ", "gzip"), (b"x-gzip", "x-gzip")],
)
def test_a_coding_is_named(header: bytes | None, name: str | None) -> None:
    """A Content-Encoding is read without regard to case."""
    assert coding_of(header) == name


@pytest.mark.parametrize("header", [b"br", b"gzip, gzip", b"\xff", b"zstd"])
def test_an_unknown_coding_is_refused(header: bytes) -> None:
    """What is not read here is 415."""
    with pytest.raises(EncodingError):
        coding_of(header)


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (b"gzip", ("gzip", True)),
        (b"deflate;q=0.5", ("deflate", True)),
        (b"gzip, deflate, br", ("gzip", False)),
        (b"gzip;q=0.1, deflate;q=0.9", ("deflate", False)),
        (b"gzip;q=0", (None, False)),
        (b"br", (None, False)),
        (b"*", (None, False)),
        (b"", (None, False)),
        (b"gzip;q=many", (None, False)),
        (b"gzip, identity;q=0", ("gzip", True)),
        (b"gzip;q=1.0, *;q=0", ("gzip", True)),
        (b"deflate;q=0, gzip", ("gzip", True)),
        (b"gzip, identity;q=0.5", ("gzip", False)),
        (b"identity, gzip;q=0.5", (None, False)),
        (b"identity, gzip", ("gzip", False)),
    ],
)
def test_the_client_chooses(header: bytes, chosen: tuple[str | None, bool]) -> None:
    """The coding of ours that weighs most is taken, and whether nothing else is taken."""
    assert accepted(header) == chosen


async def test_bodies_are_inflated_and_answers_compressed(here: World) -> None:
    """A compressed request is answered, and an answer is compressed for a client that wants nothing else."""
    plain = (await here.post("/v2/models/m/infer", request(), accept_encoding="gzip, deflate")).headers
    assert "content-encoding" not in plain
    body = msgspec.json.encode(request())
    for name in ("gzip", "deflate"):
        sent = deflate(body, name)
        response = await here.post("/v2/models/m/infer", sent, content_encoding=name, accept_encoding=name)
        assert response.status_code == 200, response.text
        assert response.headers["content-encoding"] == name
        assert response.json()["model_name"] == "m"
    large = request([[0.25] * 30] * 2000)
    response = await here.post("/v2/models/m/infer", large, accept_encoding="gzip, deflate")
    assert response.headers["content-encoding"] == "gzip"
    assert len(response.json()["outputs"][0]["data"]) == 2000


async def test_a_page_is_compressed_for_who_takes_nothing_else(here: World) -> None:
    """A client that offers several codings gets a long page as it is: tritonclient's would not inflate it."""
    for offered, told in (("gzip, deflate", None), ("gzip, deflate, br", None), ("gzip", "gzip")):
        page = await here.client.get("/openapi.json", headers={"accept-encoding": offered})
        assert len(page.content) > 16 << 10
        assert page.headers.get("content-encoding") == told
