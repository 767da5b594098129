"""The end of the demo in text: what happened when, how accurate the answers were, and who counted what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from driftgate import show
from driftgate.demo.books import Books
from driftgate.demo.play import Play

WIDTH: Final = 110
_INDENT: Final = " " * 11


def lines(play: Play, width: int = WIDTH) -> Iterator[str]:
    """The whole text, in lines of at most so many characters; 80 at least."""
    begin = play.marks.get("traffic", 0.0)
    yield "Timeline (seconds since the first request; rollouts cite their history)"
    for fact in sorted(play.facts.happened, key=lambda fact: fact.at):
        left = width - len(_INDENT)
        told = [*show.wrapped(fact.name, left), *show.wrapped(f"{fact.detail} ({fact.source})", left)]
        yield f"  {fact.at - begin:7.1f}  {told[0]}"
        yield from (f"{_INDENT}{part}" for part in told[1:])
    if "end" not in play.marks:
        return
    yield ""
    yield "Accuracy, as the client saw it, and as the training job had claimed"
    yield from _accuracy(play)
    if play.books is not None:
        yield ""
        yield "Counted by each for itself"
        yield from _books(play.books, play.client.counts.failed)


def _accuracy(play: Play) -> Iterator[str]:
    marks, counts, start = play.marks, play.client.counts, play.client.started_at
    spans = (
        ("before the change, version 1", "traffic", "change", "1"),
        ("during it, until version 2 is promoted", "change", "promoted 2", None),
        ("after, version 2", "promoted 2", "promoted 3", "2"),
        ("control, version 3", "promoted 3", "end", "3"),
        ("version 4, while it answered users", "control", "end", "4"),
    )
    for name, begin, end, version in spans:
        found = counts.accuracy(marks[begin] - start, marks[end] - start, version)
        claimed = play.results[version].accuracy if version in play.results else None
        claim = f"   claimed {claimed:.1%}" if claimed is not None else ""
        rows = counts.rows_between(marks[begin] - start, marks[end] - start, version)
        share = "-" if found is None else f"{found:6.1%}"
        yield f"  {name:<38} {share} of {show.count(rows):>6} rows{claim}"


def _books(books: Books, failed: int) -> Iterator[str]:
    yield f"  {'':<10} {'requests':>10} {'rows':>10} {'labels':>10}"
    for name in ("client", "gateway", "log", "monitor"):
        count = getattr(books, name)
        requests = "-" if count.requests is None else show.count(count.requests)
        yield f"  {name:<10} {requests:>10} {show.count(count.rows):>10} {show.count(count.labels):>10}"
    yield f"  requests failed {failed}, records lost {books.lost}"
