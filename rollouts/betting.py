"""Betting evidence: the arithmetic of e-processes, in natural logarithms.

An e-process starts at 1 and, while its hypothesis holds, is expected to stay at or below 1 at any stopping
time; so the chance that it ever reaches 1/alpha is at most alpha however often one looks (Ville's
inequality). A weighted average of e-processes is one again: every function here averages over a grid of
bets, and `restarted` over the moment at which betting begins.

Three bets (sources and proofs in docs/rollouts.md):

* `ratio_growth`   exposure-offset rate ratio of two arms' events (Hoeffding 1963; Lindon & Malek 2022);
* `rate_evidence`  one arm's rate against a fixed level, by mixed likelihood ratios (Robbins 1970);
* `mean_evidence`  the mean of outcomes -1, 0, +1 against a level (Waudby-Smith & Ramdas 2024).

It knows no arm, no route and no decision.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

NO_EVIDENCE: Final = 0.0
"""ln 1."""


class Bets:
    """A grid of bets and the logarithms of their prior weights (which sum to 1)."""

    def __init__(self, grid: Vector, weights: Vector) -> None:
        self.grid = grid
        self.log_weights: Vector = np.log(weights / weights.sum())

    def mixture(self, log_capital: Vector) -> float:
        """Return ln of the weighted average of the capitals, given their logarithms."""
        return log_sum(log_capital + self.log_weights)


def log_sum(terms: Vector) -> float:
    """Return ln of a sum, given the logarithms of its terms; all -inf gives -inf."""
    top = float(terms.max())
    if top == -math.inf:
        return top
    return top + float(np.log(np.exp(terms - top).sum()))


def geometric(first: float, last: float, count: int) -> Vector:
    """Return `count` numbers from first to last with equal ratios."""
    grid: Vector = np.exp(np.linspace(math.log(first), math.log(last), count))
    return grid


WORSE_RATIOS: Final = Bets(geometric(1.15, 50.0, 24), 1 / np.sqrt(np.arange(1.0, 25.0)))
"""Multiples of the margin to bet on when proving a rate ratio above it."""

BETTER_RATIOS: Final = Bets(1 / geometric(1.08, 50.0, 24), np.ones(24))
"""Multiples of the margin to bet on when proving a rate ratio below it."""

HIGHER_RATES: Final = Bets(geometric(1.2, 50.0, 16), np.ones(16))
"""Multiples of the floor to bet on when proving a rate above it."""

LOWER_RATES: Final = Bets(
    np.concatenate([[0.0], 1 / geometric(1.25, 30.0, 11)]), np.concatenate([[0.4], np.full(11, 0.6 / 11)])
)
"""Multiples of the cap to bet on when proving a rate below it; 0.4 of the stake is on "never happens"."""

MEAN_BETS: Final = Bets(geometric(0.06, 0.97, 12), np.ones(12))
"""Shares of the largest safe bet on a mean."""


def ratio_growth(bets: Bets, margin: float, exposure: tuple[int, int], events: tuple[int, int]) -> Vector:
    """Return the growth of ln capital, one per bet, by one block of (candidate, stable) counts.

    The hypothesis is "candidate's rate <= margin * stable's rate" for bets above 1 and ">=" for bets below
    1. With w the candidate's share of the exposure and theta(r) = wr / (wr + 1 - w), each candidate event
    multiplies the capital by theta(margin * bet) / theta(margin) and each stable event by the complement's
    ratio. A block in which one arm has no exposure says nothing. The block's limits must not depend on
    events.
    """
    on_candidate, on_stable = exposure
    if on_candidate == 0 or on_stable == 0 or not any(events):
        return np.zeros_like(bets.grid)
    odds = on_candidate / on_stable
    # ln of theta(r) / theta(margin), and of (1 - theta(r)) / (1 - theta(margin)); odds = w / (1 - w).
    against = np.log1p(odds * margin) - np.log1p(odds * margin * bets.grid)
    growth: Vector = events[0] * (np.log(bets.grid) + against) + events[1] * against
    return growth


def rate_evidence(bets: Bets, level: float, requests: int, events: int) -> float:
    """Return ln e-value against "rate <= level" (bets above 1) or "rate >= level" (bets below 1).

    Bets that would need a rate of 0.97 or more are left out, their stake stays in the purse.
    """
    rates = level * bets.grid
    possible = rates < 0.97  # noqa: PLR2004  a likelihood at rate 1 is 0 after one good answer
    with np.errstate(divide="ignore"):
        won = np.log(np.where(possible, bets.grid, 1.0))
    kept = np.log1p(-np.where(possible, rates, level)) - math.log1p(-level)
    gains = (events * won if events else 0.0) + (requests - events) * kept
    return bets.mixture(gains)


def mean_evidence(bets: Bets, level: float, counts: tuple[int, int, int]) -> float:
    """Return ln e-value against "mean <= level" for outcomes counted as (minus ones, zeros, plus ones).

    Each bet stakes a constant share s of the capital: 1 + s (outcome - level), which is never negative for
    s < 1 / (1 + level). The product depends on the counts alone, so order and batches do not matter. The
    other side, "mean >= level", is the same with both signs turned.
    """
    minus, zero, plus = counts
    stakes = bets.grid / (1 + level)
    capital: Vector = (
        minus * np.log1p(stakes * (-1 - level))
        + zero * np.log1p(-stakes * level)
        + plus * np.log1p(stakes * (1 - level))
    )
    return bets.mixture(capital)


def restarted(starts: Sequence[tuple[int, float]]) -> float:
    """Return ln of the mixture over when betting began.

    Each item is (index, ln evidence of all that came at or after this index), indices ascending from 0 up.
    Start j has the prior weight 1 / ((j + 1)(j + 2)), which sums to 1 over all j: a start between two items
    has bet on what the later item did, starts after the last stand at 1. So late trouble is not buried
    under early health, and nothing depends on the order in which the items filled.
    """
    terms, reserve = [], 1.0
    for index, evidence in starts:
        after = 1 / (index + 2)
        terms.append(evidence + math.log(reserve - after))
        reserve = after
    return log_sum(np.array([*terms, math.log(reserve)]))
