"""Looking again and again: a live screen that ends by itself."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import click

T = TypeVar("T")

LOOK_SECONDS: Final = 1.0
CLEAR: Final = "\x1b[H\x1b[2J"


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
