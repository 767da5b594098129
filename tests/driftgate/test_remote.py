"""Talking to the APIs: their own words on a refusal, and a line that helps when nobody answers."""

import httpx
import pytest

from driftgate.errors import CommandError, RemoteError, UnreachableError
from driftgate.remote import Api, part


def api(answer: httpx.Response | Exception) -> Api:
    """An API that always answers the same."""

    def transport(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        answer.request = request
        return answer

    return Api("operator API", "http://127.0.0.1:1/", transport=httpx.MockTransport(transport))


def test_an_answer_is_its_document() -> None:
    """2xx gives the JSON."""
    assert api(httpx.Response(200, json={"model": "loans"})).get("/v1/models") == {"model": "loans"}


def test_a_refusal_is_told_in_the_apis_own_words() -> None:
    """The error's sentence, code and status come through."""
    with pytest.raises(RemoteError, match=r"^no rollout is live$") as caught:
        api(httpx.Response(409, json={"error": "no rollout is live", "code": "bad-route"})).post("/v1/x")
    assert (caught.value.status, caught.value.remote_code) == (409, "bad-route")


def test_a_refusal_without_words_names_path_and_status() -> None:
    """A page of a proxy, or of another program on that port, does not become the message."""
    with pytest.raises(
        RemoteError, match=r"^operator API: http://127.0.0.1:1/v1/x answered 502, which is no answer"
    ):
        api(httpx.Response(502, text="<html>")).get("/v1/x")


def test_another_port_of_ours_is_told_as_such() -> None:
    """Who asks the gateway for what the monitor knows reads more than that nothing is there."""
    for said in ("Not Found", "GET /v1/drift: Not Found"):
        with pytest.raises(
            RemoteError, match=r"v1/drift answered 404, which is no answer of it; check the addr"
        ):
            api(httpx.Response(404, json={"error": said, "code": "misused"})).get("/v1/drift")


def test_a_key_that_is_missing_is_told_as_the_command_takes_it() -> None:
    """Headers are of no use to whoever types a verb."""
    refused = httpx.Response(401, json={"error": "this needs a key", "code": "no-key"})
    with pytest.raises(RemoteError, match=r"this needs a key; the command sends the one in DRIFTGATE_KEY"):
        api(refused).get("/v1/models")


def test_nobody_at_the_address_says_what_to_start() -> None:
    """The address and the next step are named."""
    with pytest.raises(UnreachableError, match=r"nobody answers at http://127.0.0.1:1 .*driftgate up"):
        api(httpx.ConnectError("refused")).get("/v1/models")


def test_somebody_who_does_not_speak_with_us_is_told_apart() -> None:
    """A port with TLS, or one that asks for a certificate, is not told as a program that does not run."""
    silent = httpx.RemoteProtocolError("Server disconnected without sending a response.")
    with pytest.raises(UnreachableError, match=r"ends the connection .*https://.*--cert FILE --key FILE"):
        api(silent).get("/v1/models")
    with pytest.raises(UnreachableError, match=r"no TLS with .*CERTIFICATE_VERIFY_FAILED.*--ca FILE"):
        api(httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] unknown issuer")).get("/v1/models")
    with pytest.raises(UnreachableError, match=r"nobody answers .*ConnectTimeout"):
        api(httpx.ConnectTimeout("")).get("/v1/models")


@pytest.mark.parametrize("error", [httpx.ReadTimeout("timed out"), httpx.ReadError("reset")])
def test_what_had_no_answer_may_be_done_all_the_same(error: httpx.TransportError) -> None:
    """A program that is slow, or dies as it answers, is not told as one that was never there."""
    with pytest.raises(UnreachableError, match=r"has not answered for 30 s|ends the connection") as asked:
        api(error).post("/v1/rollouts/m/start")
    assert "it may be done all the same: look how things stand" in str(asked.value)
    with pytest.raises(UnreachableError) as read:
        api(error).get("/v1/rollouts/m")
    assert "all the same" not in str(read.value)
    with pytest.raises(UnreachableError, match=r"driftgate up` running there\?$"):
        api(httpx.ConnectError("refused")).post("/v1/rollouts/m/start")


def test_what_is_no_url_is_told_so() -> None:
    """A broken address is one line, not a traceback."""
    with pytest.raises(UnreachableError, match="is not a URL"):
        Api("operator API", "http://a\nb")
    for typed in ("localhost:8081", "ftp://localhost:8081", ""):
        with pytest.raises(
            UnreachableError, match=rf"'{typed}' is not a URL: wanted .* http://{typed[-14:]}"
        ):
            Api("operator API", typed)


@pytest.mark.parametrize("typed", ["../models", "m/infer?", "m#junk", "..", "", "m\n", "pr\u00e9t"])
def test_what_is_typed_leads_to_no_other_path(typed: str) -> None:
    """A name or an id that a path would take for something else is refused before anybody is asked."""
    with pytest.raises(CommandError, match="is no name: wanted letters, digits"):
        part(typed)
    assert part("evt_ab2c") == "evt_ab2c"


def test_what_is_no_text_is_told_so() -> None:
    """A byte of another encoding on the command line is named, and nothing is sent."""
    with pytest.raises(CommandError, match=r"'\\udc80' cannot be sent: wanted text in UTF-8"):
        api(httpx.Response(200, json={})).post("/v1/x", {"why": "\udc80"})


def test_query_values_that_were_not_given_are_left_out() -> None:
    """None never becomes the text "None" in a URL, of a POST neither."""
    seen: list[str] = []

    def transport(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url.query, "ascii"))
        return httpx.Response(200, json={})

    asked = Api("monitor", "http://x", transport=httpx.MockTransport(transport))
    asked.get("/v1", model=None, limit=3)
    asked.post("/v1", endpoint="a&b=c", limit=None)
    assert seen == ["limit=3", "endpoint=a%26b%3Dc"]
