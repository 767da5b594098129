"""Child programs: ready when they say so, stopped in order, never left behind."""

import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest

from driftgate.errors import ProgramError
from driftgate.programs import Program, module_command
from tests.facts import until

# Whole at once, as a ready file has to appear.
SAYS = """
    import os, pathlib, signal, subprocess, sys
    def say(text):
        aside = pathlib.Path(sys.argv[1] + ".new")
        aside.write_text(text)
        aside.rename(sys.argv[1])
"""
ANSWERS = (
    SAYS
    + """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    say('{"here": 1}')
    signal.pause()
"""
)
STUBBORN = (
    SAYS
    + """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("{}")
    while True: signal.pause()
"""
)


def script(text: str, *arguments: str) -> list[str]:
    """A command that runs a Python script."""
    return [sys.executable, "-c", textwrap.dedent(text), *arguments]


def alive(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_it_is_ready_when_its_ready_file_is_there(tmp_path: Path) -> None:
    """What the ready file says is returned; SIGTERM then ends it with code 0."""
    ready = tmp_path / "ready"
    program = Program("answering", script(ANSWERS, str(ready)))
    await program.start()
    assert await program.ready(ready, 20.0) == {"here": 1}
    assert await program.stop(20.0)
    assert program.code == 0


async def test_libraries_of_numbers_start_no_threads_of_their_own(tmp_path: Path) -> None:
    """A program has one thread for them where its environment does not say otherwise."""
    asks = (
        SAYS
        + """
    say(os.environ["OPENBLAS_NUM_THREADS"])
    input()
"""
    )
    for given, wanted in (({}, 1), ({"OPENBLAS_NUM_THREADS": "3"}, 3)):
        ready = tmp_path / f"{wanted}"
        program = Program("asking", script(asks, str(ready)), environ=given)
        await program.start(asyncio.subprocess.PIPE)
        assert await program.ready(ready, 20.0) == wanted
        program.kill()
        await program.wait()


async def test_one_that_ends_before_it_answers_is_an_error(tmp_path: Path) -> None:
    """The error names the program and how it ended, and does not wait for the deadline."""
    program = Program("short", script("raise SystemExit(3)"))
    await program.start()
    with pytest.raises(ProgramError, match="short ended with exit code 3 before it answered"):
        await program.ready(tmp_path / "never", 60.0)


async def test_one_that_never_answers_is_an_error(tmp_path: Path) -> None:
    """The deadline is told; ended by SIGTERM before it could heed it, its stop is as clean as can be."""
    program = Program("mute", script("import signal; signal.pause()"))
    await program.start()
    try:
        with pytest.raises(ProgramError, match=r"mute did not answer within 0\.1 s"):
            await program.ready(tmp_path / "never", 0.1)
    finally:
        assert await program.stop(20.0)
    assert program.code == -signal.SIGTERM


async def test_one_that_takes_its_time_is_waited_for(tmp_path: Path) -> None:
    """Without a bound it is ready whenever it says so, and an error only when it ends before."""
    ready = tmp_path / "ready"
    program = Program("slow", script(ANSWERS, str(ready)))
    await program.start()
    assert await program.ready(ready) == {"here": 1}
    assert await program.stop(20.0)
    with pytest.raises(ProgramError, match="slow ended with exit code 0 before it answered"):
        await program.ready(tmp_path / "never")


async def test_one_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    """After the bound the whole group is killed, and that counts as not clean."""
    ready = tmp_path / "ready"
    program = Program("stubborn", script(STUBBORN, str(ready)))
    await program.start()
    await program.ready(ready, 20.0)
    assert not await program.stop(0.1)
    assert program.code == -signal.SIGKILL


async def test_what_a_program_left_behind_ends_with_it(tmp_path: Path) -> None:
    """A grandchild in the same group does not outlive the stop."""
    pid_file = tmp_path / "pid"
    text = (
        SAYS
        + """
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    say(str(child.pid))
    signal.pause()
"""
    )
    program = Program("parent", script(text, str(pid_file)))
    await program.start()
    grandchild = int(await program.ready(pid_file, 20.0))
    await program.stop(20.0)
    await until(lambda: not alive(grandchild), "the grandchild has ended")


async def test_a_tied_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """SIGKILL of the parent leaves no child, because the kernel tells it."""
    pid_file = tmp_path / "pid"
    (tmp_path / "lingering.py").write_text(textwrap.dedent(SAYS) + "say(str(os.getpid()))\nsignal.pause()\n")
    text = """
        import signal, subprocess, sys
        from driftgate.programs import module_command
        subprocess.Popen(module_command("lingering", sys.argv[1]))
        signal.pause()
    """
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    parent = Program("parent", script(text, str(pid_file)), environ=environ)
    await parent.start()
    child = int(await parent.ready(pid_file, 20.0))
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    await until(lambda: not alive(child), "the child has ended")


def test_our_modules_are_started_deaf_to_the_working_folder() -> None:
    """`-P` stands in every command line of ours."""
    command = module_command("gateway", "settings.json")
    assert command[:4] == [sys.executable, "-P", "-m", "driftgate.tether"]
    assert command[-2:] == ["gateway", "settings.json"]


def test_asking_for_the_end_of_one_that_was_never_started_is_a_mistake() -> None:
    """There is nothing to wait for."""
    with pytest.raises(ProgramError, match="never started"):
        asyncio.run(Program("idle", ["true"]).wait())
