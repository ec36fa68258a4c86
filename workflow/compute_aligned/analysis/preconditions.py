"""What the baseline alone must have done before a comparison with it can speak about the paper.

A run that learned nothing, was much shorter than the paper's or left no room for its effect has not tested the paper.
These checks look at the baseline and never at what it is compared with, so that they cannot choose verdicts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np
from numpy.typing import NDArray

from ..statistics import crossed_interval, one_sided_p


@dataclass(frozen=True)
class Check:
    """Whether a precondition is met, and the numbers in words, half a sentence."""

    met: bool
    said: str


def learned(
    trained: NDArray[np.float64],
    start: NDArray[np.float64],
    level: float,
    unit: str,
    within: tuple[float, float] | None = None,
) -> Check:
    """Whether the baseline gains over its own start: the one-sided bound over seeds lies above 0.

    Args:
        trained: the baseline's metric at one sample, shape (seeds, problems).
        start: that of what it started from, the same shape.
        level: of the test, such as 0.05 for a bound of 95 %.
        unit: of the values.
        within: the range that neither can leave, if there is one.

    Seeds are the unit, so that problems are averaged within each; with one seed problems are.
    """
    gains = trained - start
    values = gains.mean(axis=1, keepdims=True) if len(gains) > 1 else gains
    apart = None if within is None else (within[0] - within[1], within[1] - within[0])
    interval = crossed_interval(values, level=1 - 2 * level, within=apart)
    gain = f"at one sample it gains {interval.mean:+.2f} {unit} over its start"
    if isnan(interval.low):
        return Check(False, f"{gain} without any spread that could say how sure that is")
    said = f"{gain}, one-sided {100 * (1 - level):g} % bound {interval.low:+.2f}, wanted above 0"
    return Check(bool(one_sided_p(interval, 0) < level), said)


def large_enough(
    completions: int, of_paper: int, curves: Sequence[NDArray[np.float64]], share: float, last: float, gain: float
) -> Check:
    """Whether the baseline was trained on so large a share of the paper's completions, or to a plateau.

    Args:
        completions: trained on, of one seed.
        of_paper: the paper's number.
        curves: per seed what training raises, one value per step: mean reward, or mean log-probability.
        share: of the paper's number that is enough.
        last, gain: as in ``plateau``.
    """
    flat = plateau(curves, last, gain)
    said = f"it was trained on {completions:,} completions, the paper's on {of_paper:,}, "
    return Check(completions >= share * of_paper or flat, said + ("to a plateau" if flat else "and to no plateau"))


def plateau(curves: Sequence[NDArray[np.float64]], last: float, gain: float) -> bool:
    """Whether the last steps, a share of all, gain less than a share of the whole gain.

    Levels are means over seeds and over blocks of so many steps: that gain is the last block's mean minus the one's
    before it, the whole one the last block's minus the first's. Where nothing was gained there is no plateau.
    """
    steps = min(map(len, curves))
    block = max(1, round(last * steps))
    if steps < 3 * block:
        return False
    curve = np.mean([values[:steps] for values in curves], axis=0)
    first, before, end = curve[:block].mean(), curve[-2 * block : -block].mean(), curve[-block:].mean()
    return bool(end > first and end - before < gain * (end - first))
