"""Uncertainty of a mean over problems and seeds, paired comparisons, and families of tests.

Values are arrays of shape (seeds, problems): one exact metric value per run and problem, in the metric's
units. Seeds and problems are crossed (every seed meets every problem), and both are samples of the
populations a claim is about:

    Var(mean) = tau2 / R + omega2 / n + gamma2 / (n R)

with tau2 the variance between seeds, omega2 between problems and gamma2 that of their interaction, which
includes the sampling noise of the pools.

Where nothing varies there is no variance to estimate, and no interval or p value is made of it: they are NaN, or, for
values that a range bounds (shares), those of the exact binomial bound (`crossed_interval`).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isnan, nan, sqrt
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

FloatArray = NDArray[np.float64]
ROUNDING = 1e-12  # spread no larger than this, or than this share of the largest value if that is above 1, is none


@dataclass(frozen=True)
class CrossedInterval:
    """A mean and its confidence interval, in the units of the values.

    se: standard error of the mean; df: degrees of freedom of its t distribution (both NaN without any spread); tau2,
    omega2, gamma2: variance components (squared units; estimates below 0 are given as 0; NaN where one seed or one
    problem cannot tell them apart); population: what the interval speaks about, "seeds x problems", "problems only",
    "seeds only" or "none"; alike, within: only where all values are equal and a range bounds them, the number of
    independent ones and that range, else 0 and None.
    """

    mean: float
    low: float
    high: float
    se: float
    df: float
    tau2: float
    omega2: float
    gamma2: float
    population: str
    alike: int = 0
    within: tuple[float, float] | None = None


@dataclass(frozen=True)
class PairedDifference(CrossedInterval):
    """The interval of a difference, and the two-sided p value against a true difference of 0."""

    p_value: float = nan


def crossed_interval(
    values: ArrayLike, level: float = 0.95, within: tuple[float, float] | None = None
) -> CrossedInterval:
    """Confidence interval of the mean of `values`, shape (seeds R, problems n), for new seeds and problems.

    Two-way random-effects analysis of variance. With MP, MS, ME the mean squares of problems, seeds and
    interaction, V = max(MP, MS, MP + MS - ME) / (n R): the maximum keeps V from falling below what either factor
    shows alone when an estimate of a variance component is negative. t has Satterthwaite's degrees of freedom,
    (n R V)^2 / (MP^2/(n-1) + MS^2/(R-1) + ME^2/((n-1)(R-1))), whichever of the three V is (choosing them by which is
    larger would be a test before the test), and no fewer than the factor with fewer levels has by itself,
    min(R, n) - 1, as a V that is small beside ME would have. One seed: problems only (se = sd / sqrt(n), df = n-1). One
    problem: seeds only. Neither: NaN, "none".

    Without any spread (V = 0, up to rounding) there is no t interval: NaN. If all values are equal to c and `within`
    says that none can leave [a, b], then the chance q that a new one is not c bounds the mean: it lies in
    [c - q (c-a), c + q (b-c)]. Of m equal and independent values q is at most 1 - ((1-level)/2)^(1/m), the exact
    binomial interval of 0 in m (about 3.7/m at 95 %; one-sided 3/m, the rule of three). Independent are values that
    share neither seed nor problem, and so m = min(R, n), not n R, let alone samples; with one seed m = n, with one
    problem m = R.

    Errors: ValueError for an array that is not 2-d, is empty or holds a value that is not finite, for equal values
    outside their range, or a level outside (0, 1). Source: Satterthwaite 1946; one seed: Miller 2024 (arXiv
    2411.00640); the bound: Clopper and Pearson 1934.
    """
    values = _two_dimensional(values)
    _require_level(level)
    n_seeds, n_problems = values.shape
    mean = float(values.mean())
    tau2 = omega2 = gamma2 = se = df = nan
    if n_seeds > 1 and n_problems > 1:
        population = "seeds x problems"
        mp, ms, me = _mean_squares(values)
        total = max(mp, ms, mp + ms - me)
        if not _is_rounding(sqrt(total), values):
            se = sqrt(total / values.size)
            spread = mp**2 / (n_problems - 1) + ms**2 / (n_seeds - 1) + me**2 / (n_problems - 1) / (n_seeds - 1)
            df = max(total**2 / spread, min(n_seeds, n_problems) - 1.0)
        tau2, omega2, gamma2 = max(ms - me, 0.0) / n_problems, max(mp - me, 0.0) / n_seeds, me
    elif values.size > 1:
        population = "problems only" if n_seeds == 1 else "seeds only"
        _, se = mean_and_se(values.ravel())
        df = nan if isnan(se) else float(values.size - 1)
    else:
        population = "none"
    components = {"tau2": tau2, "omega2": omega2, "gamma2": gamma2, "population": population}
    if within is not None and values.size > 1 and _is_rounding(float(np.ptp(values)), values):
        if not within[0] <= values.flat[0] <= within[1]:
            raise ValueError(f"all values are {values.flat[0]}, wanted from {within[0]} to {within[1]}")
        alike = min(n_seeds, n_problems) if min(n_seeds, n_problems) > 1 else values.size
        another = 1 - (0.5 - level / 2) ** (1 / alike)
        low, high = mean - another * (mean - within[0]), mean + another * (within[1] - mean)
        return CrossedInterval(mean, low, high, se, df, **components, alike=alike, within=within)
    half_width = float(stats.t.ppf(0.5 + level / 2, df)) * se
    return CrossedInterval(mean, mean - half_width, mean + half_width, se, df, **components)


def paired_difference(
    values: ArrayLike, baseline: ArrayLike, level: float = 0.95, within: tuple[float, float] | None = None
) -> PairedDifference:
    """`crossed_interval` of `values - baseline`, and the two-sided p value of its test against 0.

    Both have shape (seeds, problems), paired by seed and problem; `within` is a range that neither can leave. p is NaN
    where the interval is.
    Errors: ValueError for different shapes, and those of `crossed_interval`.
    """
    values, baseline = _two_dimensional(values), _two_dimensional(baseline)
    if values.shape != baseline.shape:
        raise ValueError(
            "a paired difference needs the same seeds and problems on both sides, "
            f"got shapes {values.shape} and {baseline.shape}"
        )
    apart = None if within is None else (within[0] - within[1], within[1] - within[0])
    interval = crossed_interval(values - baseline, level, apart)
    smaller = np.minimum(one_sided_p(interval, 0.0), one_sided_p(interval, 0.0, "less"))
    return PairedDifference(**asdict(interval), p_value=float(np.minimum(1.0, 2 * smaller)))


def mean_and_se(values: ArrayLike) -> tuple[float, float]:
    """Mean of one run's `values`, shape (problems,), and its standard error; NaN for one problem or without spread.

    Errors: ValueError for an array that is not 1-d, is empty or holds a value that is not finite.
    Source: sample sd / sqrt(n), the +- of the paper's tables.
    """
    values = _finite(values, ("problems",))
    sd = float(values.std(ddof=1)) if len(values) > 1 else nan
    return float(values.mean()), nan if _is_rounding(sd, values) else sd / sqrt(len(values))


def holm(p_values: Sequence[float] | FloatArray) -> FloatArray:
    """p values adjusted for one family of tests, in the order given; shape (tests,).

    Sorted upwards, the i-th of m becomes max over j <= i of min(1, (m-j+1) p_(j)).
    Errors: ValueError for a p value that is NaN or outside [0, 1]. Source: Holm 1979.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1:
        raise ValueError(f"Holm's correction needs a list of p values, got an array of shape {p.shape}")
    bad = p[~((p >= 0) & (p <= 1))]
    if bad.size:
        raise ValueError(f"Holm's correction needs p values in [0, 1], got {bad[0]}")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, np.arange(len(p), 0, -1) * p[order]))
    return adjusted


def one_sided_p(interval: CrossedInterval, bound: float, alternative: Literal["greater", "less"] = "greater") -> float:
    """The p value against "the mean is at most `bound`", or with the alternative "less" "at least".

    The t test of an interval's own se and df. Where all values are equal and bounded, it is the largest chance that so
    many independent ones all are, were the true mean on the other side of `bound`. NaN where the interval is.
    """
    if interval.within is not None:
        # The true mean is likeliest to be the bound if all other values lie at the far end of the range.
        end = interval.within[0 if alternative == "greater" else 1]
        share = (bound - end) / (interval.mean - end) if interval.mean != end else 1.0
        return float(np.clip(share, 0.0, 1.0) ** interval.alike)
    tail = stats.t.sf if alternative == "greater" else stats.t.cdf
    return float(tail((interval.mean - bound) / interval.se, interval.df))


def intersection_union_p(p_values: Sequence[float]) -> float:
    """The p value of "not all of these hold", from the p value of each one's opposite: their largest.

    NaN if one is. Errors: ValueError for none. Source: Berger 1982.
    """
    if len(p_values) == 0:
        raise ValueError("an intersection-union test needs at least one p value, got none")
    return float(np.max(p_values))


def smallest_detectable_effect(interval: CrossedInterval, level: float = 0.05, power: float = 0.8) -> float:
    """The true mean that the two-sided t test of an interval's se and df finds, on its side, with a chance of `power`.

    In the units of the values; for many degrees of freedom 2.80 se at 5 % and 80 %. By the noncentral t distribution,
    the se taken for the true one; NaN without an se.
    Errors: ValueError for a power that is not between the level and 1.
    """
    _require_level(1 - level)
    if not level < power < 1:
        raise ValueError(f"the power must be between the level {level} and 1, got {power}")
    if isnan(interval.se):
        return nan

    def missing(effect: float) -> float:
        return power_at(interval, effect, level) - power

    highest = interval.se * (stats.t.ppf(1 - level / 2, interval.df) + stats.t.ppf(power, interval.df))
    while missing(highest) < 0:
        highest *= 2
    return float(optimize.brentq(missing, 0.0, highest))


def power_at(interval: CrossedInterval, distance: float, level: float = 0.05) -> float:
    """The chance that the two-sided t test of an interval's se and df finds a true mean, on its side.

    That mean lies `distance` beyond what is tested against, in the units of the values; below 0 it lies short of it. By
    the noncentral t distribution, the se taken for the true one; NaN without an se or a distance.
    """
    _require_level(1 - level)
    if isnan(interval.se) or isnan(distance):
        return nan
    critical = stats.t.ppf(1 - level / 2, interval.df)
    return float(np.clip(stats.nct.sf(critical, interval.df, distance / interval.se), 0.0, 1.0))


def seeds_by_problems(at_k: pd.DataFrame, arm: str) -> FloatArray:
    """Values of one arm at one k, shape (seeds, problems), in the same order for every arm.

    Raises:
        ValueError: a seed lacks a problem that another one has.
    """
    rows = at_k[at_k["arm"] == arm]
    matrix = rows.pivot(index="seed", columns="problem_id", values="value")
    if matrix.isna().any(axis=None):
        raise ValueError(f"arm {arm!r}: its seeds were evaluated on different problems")
    return matrix.to_numpy()


def _mean_squares(values: FloatArray) -> tuple[float, float, float]:
    """Mean squares of problems, seeds and interaction of an array (seeds > 1, problems > 1)."""
    n_seeds, n_problems = values.shape
    by_problem, by_seed = values.mean(axis=0), values.mean(axis=1)
    interaction = values - by_problem - by_seed[:, None] + values.mean()
    return (
        float(n_seeds * by_problem.var(ddof=1)),
        float(n_problems * by_seed.var(ddof=1)),
        float((interaction**2).sum() / ((n_seeds - 1) * (n_problems - 1))),
    )


def _is_rounding(spread: float, values: FloatArray) -> bool:
    """Whether a standard deviation, or a range, of values is no more than their rounding; False for NaN."""
    return spread <= ROUNDING * max(1.0, float(np.abs(values).max()))


def _two_dimensional(values: ArrayLike) -> FloatArray:
    return _finite(values, ("seeds", "problems"))


def _finite(values: ArrayLike, axes: tuple[str, ...]) -> FloatArray:
    values = np.asarray(values, dtype=np.float64)
    wanted = f"values of shape ({', '.join(axes)})"
    if values.ndim != len(axes):
        raise ValueError(f"statistics need {wanted}, got an array of shape {values.shape}")
    if values.size == 0:
        raise ValueError(f"statistics need {wanted} with at least one value, got shape {values.shape}")
    if not np.isfinite(values).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise ValueError(f"statistics need finite {wanted}, got {values[where]} at index {where}")
    return values


def _require_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"ci `level` must be in the open interval (0, 1), got {level}")
