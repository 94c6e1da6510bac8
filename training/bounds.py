"""Tests that a mean loss is below a bound: each refutes "it is as much or more" with a stated error at most.

All hold for any number n of independent, alike rows and any losses in their range; none leans on a normal
approximation. They differ in power. ``hedged_bet`` sees how often policies differ, which is what makes
paired losses small, and how much is left to see; ``hoeffding_bentkus`` knows the mean alone (Bates et al.
2021, as in Learn then Test, Angelopoulos et al. 2021); ``clopper_pearson`` is exact for the share of rows
that lose anything, and sees no gain.

n: rows, L: policies.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, kl_div, ndtri

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Test = Literal["hedged-bet", "hoeffding-bentkus", "clopper-pearson"]
GUESSED_DEVIATION, GUESSED_ROWS = 0.3, 10  # of losses, before any is seen; paired ones have 0.2 to 0.5
STAKE = 0.9  # of the capital at most, so that no row ends the game
REACH = 12  # standard errors that an interval is sought in
ROOT_TAU = np.sqrt(2 * np.pi)


def hedged_bet(losses: Floats, bound: Floats | float, error: Floats | float, most: float = 1.0) -> Bools:
    """Whether the mean of each column is shown to be below its bound: [n, L], [L], [L] -> bool [L].

    A gambler starts with ``error`` and stakes on each row that its loss is below the bound. Where the mean is
    the bound or more, no stake is favourable, so the capital is a nonnegative supermartingale and reaches 1
    with a probability of ``error`` at most (Ville 1939; Waudby-Smith and Ramdas 2024). The stakes are what
    hedges a claim on 1 that a normal test would pay out: with capital w and m rows left, the density of the
    normal at its w-quantile over the standard deviation of the m rows' sum. They aim at exactly 1 at exactly
    the last row, where bets of a fixed share win more than is needed, less often: the power is nearly that
    of the normal test, the error holds without one. (Recalculated targets: Voracek and Orabona 2025.)

    Args:
        losses: of rows in an order that tells nothing, each in [-1, most].
        bound, error: of each column, or of all.
        most: that a row can lose.
    """
    rows, columns = losses.shape
    gains = bound - losses
    capital = np.broadcast_to(error, (columns,)).astype(np.float64)
    worst = np.maximum(most - np.broadcast_to(bound, (columns,)), 1e-9)
    shown = np.zeros(columns, np.bool_)
    total, squares = np.zeros(columns), np.full(columns, GUESSED_ROWS * GUESSED_DEVIATION**2)
    for row in range(rows):
        seen = row + GUESSED_ROWS
        variance = np.maximum(squares / seen - (total / seen) ** 2, 1e-12)
        quantile = ndtri(np.clip(capital, 1e-12, 1 - 1e-6))
        stake = np.exp(-0.5 * quantile**2) / (ROOT_TAU * np.sqrt(variance * (rows - row)))
        stake = np.where(shown, 0.0, np.minimum(stake, STAKE * capital / worst))
        gain = gains[row]
        capital = np.maximum(capital + stake * gain, 0.0)
        shown |= capital >= 1
        total += gain
        squares += gain**2
    return shown


def hoeffding_bentkus(
    losses: Floats, bound: Floats | float, error: Floats | float, most: float = 1.0
) -> Bools:
    """As ``hedged_bet``, from the means alone: the better of Hoeffding's and Bentkus' tails."""
    rows = len(losses)
    mean, bar = (losses.mean(axis=0) + 1) / (most + 1), (np.asarray(bound) + 1) / (most + 1)
    hoeffding = np.exp(-rows * (kl_div(mean, bar) + kl_div(1 - mean, 1 - bar)))
    bentkus = np.e * bdtr(np.ceil(rows * mean - 1e-9), rows, bar)
    below: Bools = (mean < bar) & (np.minimum(hoeffding, bentkus) <= error)
    return below


def clopper_pearson(losses: Floats, bound: Floats | float, error: Floats | float, most: float = 1.0) -> Bools:
    """As ``hedged_bet``, from the share of rows that lose anything, which no loss of 1 at most exceeds."""
    share_lost = (losses > 0).sum(axis=0)
    tail = bdtr(share_lost, len(losses), np.clip(np.asarray(bound) / most, 0.0, 1.0))
    below: Bools = tail <= error
    return below


TESTS: dict[Test, Callable[[Floats, Floats | float, Floats | float, float], Bools]] = {
    "hedged-bet": hedged_bet,
    "hoeffding-bentkus": hoeffding_bentkus,
    "clopper-pearson": clopper_pearson,
}


def mean_interval(values: Floats, error: float) -> tuple[float, float]:
    """An interval that holds the mean of what ``values`` [n] in [0, 1] were drawn from, but for ``error``.

    Both ends are where ``hedged_bet`` ceases to refute, to a tenth of the standard error.
    """
    mean = float(values.mean())
    steps = np.linspace(0.0, REACH, 10 * REACH + 1) * max(float(values.std()), 1e-3) / np.sqrt(len(values))
    sides = []
    for way, most in ((1, 1.0), (-1, 0.0)):
        spread = np.repeat(way * values[:, None], len(steps), axis=1)
        shown = hedged_bet(spread, way * mean + steps, error / 2, most)
        sides.append(float(steps[shown.argmax()]) if shown.any() else 1.0)
    return max(0.0, mean - sides[1]), min(1.0, mean + sides[0])
