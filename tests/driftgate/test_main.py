"""The command's edge: instant, one line for an error, honest exit codes, deaf to the working folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from driftgate.__main__ import DONE, FAILED, MISUSED, forget_working_folder, run

HEAVY = ("onnxruntime", "river", "sklearn", "skl2onnx", "numpy", "pandas", "pyarrow", "matplotlib", "httpx")


def driftgate(
    *arguments: str,
    folder: Path | None = None,
    safe: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run the command as a process."""
    options = ("-P",) if safe else ()
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("DRIFTGATE_", "PYTHON"))
    }
    return subprocess.run(
        [sys.executable, *options, "-m", "driftgate", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environ,
        check=False,
    )


def test_help_loads_nothing_heavy() -> None:
    """`driftgate --help` loads no library that a verb would need."""
    script = "import sys; from driftgate.__main__ import run; run(['--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1]
    assert [name for name in HEAVY if f"'{name}'" in loaded] == []


def test_without_a_verb_it_shows_its_help_and_counts_as_misused(capsys: pytest.CaptureFixture[str]) -> None:
    """No verb at all is exit code 2, with the help on stderr."""
    assert run([]) == MISUSED
    assert "Verbs:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rolout", "status"], "no such verb: 'rolout'; did you mean 'rollout'? (try: driftgate --help)"),
        (
            ["rollout", "strat"],
            "no such verb: 'strat'; did you mean 'start'? (try: driftgate rollout --help)",
        ),
        (
            ["config", "keys", "revok"],
            "no such verb: 'revok'; did you mean 'revoke'? (try: driftgate config keys --help)",
        ),
        (["incidents", "inc_5h2k9x0d"], "no such verb: 'inc_5h2k9x0d' (try: driftgate incidents --help)"),
    ],
)
def test_a_misspelt_verb_is_met_with_the_nearest_one(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown verb is exit code 2 and names the closest, in the same words at every level."""
    assert run(arguments) == MISUSED
    assert capsys.readouterr().err == f"driftgate: {said}\n"


def test_a_known_error_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody at the address: exit code 1, one line, no traceback, nothing on stdout."""
    assert run(["rollout", "status", "loans", "--operator", "http://127.0.0.1:9"]) == FAILED
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("driftgate: operator API: nobody answers at http://127.0.0.1:9")


def test_what_the_system_refuses_is_one_line_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is not there, or is a file, is no traceback, whatever the verb."""
    (tmp_path / "file").touch()
    missing = tmp_path / "not-there" / "keys.yaml"
    verbs = (
        ["config", "keys", "create", "--file", str(missing), "--name", "x", "--scope", "read"],
        ["serve", "--data", str(tmp_path / "file"), "--http-port", "0", "--operator-port", "0"],
    )
    for verb in verbs:
        assert run(verb) == FAILED
        said = capsys.readouterr().err
        assert (said.count("\n"), said.startswith(f"driftgate: {tmp_path}")) == (1, True)


def test_an_option_that_is_missing_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    """A required option left out is exit code 2 and says how to learn more."""
    assert run(["labels", "send"]) == MISUSED
    assert "--model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["up", "--http-port", "99999"], "http.port (flag --http-port)"),
        (["up", "--workers", "-1"], "workers (flag --workers)"),
        (["serve", "--operator-port", "-1"], "operator.port (flag --operator-port)"),
        (["push", __file__, "--name", "a b"], "'a b'"),
        (["push", __file__, "--name", "a", "--version", "0"], "'0'"),
        (["push", __file__, "--name", "a", "--version", "one"], "'one'"),
    ],
)
def test_a_value_that_no_flag_takes_is_misuse(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 2, and one line that names the flag or the value, before anything is begun."""
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == MISUSED
    assert list(tmp_path.iterdir()) == []
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1


def test_a_verb_that_did_what_it_says_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0."""
    assert run(["config", "show"]) == DONE
    assert "SETTING" in capsys.readouterr().out


def test_nothing_to_show_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence, where titles over nothing would look like a fault."""
    assert run(["config", "show", "--changed"]) == DONE
    assert capsys.readouterr().out == "every setting is at its default\n"


def test_colours_appear_on_a_terminal_only() -> None:
    """Output to a pipe holds no escape sequences."""
    done = driftgate("rollout", "status", "loans", "--operator", "http://127.0.0.1:9")
    assert "\x1b" not in done.stdout + done.stderr


def test_files_of_the_working_folder_are_not_taken_for_ours(tmp_path: Path) -> None:
    """A monitor.py beside the user does not stand in the way, however the command is started."""
    for name in ("monitor", "gateway", "groundwork", "click"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken for ours')\n")
    for safe in (True, False):
        done = driftgate("config", "show", folder=tmp_path, safe=safe)
        assert (done.returncode, done.stderr) == (DONE, "")


def test_the_folder_that_holds_our_packages_stays_on_the_path() -> None:
    """A developer's working copy goes on to work; any other working folder is forgotten."""
    path = ["/work", "/lib"]
    forget_working_folder(path, "/work", "/work")
    assert path == ["/work", "/lib"]
    forget_working_folder(path, "/work", "/lib")
    assert path == ["/lib"]
