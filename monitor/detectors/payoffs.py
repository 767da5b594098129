"""What the input detector bets on: yes-or-no events of a row, and how often the reference allows each.

Per column: a number at or below each of up to nine reference deciles, and above it, and out of the
reference's range on either side; a category, and not that
category; a value the reference did not list; a missing value, and a value that is there. An event whose
allowed share is so near to 1 that it cannot be overdone by the smallest bet is left out, and with the last of
its events a signal.

Allowed share = reference share + the reference's own sampling error (monitor.detectors.bounds) + the
operator's tolerance. Everything is computed once per version, from its profile.
"""

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from monitor.blocks import Floats
from monitor.columns import Layout
from monitor.detectors.bounds import dkw, upper_share
from monitor.settings import Tolerance
from registry_client.profile import CategoricalColumn, NumericColumn

DECILES: Final = tuple(step / 10 for step in range(1, 10))
KNOTS: Final = len(DECILES) + 2
"""Most knots of a column: below the least value, the deciles, the greatest value."""
ALTERNATIVES: Final = np.array([0.02, 0.05, 0.1, 0.2])
"""How much more than allowed each bet expects; the mixture pays for all of them once."""
_HIT: Final = 0.999
VALUES, MISSING, UNLISTED = 0, 1, 2
_PART: Final = (0.8, 0.1, 0.1)
"""Parts of the budget: values, missingness, values not listed; equal among the columns that have each."""


class Signal(msgspec.Struct, frozen=True):
    """One named stream of evidence: what of which column (index in its own array)."""

    name: str
    kind: int
    numeric: bool
    column: int
    rows: int


class Payoff(msgspec.Struct, frozen=True):
    """One event: the signal it belongs to, its place among the counts, and which side of it is bet on."""

    signal: int
    place: int
    above: bool
    share: float
    slack: float
    event: str


class Payoffs(msgspec.Struct, frozen=True):
    """All events of a version as arrays [P], grouped by signal in rising order.

    `place` indexes the vector of counts (see Counted) and `total` the vector of rows (present values per
    column, then present or missing ones; numbers before texts); `side` is true where the event is the count's
    complement. `knots` float64 [numeric columns, KNOTS], NaN where a column has fewer.
    """

    signals: tuple[Signal, ...]
    weights: Floats
    signal: npt.NDArray[np.intp]
    place: npt.NDArray[np.intp]
    total: npt.NDArray[np.intp]
    side: npt.NDArray[np.bool_]
    share: Floats
    allowed: Floats
    events: tuple[str, ...]
    knots: Floats


def compile_payoffs(layout: Layout, tolerance: Tolerance, doubt: float) -> Payoffs:
    """The events of all columns that have reference rows."""
    counted = Counted(layout)
    signals: list[Signal] = []
    payoffs: list[Payoff] = []
    knots = np.full((len(layout.numeric), KNOTS), np.nan)
    for index, column in enumerate(layout.numeric):
        if column.n:
            chosen, shares = _knots(column)
            knots[index, : len(chosen)] = chosen
            signals.append(Signal(column.name, VALUES, numeric=True, column=index, rows=column.n))
            for knot, (edge, share) in enumerate(zip(chosen, shares, strict=True)):
                payoffs += _both(
                    len(signals) - 1, counted.knot(index, knot), share, tolerance.distribution, f"<= {edge:g}"
                )
        _add_missing(signals, payoffs, counted.missing_numeric(index), column, index, tolerance)
    for index, text in enumerate(layout.categorical):
        _add_categories(signals, payoffs, counted, text, index, tolerance)
        _add_missing(signals, payoffs, counted.missing_text(index), text, index, tolerance)
    return _assemble(signals, payoffs, counted, knots, doubt)


class Counted:
    """Where each count lies in the detector's vector: knots, missing, then categories with one more each."""

    def __init__(self, layout: Layout) -> None:
        self.numeric = len(layout.numeric)
        self.categorical = len(layout.categorical)
        self.sizes = [len(column.categories) + 1 for column in layout.categorical]
        self.missing_at = self.numeric * KNOTS
        self.codes_at = self.missing_at + self.numeric + self.categorical
        self.starts = self.codes_at + np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.intp)
        self.length = int(self.starts[-1])

    def knot(self, column: int, knot: int) -> int:
        """Rows at or below a knot."""
        return column * KNOTS + knot

    def missing_numeric(self, column: int) -> int:
        """Rows without this number."""
        return self.missing_at + column

    def missing_text(self, column: int) -> int:
        """Rows without this text."""
        return self.missing_at + self.numeric + column

    def code(self, column: int, code: int) -> int:
        """Rows with this category; the code after the last means values not listed."""
        return int(self.starts[column]) + code

    def total(self, signal: Signal) -> int:
        """Where the rows of a signal lie in the vector of rows."""
        column = signal.column if signal.numeric else self.numeric + signal.column
        return column + (self.numeric + self.categorical if signal.kind == MISSING else 0)


def _knots(column: NumericColumn) -> tuple[Floats, Floats]:
    """The knots of a column, ascending, and the share of reference values at or below each."""
    edges = np.array(column.edges)
    shares = np.cumsum(column.counts)[:-1] / column.n
    nearest = sorted({int(np.argmin(np.abs(shares - decile))) for decile in DECILES}) if len(edges) else []
    inner = [(edges[index], shares[index]) for index in nearest if edges[index] < column.maximum]
    below = float(np.nextafter(column.minimum, -np.inf))
    knots = [(below, 0.0), *inner, (column.maximum, 1.0)]
    return np.array([knot for knot, _ in knots]), np.array([share for _, share in knots])


def _both(signal: int, place: int, share: float, slack: float, event: str) -> list[Payoff]:
    """The event and its complement."""
    return [
        Payoff(signal, place, above=False, share=share, slack=slack, event=event),
        Payoff(signal, place, above=True, share=1.0 - share, slack=slack, event=f"not {event}"),
    ]


def _add_missing(
    signals: list[Signal],
    payoffs: list[Payoff],
    place: int,
    column: NumericColumn | CategoricalColumn,
    index: int,
    tolerance: Tolerance,
) -> None:
    rows = column.n + column.missing
    if not rows:
        return
    share = column.missing / rows
    numeric = isinstance(column, NumericColumn)
    signals.append(Signal(f"{column.name}:missing", MISSING, numeric=numeric, column=index, rows=rows))
    slack = tolerance.missing + tolerance.missing_relative * share
    payoffs += _both(len(signals) - 1, place, share, slack, "missing")


def _add_categories(
    signals: list[Signal],
    payoffs: list[Payoff],
    counted: Counted,
    column: CategoricalColumn,
    index: int,
    tolerance: Tolerance,
) -> None:
    if not column.n:
        return
    signals.append(Signal(column.name, VALUES, numeric=False, column=index, rows=column.n))
    for code, count in enumerate(column.counts):
        share = count / column.n
        slack = tolerance.category + tolerance.category_relative * min(share, 1.0 - share)
        event = f"= {column.categories[code]}"
        payoffs += _both(len(signals) - 1, counted.code(index, code), share, slack, event)
    # Good and Turing: the chance that the next value was never seen is about that of values seen once.
    share = min(1.0, (column.other + column.singletons) / column.n)
    name = "other" if column.other else "unseen"
    signals.append(Signal(f"{column.name}:{name}", UNLISTED, numeric=False, column=index, rows=column.n))
    place = counted.code(index, len(column.categories))
    slack = tolerance.missing + tolerance.missing_relative * share
    payoffs.append(Payoff(len(signals) - 1, place, above=False, share=share, slack=slack, event=name))


def _assemble(
    signals: list[Signal], payoffs: list[Payoff], counted: Counted, knots: Floats, doubt: float
) -> Payoffs:
    """Margins that hold for everything asked of the reference at once; only events that can be overdone."""
    rows = np.array([float(signals[payoff.signal].rows) for payoff in payoffs])
    share = np.array([payoff.share for payoff in payoffs])
    # Half the doubt to each bound, shared among all that use it.
    allowed = upper_share(share, rows, doubt / 2.0 / max(1, len(payoffs)))
    curve = np.array([signals[p.signal].numeric and signals[p.signal].kind == VALUES for p in payoffs], bool)
    columns = max(1, len(knots))
    allowed = np.where(curve, np.minimum(allowed, share + dkw(rows, doubt / 2.0 / columns)), allowed)
    allowed = allowed + np.array([payoff.slack for payoff in payoffs])
    kept = np.flatnonzero(bets(allowed)[2].any(axis=1))
    used = sorted({payoffs[index].signal for index in kept})
    renamed = {old: new for new, old in enumerate(used)}
    return Payoffs(
        signals=tuple(signals[index] for index in used),
        weights=_weights([signals[index] for index in used]),
        signal=np.array([renamed[payoffs[index].signal] for index in kept], np.intp),
        place=np.array([payoffs[index].place for index in kept], np.intp),
        total=np.array([counted.total(signals[payoffs[index].signal]) for index in kept], np.intp),
        side=np.array([payoffs[index].above for index in kept], np.bool_),
        share=share[kept],
        allowed=allowed[kept],
        events=tuple(payoffs[index].event for index in kept),
        knots=knots,
    )


def _weights(signals: list[Signal]) -> Floats:
    """Each signal's part of the budget; what has no signal leaves its part to the others."""
    kinds = np.array([signal.kind for signal in signals], np.intp)
    weights = np.array([_PART[kind] / np.count_nonzero(kinds == kind) for kind in kinds.tolist()])
    return weights / weights.sum() if len(weights) else weights


def bets(allowed: Floats) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Ln factors of a hit and of a miss, and which bets there are, each [P, 4].

    A bet on a share m + d above the allowed m multiplies by (m+d)/m on a hit and by (1-m-d)/(1-m) on a miss:
    on average by at most 1 for every true share up to m. There is no bet on a share of 1.
    """
    m = allowed[:, None]
    target = m + ALTERNATIVES
    valid = target < _HIT
    target = np.where(valid, target, m)
    return np.log(target / m), np.log((1.0 - target) / (1.0 - m)), valid
