"""How far a share counted on a finite reference may lie from the truth.

Without this margin every test against a fixed reference that never stops alarms in the end – at the
reference's own sampling error. Two bounds, each valid at its own level of doubt:

* Dvoretzky, Kiefer, Wolfowitz (Massart's constant): all points of one cumulative distribution at once;
* Chernoff's bound in its Kullback–Leibler form: one share; much tighter near 0 and 1.
"""

from typing import Final

import numpy as np

from monitor.blocks import Floats

_STEPS: Final = 50


def dkw(n: Floats, doubt: float) -> Floats:
    """Margin of every point of a cumulative distribution counted on n rows; 1 where n is 0."""
    margin: Floats = np.sqrt(np.log(2.0 / doubt) / (2.0 * np.maximum(n, 1e-9)))
    return np.minimum(1.0, margin)


def upper_share(share: Floats, n: Floats, doubt: float) -> Floats:
    """The largest true share u with n·KL(share, u) ≤ ln(1 / doubt), by bisection; 1 where n is 0."""
    low, high = share.astype(np.float64), np.ones_like(share, np.float64)
    allowed = np.log(1.0 / doubt) / np.maximum(n, 1e-9)
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        inside = divergence(share, middle) <= allowed
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return high


def divergence(p: Floats, q: Floats) -> Floats:
    """KL(p, q) of two Bernoulli distributions, in nats; 0·ln 0 is 0."""
    q = np.clip(q, 1e-300, 1.0 - 1e-16)
    left = np.where(p > 0.0, p * np.log(np.maximum(p, 1e-300) / q), 0.0)
    right = np.where(p < 1.0, (1.0 - p) * np.log(np.maximum(1.0 - p, 1e-300) / (1.0 - q)), 0.0)
    total: Floats = left + right
    return total
