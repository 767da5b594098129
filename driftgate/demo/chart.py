"""The demo in one picture: accuracy, traffic by version, evidence against its threshold, and events.

Rules: one clock for all panels; a version has one colour everywhere; thresholds are dashed, events are thin
lines with their words on top. It draws what was counted and computes nothing new.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driftgate.demo.client import BIN_SECONDS
from driftgate.demo.play import Play
from driftgate.demo.sampling import Judged
from driftgate.demo.sources import unix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: Final = {"1": "#5b6b7f", "2": "#1a8a7d", "3": "#6a5acd", "4": "#d9532c"}
INK: Final = "#22303c"
FAINT: Final = "#8a97a3"
GRID: Final = "#e7ebef"
BETTER: Final = "#1a8a7d"
WORSE: Final = "#c0392b"
SMOOTH_BINS: Final = 3
LANES: Final = 4
EVENTS: Final = {
    "start": "v{} starts",
    "advance": "v{} at {} %",
    "promote": "v{} promoted",
    "abort": "v{} rolled back",
}


class Event(msgspec.Struct, frozen=True):
    """A word on the time axis: seconds since the first request."""

    at: float
    text: str
    colour: str


def draw(play: Play, file: Path) -> None:
    """Draw the picture into a PNG; about two seconds."""
    # Its list of fonts would go to the home folder, and the demo writes nothing outside its own.
    os.environ.setdefault("MPLCONFIGDIR", str(file.parent / "matplotlib"))
    import matplotlib as mpl  # noqa: PLC0415  loads slowly

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  after the backend is chosen

    with mpl.rc_context(_style()):
        figure, axes = plt.subplots(
            5,
            1,
            figsize=(13, 10.5),
            sharex=True,
            height_ratios=(1.0, 2.6, 1.8, 1.8, 1.8),
            gridspec_kw={"hspace": 0.16},
        )
        strip, *panels = axes
        _events(strip, panels, _happened(play))
        _accuracy(panels[0], play)
        _traffic(panels[1], play)
        _monitor(panels[2], play)
        _judge(panels[3], play)
        panels[-1].set_xlabel("seconds since the first request")
        panels[-1].set_xlim(0, play.marks["end"] - play.marks["traffic"])
        figure.suptitle(_title(play), x=0.07, y=0.965, ha="left", fontsize=15, fontweight="bold", color=INK)
        figure.subplots_adjust(left=0.07, right=0.90, top=0.945, bottom=0.055)
        figure.align_ylabels(panels)
        figure.savefig(file, dpi=120)
        plt.close(figure)


def _style() -> Any:
    """A quiet look: grid and frame step back behind the data."""
    return {
        "font.size": 10,
        "axes.edgecolor": GRID,
        "axes.labelcolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "xtick.color": FAINT,
        "ytick.color": FAINT,
        "text.color": INK,
        "figure.facecolor": "white",
    }


def _title(play: Play) -> str:
    counts = play.client.counts
    return f"{counts.answered} requests, {counts.failed} failed: the world changed, and a new model took over"


def _happened(play: Play) -> list[Event]:
    """The events of the picture, in time."""
    begin = play.marks["traffic"]
    found = [Event(play.marks["change"] - begin, "the world changes", INK)]
    words = {
        "opens an incident": "incident",
        "webhook": "webhook verified",
        "version 2 is trained": "v2 published",
    }
    for part, text in words.items():
        found += [Event(fact.at - begin, text, INK) for fact in play.facts.happened if part in fact.name]
    for row in play.history:
        if row["verb"] in EVENTS and row["rollout"]:
            version = row["rollout"].rpartition("-")[0].rpartition("-")[2]
            text = EVENTS[row["verb"]].format(version, row["weight"])
            if row["verb"] == "start":
                text = f"v{version} in shadow" if row["weight"] == "0" else f"v{version} at {row['weight']} %"
            found.append(Event(unix(row["at"]) - begin, text, COLOURS.get(version, INK)))
    return sorted(found, key=lambda event: event.at)


def _events(strip: Axes, panels: Sequence[Axes], events: Sequence[Event]) -> None:
    """Words in lanes above, thin lines through all panels below."""
    strip.axis("off")
    strip.set_ylim(LANES, 0)
    for place, event in enumerate(events):
        lane = place % LANES
        strip.plot(
            [event.at, event.at], [lane + 0.55, LANES], color=event.colour, lw=0.8, alpha=0.55, clip_on=False
        )
        strip.text(
            event.at,
            lane + 0.5,
            f" {event.text}",
            color=event.colour,
            fontsize=9,
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )
        for panel in panels:
            panel.axvline(event.at, color=event.colour, lw=0.8, alpha=0.35, zorder=1)


def _accuracy(panel: Axes, play: Play) -> None:
    versions = sorted(play.client.counts.by_version())
    for version in versions:
        seconds, right = _smooth(_shares(play, version))
        panel.plot(seconds, right, color=COLOURS.get(version, INK), lw=1.4, alpha=0.9)
    seconds, right = _smooth(_shares(play, None))
    panel.plot(seconds, right, color=INK, lw=2.6, label="all users")
    panel.set_ylabel("right answers, %")
    panel.set_ylim(50, 101.5)
    _name(
        panel,
        [("all users", INK), *((f"version {version}", COLOURS.get(version, INK)) for version in versions)],
    )


def _traffic(panel: Axes, play: Play) -> None:
    counts = play.client.counts
    last = max((place for place, _, _ in counts.bins), default=0)
    versions = sorted(counts.by_version())
    rows: dict[str, list[float]] = {version: [0.0] * (last + 1) for version in versions}
    for (place, version, _), tally in counts.bins.items():
        rows[version][place] += tally.rows / BIN_SECONDS
    seconds = [(place + 1) * BIN_SECONDS - _lead(play) for place in range(last + 1)]
    series = [_trailing(rows[version]) for version in versions]
    panel.stackplot(
        seconds, series, colors=[COLOURS.get(version, INK) for version in versions], alpha=0.85, lw=0
    )
    panel.set_ylabel("rows a second")
    panel.set_ylim(0)
    _name(panel, [(f"version {version}", COLOURS.get(version, INK)) for version in versions])


def _monitor(panel: Axes, play: Play) -> None:
    """The monitor's evidence, cut above twice the threshold: what matters is when it gets there."""
    begin = play.marks["traffic"]
    by_version: dict[str, list[tuple[float, float]]] = defaultdict(list)
    threshold = max((sample.threshold for sample in play.samples.watched), default=1.0)
    for sample in play.samples.watched:
        by_version[sample.version].append((sample.at - begin, min(sample.evidence, 2 * threshold)))
    for version, points in sorted(by_version.items()):
        panel.plot(*zip(*points, strict=True), color=COLOURS.get(version, INK), lw=1.8)
    panel.axhline(threshold, color=INK, lw=1.2, ls=(0, (5, 4)))
    panel.set_ylabel("monitor's\nevidence, nats")
    panel.set_ylim(0, 2 * threshold)
    names = [(f"version {version}", COLOURS.get(version, INK)) for version in sorted(by_version)]
    _name(panel, [*names, ("alarm", INK)])


def _judge(panel: Axes, play: Play) -> None:
    """The judge's evidence on accuracy, both sides of each rollout."""
    begin = play.marks["traffic"]
    judged = sorted([*play.samples.judged, *_decided(play)], key=lambda sample: sample.at)
    threshold = max((sample.pass_threshold for sample in judged), default=3.0)
    most = 3 * threshold
    for candidate in sorted({sample.candidate for sample in judged}):
        chosen = [sample for sample in judged if sample.candidate == candidate]
        seconds = [sample.at - begin for sample in chosen]
        panel.plot(seconds, [_between(sample.passed, -1, most) for sample in chosen], color=BETTER, lw=1.8)
        panel.plot(seconds, [_between(sample.fail, -1, most) for sample in chosen], color=WORSE, lw=1.8)
        panel.text(
            seconds[0], most * 0.97, f" v{candidate}", color=COLOURS.get(candidate, INK), va="top", fontsize=9
        )
    panel.axhline(threshold, color=INK, lw=1.2, ls=(0, (5, 4)))
    panel.set_ylabel("judge's evidence\non accuracy, nats")
    panel.set_ylim(-1, most)
    _name(panel, [("as good", BETTER), ("worse", WORSE), ("decides", INK)])


def _decided(play: Play) -> Iterator[Judged]:
    """The evidence on which the pilot moved, as history has it: the looks in between may have missed it."""
    for row in play.history:
        evidence = row["evidence"]
        if row["verb"] in EVENTS and "accuracy.fail_evidence" in evidence:
            yield Judged(
                at=unix(row["at"]),
                candidate=row["rollout"].rpartition("-")[0].rpartition("-")[2],
                fail=evidence["accuracy.fail_evidence"],
                fail_threshold=evidence["accuracy.fail_threshold"],
                passed=evidence["accuracy.pass_evidence"],
                pass_threshold=evidence["accuracy.pass_threshold"],
            )


def _name(panel: Axes, names: Iterable[tuple[str, str]]) -> None:
    """What each colour means, at the right of the panel."""
    for place, (name, colour) in enumerate(names):
        panel.text(
            1.012,
            0.95 - place * 0.155 * _crowding(panel),
            name,
            transform=panel.transAxes,
            color=colour,
            fontsize=9.5,
            fontweight="bold",
            va="top",
        )


def _crowding(panel: Axes) -> float:
    """Lines of text stand as far apart in a low panel as in a high one."""
    return 1.0 / max(panel.get_position().height / 0.145, 0.1)


def _shares(play: Play, version: str | None) -> list[tuple[float, int, int]]:
    """(seconds, right, rows) of each bin with answers of a version, or of any."""
    bins: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for (place, name, _), tally in play.client.counts.bins.items():
        if version in (None, name):
            bins[place][0] += tally.right
            bins[place][1] += tally.rows
    lead = _lead(play)
    return [((place + 1) * BIN_SECONDS - lead, right, rows) for place, (right, rows) in sorted(bins.items())]


def _smooth(shares: Sequence[tuple[float, int, int]]) -> tuple[list[float], list[float]]:
    """Percent right over each bin and a few before it: what comes later is never seen early."""
    seconds, percent = [], []
    for place, (at, _, _) in enumerate(shares):
        around = shares[max(place - SMOOTH_BINS, 0) : place + 1]
        seconds.append(at)
        percent.append(
            100 * sum(right for _, right, _ in around) / max(sum(rows for _, _, rows in around), 1)
        )
    return seconds, percent


def _trailing(values: Sequence[float]) -> list[float]:
    """The mean of each bin and the one before it: what comes later is never seen early here either."""
    past = [values[max(place - 1, 0) : place + 1] for place in range(len(values))]
    return [sum(part) / len(part) for part in past]


def _between(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _lead(play: Play) -> float:
    """Seconds from the client's making to the first request."""
    return play.marks["traffic"] - play.client.started_at
