"""`driftgate rollout`: what is refused before anybody is asked, and what is said of an edit."""

import http.server
import threading
from typing import Any

import click
import httpx
import msgspec
import pytest

from driftgate.__main__ import FAILED, MISUSED, run
from driftgate.cli.rollout import answers, tell, tell_done, whole_history
from driftgate.remote import Api
from gateway.views import Done
from rollouts.status import Status
from rollouts.timeline import Moment


@pytest.mark.parametrize("weight", ["abc", "101", "-1", "nan", ""])
def test_a_weight_that_is_no_percentage_is_misuse(weight: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, whether or not a gateway runs."""
    arguments = ["rollout", "set-weight", "m", "--operator", "http://127.0.0.1:9", "--", weight]
    assert run(arguments) == MISUSED
    assert "wanted a percentage from 0 to 100" in capsys.readouterr().err


def test_what_answers_is_said_as_it_is() -> None:
    """A version in shadow answers nobody; without a candidate one version answers everything."""
    alone = Status(
        model="m", revision=1, stable="1", candidate=None, previous=None, state="", weight="0", shadow="0"
    )
    shadowed = msgspec.structs.replace(alone, candidate="2", shadow="100")
    assert answers(alone) == "version 1 answers everything"
    assert answers(shadowed) == "version 2 runs in shadow of 100 %, version 1 answers everything"
    assert (
        answers(msgspec.structs.replace(shadowed, weight="25"))
        == "version 2 answers 25 %, version 1 the rest"
    )
    assert answers(msgspec.structs.replace(alone, unloaded=True)) == (
        "version 1 is stable and answers nobody, "
        "it is unloaded: load it first (POST /v2/repository/models/m/load)"
    )


@pytest.mark.parametrize(
    ("candidate", "stable", "said"),
    [
        (None, "1", "undo --to 2 brings version 2 back"),
        ("3", "2", "candidate 3 is dropped"),
    ],
)
def test_an_undo_says_what_it_took_away(
    candidate: str | None, stable: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever went back learns what was dropped, or how it comes back."""
    before = Moment(
        sequence=4, at="", model="m", actor="pilot", verb="advance", reason="", verdict="", n=0, evidence={},
        revision=6, stable="2", candidate=candidate, weight="5", rollout="m-3-5",
    )  # fmt: skip
    now = msgspec.structs.replace(before, sequence=5, revision=7, stable=stable, candidate=None)
    left = Status(
        model="m", revision=7, stable=stable, candidate=None, previous=None, state="", weight="0", shadow="0"
    )
    done = Done("m", "undo", 7, applied=True, lagging=[], seconds=0, status=left)
    tell_done(done)
    head = f"✔ undo m: version {stable} answers everything, revision 7, in 0.00 s\n"
    assert capsys.readouterr().out == head
    tell_done(msgspec.structs.replace(done, status=msgspec.structs.replace(left, history=(before, now))))
    assert capsys.readouterr().out.startswith(f"{head}  {said}")


def test_advice_is_told_beside_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """What was done goes to stdout, what is probably not meant about it to stderr."""
    status = Status(
        model="m", revision=2, stable="1", candidate="2", previous=None, state="", weight="5", shadow="0"
    )
    advice = ("the last step promotes without proof; set its hold to until: pass",)
    tell_done(
        Done("m", "start", 2, applied=False, lagging=["worker 1"], seconds=2, status=status, advice=advice)
    )
    told = capsys.readouterr()
    assert told.err == f"! {advice[0]}\n"
    assert told.out.splitlines() == [
        "! start m: version 2 answers 5 %, version 1 the rest, revision 2, in 2.00 s",
        "  not yet applied by worker 1",
    ]


def test_history_fits_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who, when and what answers since stand in one line of 80 characters; verdict and reason below it."""
    row = Moment(
        sequence=107,
        at="2026-11-22T10:37:27.000Z",
        model="loans",
        actor="operator:retraining",
        verb="set-weight",
        reason="step 1/2 (0 %) held 2.6 s with 260 samples; error-rate PASS: 0 of 260 requests",
        verdict="PASS",
        n=2160,
        evidence={},
        revision=7,
        stable="2",
        candidate="3",
        weight="25",
        rollout="loans-3-6",
    )
    tell(row)
    assert capsys.readouterr().out.splitlines()[1:] == [f"      PASS on 2 160: {row.reason}"]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    tell(row)
    assert f"→ {row.stable}, and {row.candidate} to 25 %" in click.unstyle(capsys.readouterr().out)
    tell(msgspec.structs.replace(row, verb="unload", candidate=None, unloaded=True))
    assert "→ unloaded (nobody)" in click.unstyle(capsys.readouterr().out)
    tell(row)
    lines = [click.unstyle(line) for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
    assert " ".join(line.strip() for line in lines[1:]) == f"PASS on 2 160: {row.reason}"


def test_history_is_told_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever names a reason, or who acts, can neither steer a terminal nor write a row of somebody else."""
    forged = "x\n#9    2026-11-22T10:37:27Z  pilot"
    row = Moment(
        sequence=8, at="", model="m", actor=f"operator:{forged}", verb="abort", reason=f"\x1b[2J{forged}",
        verdict="", n=0, evidence={}, revision=6, stable="2", candidate=None, weight="0", rollout=None,
    )  # fmt: skip
    tell(row)
    told = capsys.readouterr().out
    assert len(told.splitlines()) == 2
    assert "\x1b[2J" not in told


def test_a_long_history_is_shown_to_its_end() -> None:
    """The API has a thousand rows in an answer, and who looks wants the last ones most."""

    def answer(request: httpx.Request) -> httpx.Response:
        after = int(request.url.params.get("after", 0))
        rows = [{"sequence": number} for number in range(after + 1, min(after + 1000, 2500) + 1)]
        return httpx.Response(200, json={"history": rows, "after": rows[-1]["sequence"] if rows else after})

    api = Api("operator API", "http://operator.test", transport=httpx.MockTransport(answer))
    found = whole_history(api, "m")
    assert [row["sequence"] for row in found["history"]] == [*range(1, 2501)]
    assert found["after"] == 2500
    assert [row["sequence"] for row in whole_history(api, "m", 2498)["history"]] == [2499, 2500]
    assert whole_history(api, "m", 2500) == {"history": [], "after": 2500}


def test_a_promotion_says_which_version_is_meant(capsys: pytest.CaptureFixture[str]) -> None:
    """What stands behind --to is sent, and a refusal of another candidate is told in its words."""
    asked: list[tuple[str, Any]] = []

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            wish = msgspec.json.decode(self.rfile.read(int(self.headers["content-length"])))
            asked.append((self.path, wish))
            self.send_response(409)
            self.end_headers()
            self.wfile.write(b'{"error": "version 3 is on trial", "code": "bad-route"}')

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = ["--operator", f"http://127.0.0.1:{server.server_port}", "--actor", "ada"]
        assert run(["rollout", "promote", "m", "--to", "2", *place]) == FAILED
        assert run(["rollout", "promote", "m", *place]) == FAILED
        server.shutdown()
    told = {"who": "ada", "why": ""}
    assert asked == [("/v1/rollouts/m/promote", {**told, "to": "2"}), ("/v1/rollouts/m/promote", told)]
    assert "version 3 is on trial" in capsys.readouterr().err


def test_who_watches_gets_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Facts that are told once would be taken for those of the end, so the two options exclude each other."""
    asked = ["rollout", "status", "m", "--watch", "--json", "--operator", "http://127.0.0.1:9"]
    assert run(asked) == MISUSED
    assert "give one of them" in capsys.readouterr().err
