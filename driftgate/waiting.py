"""What a person sees who waits: a live screen that ends by itself, a line about what takes its time."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

import click

T = TypeVar("T")

LOOK_SECONDS: Final = 1.0
CLEAR: Final = "\x1b[H\x1b[2J"
CLEAR_LINE: Final = "\r\x1b[K"


@contextlib.contextmanager
def doing(what: str) -> Iterator[Callable[[str], None]]:
    """Say on the terminal of standard error what is being done, while it is; elsewhere nothing.

    Yields a function that says something newer. The line is gone when the work is done.
    """
    is_seen = sys.stderr.isatty()

    def say(text: str) -> None:
        if is_seen:
            click.echo(f"{CLEAR_LINE}{click.style(f'{text} …', dim=True)}", nl=False, err=True)

    say(what)
    try:
        yield say
    finally:
        if is_seen:
            click.echo(CLEAR_LINE, nl=False, err=True)


def redraw(
    look: Callable[[], T],
    draw: Callable[[T], Sequence[str]],
    live: Callable[[T], bool],
    *,
    seconds: float = LOOK_SECONDS,
) -> T:
    """Look and draw until it is not live any more; returns what was seen last.

    On a terminal the screen is redrawn in place; elsewhere a drawing is printed when it differs.
    """
    screen = sys.stdout.isatty()
    drawn: list[str] = []
    pause = threading.Event()
    while True:
        found = look()
        lines = list(draw(found))
        if screen:
            click.echo(CLEAR + "\n".join(lines))
        elif lines != drawn:
            click.echo("\n".join([*lines, ""]))
        drawn = lines
        if not live(found):
            return found
        pause.wait(seconds)
