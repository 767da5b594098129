"""The demo from beginning to end: prepare, play, tell, clean up.

Exit code 0 only when every fact happened and every program ended as it should.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Final

import click

from driftgate import show
from driftgate.demo import acts, timeline
from driftgate.demo.play import Options, Play
from driftgate.demo.screen import LiveScreen, PlainScreen, Screen
from driftgate.demo.stage import Stage, prepare
from driftgate.errors import DemoError
from groundwork.files import write_atomic

ACTS: Final = (
    acts.a_model_at_work,
    acts.the_world_changes,
    acts.evidence_decides,
    acts.good_and_bad,
    acts.the_books_agree,
)


def run(options: Options) -> int:
    """Play the demo; blocking, from the main thread.

    Raises:
        DemoError: a fact did not happen; says which.
        KeyboardInterrupt: told to stop, by SIGINT or SIGTERM alike; everything it started has ended.
    """
    try:
        return asyncio.run(_run(options, prepare(options.folder)))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _run(options: Options, stage: Stage) -> int:
    task = asyncio.current_task()
    if task is not None:
        # SIGINT too: a shell starts what it puts into the background with SIGINT ignored.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    play = Play(options, stage)
    happened = False
    try:
        with _screen(play) as screen:
            play.open(screen)
            for act in ACTS:
                await act(play)
            play.history = await play.sources.history()
            happened = True
    finally:
        clean = await play.close(leave=happened and options.keep)
        _tell(play)
    _draw(play)
    if options.keep:
        _tell_kept(play)
    if not clean:
        raise DemoError(f"a program did not end as it should; its lines are in {stage.folder}")
    return 0


def _screen(play: Play) -> Screen:
    return LiveScreen(play.figures) if sys.stdout.isatty() else PlainScreen(play.figures)


def _tell(play: Play) -> None:
    """Print the timeline, and keep it beside the picture."""
    shown = timeline.lines(play, min(timeline.WIDTH, show.room(0)))
    click.echo("\n" + "\n".join(shown))
    kept = "".join(f"{line}\n" for line in timeline.lines(play))
    write_atomic(play.stage.timeline, kept.encode(), mode=0o644)


def _draw(play: Play) -> None:
    from driftgate.demo.chart import draw  # noqa: PLC0415  matplotlib loads slowly

    draw(play, play.stage.chart)
    click.echo(f"\nThe same as a picture: {_near(play.stage.chart)}")


def _tell_kept(play: Play) -> None:
    click.echo("\nLeft running:")
    for name in ("http", "operator", "monitor"):
        click.echo(f"  {name:<9} {play.urls[name]}")
    pids = " ".join(str(pid) for pid in play.pids())
    click.echo(f"  stop all of it with: kill {pids}")


def _near(path: Path) -> Path:
    """The path as one would type it from here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
