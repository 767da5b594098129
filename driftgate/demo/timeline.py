"""The end of the demo in text: what happened when, how accurate the answers were, and who counted what."""

from __future__ import annotations

from collections.abc import Iterator

from driftgate import show
from driftgate.demo.books import Books
from driftgate.demo.facts import Fact
from driftgate.demo.play import Play

WIDTH = 100


def lines(play: Play) -> Iterator[str]:
    """The whole text."""
    begin = play.marks.get("traffic", 0.0)
    yield "Timeline (seconds since the first request; every step of a rollout cites its row in history)"
    for fact in sorted(play.facts.happened, key=lambda fact: fact.at):
        yield from _fact(fact, begin)
    if "end" not in play.marks:
        return
    yield ""
    yield "Accuracy, as the client saw it"
    yield from _accuracy(play)
    if play.books is not None:
        yield ""
        yield "Counted by each for itself"
        yield from _books(play.books, play.client.counts.failed)


def _fact(fact: Fact, begin: float) -> Iterator[str]:
    yield f"  {fact.at - begin:7.1f}  {fact.name}"
    for part in _wrapped(f"{fact.detail} ({fact.source})"):
        yield f"           {part}"


def _wrapped(text: str) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + len(word) >= WIDTH:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    yield line


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
        claim = f"   its training job had claimed {claimed:.1%}" if claimed is not None else ""
        rows = counts.rows_between(marks[begin] - start, marks[end] - start, version)
        share = "-" if found is None else f"{found:6.1%}"
        yield f"  {name:<40} {share} of {show.count(rows):>6} rows{claim}"


def _books(books: Books, failed: int) -> Iterator[str]:
    yield f"  {'':<10} {'requests':>10} {'rows':>10} {'labels':>10}"
    for name in ("client", "gateway", "log", "monitor"):
        count = getattr(books, name)
        requests = "-" if count.requests is None else show.count(count.requests)
        yield f"  {name:<10} {requests:>10} {show.count(count.rows):>10} {show.count(count.labels):>10}"
    yield f"  requests failed {failed}, records lost {books.lost}"
