"""What is sent to both edges, read by read, and the statuses that come back."""

import gzip
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.fast import MOST_IN_A_TURN
from tests.gateway.edges import post
from tests.gateway.worlds import ROW, request

BODY: Final = msgspec.json.encode(request())
GET: Final = b"GET /v2/health/ready HTTP/1.1\r\nhost: test\r\n\r\n"


def chunked(*parts: bytes) -> bytes:
    """The same request with a chunked body."""
    head = b"POST /v2/models/m/infer HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


def trailed(*lines: str) -> bytes:
    """The same with these headers behind its body."""
    return chunked(BODY)[:-2] + "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def rows(count: int, **more: Any) -> dict[str, Any]:
    """A request of so many rows."""
    return request([ROW] * count, **more)


def binary(body: bytes | None = None) -> bytes:
    """A request in the binary extension, answered in it."""
    tensor = {
        "name": "x",
        "datatype": "FP32",
        "shape": [1, 30],
        "parameters": {"binary_data_size": 120},
    }
    head = msgspec.json.encode({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    return post(
        head + (bytes(120) if body is None else body), f"Inference-Header-Content-Length: {len(head)}"
    )


_H2C: Final = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"
"""What Java's own client sends with its first request."""
_UPGRADE: Final = post(None, *_H2C.decode().split("\r\n"))

CASES: Final[dict[str, tuple[Sequence[bytes], list[int]]]] = {
    "one": ([post()], [200]),
    "the same again": ([post(), post(), post()], [200, 200, 200]),
    "pipelined": ([post() * 5], [200] * 5),
    "more than a turn": ([post() * (MOST_IN_A_TURN * 2 + 3)], [200] * (MOST_IN_A_TURN * 2 + 3)),
    "mixed": ([post() + GET + post() + GET, post()], [200] * 5),
    "two and a half": ([post() + post() + post()[:-7], post()[-7:]], [200] * 3),
    "half a head": ([post()[:30], post()[30:]], [200]),
    "half a body": ([post()[:-20], post()[-20:], post()], [200, 200]),
    "known head, half a body": ([post(), post()[:-20], post()[-20:]], [200, 200]),
    "byte by byte": ([post()[i : i + 1] for i in range(len(post()))], [200]),
    "a line before": ([b"\r\n" + post(), b"\r\n", post()], [200, 200]),
    "binary": ([binary(), binary(), binary(b"\0" * 119), binary()], [200, 200, 400, 200]),
    "many rows": ([post(rows(20)), post(rows(20))], [200, 200]),
    "beyond inline": ([post(rows(200)), post()], [200, 200]),
    "beyond inline, pipelined": ([post(rows(200), path="/v2/models/m/infer") + post() * 3], [200] * 4),
    "too large": ([post(rows(900))], [413]),
    "chunked": ([chunked(BODY), chunked(BODY[:50], BODY[50:]), post()], [200] * 3),
    "any host": (
        [post().replace(b"test", host) for host in (b"[::1]:8080", b"a_b:1", b"", b"10.0.0.1")],
        [200] * 4,
    ),
    "no body": ([post(b""), b"POST /v2/models/m/infer HTTP/1.1\r\nhost: a\r\n\r\n", post()], [400, 400, 200]),
    "100-continue": ([post(None, "Expect: 100-continue")], [100, 200]),
    "compressed": ([post(None, "Content-Encoding: zstd"), post()], [415, 200]),
    "inflated": ([post(gzip.compress(BODY), "Content-Encoding: gzip"), post()], [200, 200]),
    "answered in gzip": (
        [post(None, "Accept-Encoding: gzip"), post(None, "Accept-Encoding: gzip")],
        [200, 200],
    ),
    "several codings": ([post(None, "Accept-Encoding: gzip, deflate"), post()], [200, 200]),
    "KServe": ([post({"instances": [ROW]}, path="/v1/models/m:predict")] * 2, [200, 200]),
    "KServe, mistakes": (
        [
            post({"instances": [[1]]}, path="/v1/models/m:predict"),
            post({"instances": [ROW]}, path="/v1/models/n:predict"),
            post({"instances": [ROW]}, path="/v1/models/m/labels/stable:predict"),
        ],
        [400, 404, 200],
    ),
    "the default model": ([post({"instances": [ROW]}, path="/invocations")] * 2, [200, 200]),
    "identity": ([post(None, "Content-Encoding: identity")], [200]),
    "upgrade": ([_UPGRADE, _UPGRADE + post() + _UPGRADE, post()], [200] * 5),
    "upgrade, byte by byte": ([_UPGRADE[i : i + 1] for i in range(len(_UPGRADE))], [200]),
    "upgrade, half a body": ([_UPGRADE[:-20], _UPGRADE[-20:] + GET], [200, 200]),
    "upgrade, chunked": ([chunked(BODY).replace(b"host:", b"%b\r\nhost:" % _H2C) + post()], [200, 200]),
    "upgrade of a page": ([GET.replace(b"host:", b"%b\r\nhost:" % _H2C) + post()], [200, 200]),
    "query": ([post(path="/v2/models/m/infer?a=1"), post(path="/v2/models/m/infer#b")], [200, 200]),
    "absolute": ([post(path="http://test/v2/models/m/infer")], [200]),
    "quoted": ([post(path="/v2/models/%6d/infer"), post(path="/v2/models/%6d/infer")], [200, 200]),
    "version": (
        [post(path="/v2/models/m/versions/1/infer"), post(None, "X-Driftgate-Version: 1")],
        [200] * 2,
    ),
    "no such version": (
        [post(path="/v2/models/m/versions/9/infer"), post(None, "X-Driftgate-Version: 9"), post()],
        [404, 404, 200],
    ),
    "no such model": ([post(path="/v2/models/n/infer") * 2, post(path="/v2/models/a%2fb/infer")], [404] * 3),
    "no such path": ([post(path="/v2/models/m/infers"), post(path="/"), post()], [404, 405, 200]),
    "other methods": ([post(head="GET {} HTTP/1.1"), post(head="PUT {} HTTP/1.1"), post()], [405, 405, 200]),
    "mistakes": ([post(b"{"), post(b"[]"), post({"inputs": []}), post()], [400, 400, 400, 200]),
    "an id, unicode": ([post(request(id="Ünïcode")), post(request(id="Ünïcode"))], [200, 200]),
    "a trace": ([post(None, f"traceparent: 00-{'ab' * 16}-{'cd' * 8}-01")], [200]),
    "repeated headers": (
        [
            post(None, "X-Driftgate-Version: 9", "X-Driftgate-Version: 1"),
            post(None, "A: 1", "A: 2"),
            binary().replace(b"Inference-Header", b"Inference-Header-Content-Length: 3\r\nInference-Header"),
        ],
        [404, 200, 400],
    ),
    "white space around a header": (
        [binary().replace(b"\r\nContent", b" \t\r\nContent"), post(None, "X-Driftgate-Version:  1 ")],
        [200, 200],
    ),
    "a path that begins like a host": (
        [post(path="//test/v2/models/m/infer"), GET.replace(b"/v2", b"//v2"), GET.replace(b"/v2", b"//a/v2")],
        [404, 404, 404],
    ),
    "headers behind the body": (
        [trailed("X-Driftgate-Version: 9", "Expect: 100-continue"), post()],
        [200] * 2,
    ),
    "transferred in gzip": ([chunked(BODY).replace(b"chunked", b"gzip, chunked"), post()], [400, 200]),
}
"""Name to what is sent on one connection, read by read, and the statuses that come."""

ENDS: Final[dict[str, tuple[Sequence[bytes], list[int]]]] = {
    "close": ([post(), post(None, "Connection: close")], [200, 200]),
    "close, then more": ([post(None, "Connection: close") + post()], [200]),
    "close behind the body": ([trailed("Connection: close") + post()], [200]),
    "CONNECT": ([post(head="CONNECT {} HTTP/1.1") + post()], [405]),
    "CONNECT, read by read": ([GET + post(b"", head="CONNECT {} HTTP/1.1"), post()], [200, 405]),
    "HTTP/1.0": ([post(head="POST {} HTTP/1.0")], [200]),
    "upgrade and close": ([_UPGRADE.replace(b"Upgrade, HTTP2", b"close, Upgrade, HTTP2")], [200]),
    "upgrade, HTTP/1.0": ([_UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0")], [200]),
    "two lengths": ([post(None, "Content-Length: 7")], [400]),
    "length and chunked": ([post(None, "Transfer-Encoding: chunked")], [400]),
    "negative length": ([post(b"", "Content-Length: -1")], [400]),
    "no host": ([post(), post().replace(b"Host: test\r\n", b"") + post()], [200, 400]),
    "no host, HTTP/1.0": ([post(head="POST {} HTTP/1.0").replace(b"Host: test\r\n", b"")], [200]),
    "two hosts": ([post(None, "Host: test") + post()], [400]),
    "a host that is none": ([post().replace(b"Host: test", b"Host: te st") + post()], [400]),
    "another version": ([post(), post(head="POST {} HTTP/2.0") + post()], [200, 400]),
    "no version": ([b"GET /v2/health/ready\r\n\r\n"], [400]),
    "no number": ([b"POST /v2/models/m/infer HTTP/1.1\r\ncontent-length: x\r\n\r\n"], [400]),
    "no HTTP": ([b"\x16\x03\x01\r\n\r\n"], [400]),
    "then no HTTP": ([post(), b"nonsense\r\n\r\n"], [200, 400]),
    "no HTTP sent ahead": ([post() + b"nonsense\r\n\r\n"], [200, 400]),
    "no HTTP behind a page": ([GET + b"nonsense\r\n\r\n"], [200, 400]),
    "no HTTP behind several": ([post() + GET + post() + GET + b"nonsense\r\n\r\n"], [200] * 4 + [400]),
    "no HTTP behind a run in a thread": ([post(rows(200)) + b"nonsense\r\n\r\n"], [200, 400]),
    "no HTTP behind a version that is looked for": (
        [post(None, "X-Driftgate-Version: 9") + b"nonsense\r\n\r\n"],
        [404, 400],
    ),
    "no HTTP behind a packed answer": (
        [post(None, "Accept-Encoding: gzip") + b"nonsense\r\n\r\n"],
        [200, 400],
    ),
    "large headers behind a packed answer": (
        [post(None, "Accept-Encoding: gzip") + post(None, "A: " + "a" * 3000)],
        [200, 431],
    ),
    "no chunk behind others": (
        [GET + post() + chunked(BODY).replace(b"\r\n\r\n", b"\r\n\r\nz", 1)],
        [200, 200, 400],
    ),
    "long URL behind a page": ([GET + post(path="/v2/models/" + "m" * 600 + "/infer")], [200, 414]),
    "large headers behind a page": ([GET + post(None, "A: " + "a" * 3000)], [200, 431]),
    "long URL": ([post(path="/v2/models/" + "m" * 600 + "/infer")], [414]),
    "large headers": ([post(None, "A: " + "a" * 3000)], [431]),
    "bare newline in a header": ([post(None, "A: b\x00c")], [400]),
}
"""The same, where the server closes after the last answer."""
