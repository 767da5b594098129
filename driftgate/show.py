"""How facts are shown: aligned tables, times, shares, colours that say what a word means.

Rules: colours appear on a terminal only (click strips them elsewhere); `--json` prints the API's own facts,
unrounded. Nothing here knows where a fact comes from.
"""

from __future__ import annotations

import datetime as dt
import itertools
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import click
import msgspec

from groundwork.dates import unix_ns

COLOURS: Final[Mapping[str, str]] = {
    "PASS": "green",
    "FAIL": "red",
    "OPEN": "yellow",
    "progressing": "cyan",
    "baking": "cyan",
    "paused": "yellow",
    "succeeded": "green",
    "rolled-back": "red",
    "ready": "green",
    "stable": "green",
    "candidate": "cyan",
    "delivered": "green",
    "dead": "red",
    "open": "red",
    "resolved": "green",
    "ok": "green",
    "alarm": "red",
    "SUSPECT": "yellow",
}
NS: Final = 10**9
GAP: Final = "  "
"""What stands between two columns."""
BELOW: Final = "    "
"""What stands before columns for which there was no room."""
NARROWEST: Final = 20
LONGEST_NUMBER: Final = 1e12
MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400


def facts(document: Any) -> None:
    """Print a document as JSON, indented for eyes and whole for programs."""
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def word(text: str) -> str:
    """A state's word in its colour."""
    return click.style(text, fg=COLOURS.get(text))


def table(titles: Sequence[str], rows: Iterable[Sequence[Any]], *, none: str = "") -> None:
    """Print rows under titles, each column as wide as its widest cell; a cell that is None is a hyphen.

    Where a terminal is too narrow the last column goes on below itself, and columns for which there is no
    room at all stand in a line below the others. `none` is said where there is no row.
    """
    cells = [["-" if cell is None else str(cell) for cell in row] for row in rows]
    if not cells and none:
        click.echo(none)
        return
    widths = [max(len(click.unstyle(row[place])) for row in (titles, *cells)) for place in range(len(titles))]
    for line in _laid(titles, widths, room(0)):
        click.echo(click.style(line, bold=True))
    for row in cells:
        click.echo("\n".join(_laid(row, widths, room(0))))


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most so many characters, broken at spaces; at least one line.

    A coloured text stays in one piece: only single words are coloured.
    """
    if len(text) <= width or click.unstyle(text) != text:
        return [text]
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]


def short(text: str, width: int) -> str:
    """The beginning of a text, with an ellipsis where it had to be cut."""
    return text if len(text) <= width else f"{text[: max(width - 1, 0)]}…"


def room(used: int) -> int:
    """How many characters are left on a line of the terminal after `used`; off a terminal, plenty."""
    if not sys.stdout.isatty():
        return 10_000
    return max(shutil.get_terminal_size().columns - used, NARROWEST)


def _laid(row: Sequence[str], widths: Sequence[int], columns: int) -> list[str]:
    """A row in lines of at most so many characters, as far as its cells can be broken."""
    fitting = _fitting(widths, columns)
    left = columns - sum(widths[: fitting - 1]) - len(GAP) * (fitting - 1)
    first, *others = wrapped(row[fitting - 1], max(left, NARROWEST))
    lines = [_line([*row[: fitting - 1], first], widths)]
    lines += [_line([*[""] * (fitting - 1), other], widths) for other in others]
    if {*row[fitting:]} <= {"-"}:  # nothing to be said in columns that would stand below
        return lines
    return [
        *lines,
        *(f"{BELOW}{line}" for line in _laid(row[fitting:], widths[fitting:], columns - len(BELOW))),
    ]


def _fitting(widths: Sequence[int], columns: int) -> int:
    """How many columns stand beside each other: all, if the last has room enough to go on below itself."""
    before = sum(widths[:-1]) + len(GAP) * (len(widths) - 1)
    if columns - before >= min(widths[-1], NARROWEST):
        return len(widths)
    ends = itertools.accumulate(width + len(GAP) for width in widths[:-1])
    return max(1, sum(end - len(GAP) <= columns for end in ends))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(cells, widths, strict=False)
    ]
    return GAP.join(padded).rstrip()


def moment(at: int | str | None) -> str:
    """A time of day, local, with its date when that is not today; of unix ns or RFC 3339."""
    if not at:
        return "-"
    at_ns = unix_ns(at) if isinstance(at, str) else at
    then = dt.datetime.fromtimestamp(at_ns / NS, tz=dt.UTC).astimezone()
    today = dt.datetime.now(tz=then.tzinfo).date()
    return f"{then:%H:%M:%S}" if then.date() == today else f"{then:%Y-%m-%d %H:%M:%S}"


def span(seconds: float) -> str:
    """A duration in the two units that matter: 4m12s, 3.2s."""
    if seconds < MINUTE:
        return f"{seconds:.1f}s" if seconds < 10 and seconds % 1 else f"{seconds:.0f}s"  # noqa: PLR2004  a tenth matters below ten
    if seconds < HOUR:
        return f"{int(seconds // MINUTE)}m{int(seconds % MINUTE):02d}s"
    if seconds < DAY:
        return f"{int(seconds // HOUR)}h{int(seconds % HOUR // MINUTE):02d}m"
    return f"{int(seconds // DAY)}d{int(seconds % DAY // HOUR):02d}h"


def count(number: int) -> str:
    """A count with thin groups of thousands."""
    return f"{number:,}".replace(",", " ")


def number(value: float, digits: int) -> str:
    """A measured number to so many digits; a long one in whole units, for few read 1.998e+04 at a glance."""
    whole = 10 ** (digits - 1) <= abs(value) < LONGEST_NUMBER
    return f"{value:.0f}" if whole else f"{value:.{digits}g}"


def bar(part: float, whole: float, width: int = 20) -> str:
    """A bar that is full when `part` reaches `whole`; empty below zero."""
    share = min(max(part / whole if whole else 0.0, 0.0), 1.0)
    eighths = round(share * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + ("▏▎▍▌▋▊▉"[rest - 1] if rest else "")).ljust(width)
