"""What a person sees while the demo runs: a live panel on a terminal, plain lines elsewhere.

Rules: every fact is a line that stays; only the bottom of the screen changes. Nothing here decides anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

import click

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

PER_SECOND: Final = 8


class Screen(Protocol):
    """Where the demo tells its story."""

    def act(self, number: int, title: str, text: str) -> None:
        """An act begins."""

    def say(self, lines: Sequence[str]) -> None:
        """Something worth reading, indented."""

    def waiting(self, name: str) -> None:
        """The fact that is waited for now."""

    def fact(self, name: str, detail: str) -> None:
        """A fact happened."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class PlainScreen:
    """Lines for a file or a pipe, each with the seconds since the start."""

    def __init__(self, state: Callable[[], Sequence[tuple[str, str]]]) -> None:
        """`state` gives the figures of the moment, by name."""
        self._state = state
        self._began = time.monotonic()

    def act(self, number: int, title: str, text: str) -> None:
        """An act begins."""
        click.echo(f"\nAct {number}. {title}\n  {text}")

    def say(self, lines: Sequence[str]) -> None:
        """Something worth reading, indented."""
        for line in lines:
            click.echo(f"         {line}")

    def waiting(self, name: str) -> None:
        """Nothing: a line for each wait would drown the facts."""

    def fact(self, name: str, detail: str) -> None:
        """A fact, with when it was seen."""
        click.echo(f"  {time.monotonic() - self._began:5.1f}s  ✔ {name}{f': {detail}' if detail else ''}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say how things stood."""
        del kind, error, trace
        figures = self._state()
        if figures:
            click.echo("  " + ", ".join(f"{name} {value}" for name, value in figures))


class LiveScreen:
    """A terminal: facts scroll by above a panel with what is waited for and the figures of the moment."""

    def __init__(self, state: Callable[[], Sequence[tuple[str, str]]]) -> None:
        from rich.console import Console  # noqa: PLC0415  an extra, and slow to load
        from rich.spinner import Spinner  # noqa: PLC0415  an extra, and slow to load

        self._state = state
        self._console = Console(highlight=False)
        self._began = time.monotonic()
        self._spinner = Spinner("dots", style="cyan")
        self._waiting = ""
        self._live: Live | None = None

    def act(self, number: int, title: str, text: str) -> None:
        """An act begins."""
        self._console.print()
        self._console.rule(f"[bold]Act {number}. {title}", align="left", style="cyan")
        self._print(text, 2)

    def say(self, lines: Sequence[str]) -> None:
        """Something worth reading, indented."""
        for line in lines:
            self._print(line, 10)

    def waiting(self, name: str) -> None:
        """Show it beside the spinner."""
        self._waiting = name

    def fact(self, name: str, detail: str) -> None:
        """A fact scrolls by and stays."""
        from rich.table import Table  # noqa: PLC0415  an extra, and slow to load
        from rich.text import Text  # noqa: PLC0415  an extra, and slow to load

        self._waiting = ""
        line = Table.grid()
        said = Text.assemble(name, (f": {detail}" if detail else "", "dim"))
        line.add_row(Text(f"  {self._seconds()}", style="dim"), Text("  ✔ ", style="green"), said)
        self._console.print(line)

    def __enter__(self) -> Self:
        from rich.live import Live  # noqa: PLC0415  an extra, and slow to load

        self._live = Live(get_renderable=self._panel, console=self._console, refresh_per_second=PER_SECOND)
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last figures on the screen."""
        self._waiting = ""
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def _print(self, line: str, indent: int) -> None:
        """A quiet line above the panel, indented also where it goes on below itself."""
        from rich.padding import Padding  # noqa: PLC0415  an extra, and slow to load
        from rich.text import Text  # noqa: PLC0415  an extra, and slow to load

        self._console.print(Padding(Text(line, style="dim"), (0, 0, 0, indent)))

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._began:5.1f}s"

    def _panel(self) -> Table:
        from rich.table import Table  # noqa: PLC0415  an extra, and slow to load
        from rich.text import Text  # noqa: PLC0415  an extra, and slow to load

        panel = Table.grid()
        if self._waiting:
            self._spinner.update(text=Text(f"{self._seconds()}  {self._waiting} …", style="cyan"))
            panel.add_row(self._spinner)
        figures = [part for name, value in self._state() for part in ((f"{name} ", "dim"), f"{value}  ")]
        panel.add_row(Text.assemble("  ", *figures, no_wrap=True, overflow="ellipsis"))
        return panel
