"""Uncertainty of a mean over problems and seeds, paired comparisons, and families of tests.

Values are arrays of shape (seeds, problems): one exact metric value per run and problem, in the metric's
units. Seeds and problems are crossed (every seed meets every problem), and both are samples of the
populations a claim is about:

    Var(mean) = tau2 / S + omega2 / n + gamma2 / (n S)

with tau2 the variance between seeds, omega2 between problems and gamma2 that of their interaction, which
includes the sampling noise of the pools.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import nan, sqrt

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class CrossedInterval:
    """A mean and its confidence interval, in the units of the values.

    se: standard error of the mean; df: degrees of freedom of its t distribution; tau2, omega2, gamma2:
    variance components (squared units; estimates below 0 are given as 0; NaN where one seed or one problem
    cannot tell them apart); population: what the interval speaks about, "seeds x problems", "problems only",
    "seeds only" or "none".
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


@dataclass(frozen=True)
class PairedDifference(CrossedInterval):
    """The interval of a difference, and the two-sided p value against a true difference of 0."""

    p_value: float


@dataclass(frozen=True)
class BootstrapInterval:
    """Mean of the values; percentile interval and standard deviation (se) of the resampled means."""

    mean: float
    low: float
    high: float
    se: float


def crossed_interval(values: ArrayLike, level: float = 0.95) -> CrossedInterval:
    """Confidence interval of the mean of `values`, shape (seeds S, problems n), for new seeds and problems.

    Two-way random-effects analysis of variance. With MP, MS, ME the mean squares of problems, seeds and
    interaction, V = max(MP, MS, MP + MS - ME) / (n S): the maximum keeps V from falling below what either factor
    shows alone when an estimate of a variance component is negative. t has the degrees of freedom of what V consists
    of: n-1 if MS <= ME (seeds show no variance), else S-1 if MP <= ME, else Satterthwaite's of the sum,
    (n S V)^2 / (MP^2/(n-1) + MS^2/(S-1) + ME^2/((n-1)(S-1))). One seed: problems only (se = sd / sqrt(n),
    df = n-1). One problem: seeds only. Neither: NaN, "none".

    Errors: ValueError for an array that is not 2-d, is empty or holds a value that is not finite, or a level
    outside (0, 1). Source: Satterthwaite 1946; one seed: Miller 2024 (arXiv 2411.00640).
    """
    values = _two_dimensional(values)
    _require_level(level)
    n_seeds, n_problems = values.shape
    tau2 = omega2 = gamma2 = nan
    if n_seeds > 1 and n_problems > 1:
        population = "seeds x problems"
        mp, ms, me = _mean_squares(values)
        total = max(mp, ms, mp + ms - me)
        se = sqrt(total / values.size)
        if ms <= me:  # no variance between seeds to be seen
            df = float(n_problems - 1)
        elif mp <= me:
            df = float(n_seeds - 1)
        else:
            df = total**2 / (
                mp**2 / (n_problems - 1) + ms**2 / (n_seeds - 1) + me**2 / (n_problems - 1) / (n_seeds - 1)
            )
        tau2, omega2, gamma2 = max(ms - me, 0.0) / n_problems, max(mp - me, 0.0) / n_seeds, me
    elif values.size > 1:
        population = "problems only" if n_seeds == 1 else "seeds only"
        _, se = mean_and_se(values.ravel())
        df = float(values.size - 1)
    else:
        population, se, df = "none", nan, nan
    mean = float(values.mean())
    half_width = float(stats.t.ppf(0.5 + level / 2, df)) * se
    return CrossedInterval(mean, mean - half_width, mean + half_width, se, df, tau2, omega2, gamma2, population)


def paired_difference(values: ArrayLike, baseline: ArrayLike, level: float = 0.95) -> PairedDifference:
    """`crossed_interval` of `values - baseline`, and the p value of its t test against 0.

    Both have shape (seeds, problems), paired by seed and problem. p is NaN where the interval is; without any
    spread it is 1 for a difference of 0 and 0 otherwise.
    Errors: ValueError for different shapes, and those of `crossed_interval`.
    """
    values, baseline = _two_dimensional(values), _two_dimensional(baseline)
    if values.shape != baseline.shape:
        raise ValueError(
            "a paired difference needs the same seeds and problems on both sides, "
            f"got shapes {values.shape} and {baseline.shape}"
        )
    interval = crossed_interval(values - baseline, level)
    if interval.se == 0:
        p_value = 1.0 if interval.mean == 0 else 0.0
    else:
        p_value = float(2 * stats.t.sf(abs(interval.mean) / interval.se, interval.df))
    return PairedDifference(**asdict(interval), p_value=p_value)


def mean_and_se(values: ArrayLike) -> tuple[float, float]:
    """Mean of one run's `values`, shape (problems,), and its standard error; NaN for one problem.

    Errors: ValueError for an array that is not 1-d, is empty or holds a value that is not finite.
    Source: sample sd / sqrt(n), the +- of the paper's tables.
    """
    values = _finite(values, ("problems",))
    se = float(values.std(ddof=1)) / sqrt(len(values)) if len(values) > 1 else nan
    return float(values.mean()), se


def pigeonhole_bootstrap(
    values: ArrayLike, rng: np.random.Generator, n_resamples: int = 2000, level: float = 0.95
) -> BootstrapInterval:
    """Percentile interval of the mean of `values`, shape (seeds, problems), both resampled independently.

    A check of `crossed_interval` that assumes no distribution: conservative where sampling noise rules, too
    short for few seeds. Errors: those of `crossed_interval`, and ValueError for fewer than 2 resamples.
    Source: Owen 2007 (arXiv 0712.1111).
    """
    values = _two_dimensional(values)
    _require_level(level)
    if n_resamples < 2:
        raise ValueError(f"the bootstrap needs n_resamples >= 2, got {n_resamples}")
    n_seeds, n_problems = values.shape
    seed_counts = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=n_resamples)
    problem_counts = rng.multinomial(n_problems, np.full(n_problems, 1 / n_problems), size=n_resamples)
    means = ((seed_counts @ values) * problem_counts).sum(axis=1) / values.size
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return BootstrapInterval(float(values.mean()), float(low), float(high), float(means.std(ddof=1)))


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


def one_sided_p(interval: CrossedInterval, bound: float) -> float:
    """The p value of "the mean is at most `bound`" against "it is greater": the t test of an interval's own se and df.

    That of the opposite test is 1 minus it. NaN where the interval is; without any spread 0 if the mean is greater, 1
    if it is smaller, and 1/2 if it is the bound.
    """
    if interval.se == 0:
        return float(np.heaviside(bound - interval.mean, 0.5))
    return float(stats.t.sf((interval.mean - bound) / interval.se, interval.df))


def equivalence_p(interval: CrossedInterval, margin: float) -> float:
    """The p value of "the mean is `margin` or farther from 0": the larger one of two one-sided t tests.

    Errors: ValueError for a margin that is not positive. Source: Schuirmann 1987 (TOST).
    """
    if not margin > 0:
        raise ValueError(f"an equivalence test needs a margin > 0, got {margin}")
    return float(np.maximum(one_sided_p(interval, -margin), 1 - one_sided_p(interval, margin)))


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
    the se taken for the true one; NaN where the interval is and without any spread.
    Errors: ValueError for a power that is not between the level and 1.
    """
    _require_level(1 - level)
    if not level < power < 1:
        raise ValueError(f"the power must be between the level {level} and 1, got {power}")
    if not interval.se > 0:
        return nan
    critical = stats.t.ppf(1 - level / 2, interval.df)

    def missing(effect: float) -> float:
        return float(stats.nct.sf(critical, interval.df, effect) - power)

    highest = critical + stats.t.ppf(power, interval.df)
    while missing(highest) < 0:
        highest *= 2
    return interval.se * float(optimize.brentq(missing, 0.0, highest))


def seeds_by_problems(at_k: pd.DataFrame, objective: str) -> FloatArray:
    """Values of one objective at one k, shape (seeds, problems), in the same order for every objective.

    Raises:
        ValueError: a seed lacks a problem that another one has.
    """
    rows = at_k[at_k["objective"] == objective]
    matrix = rows.pivot(index="seed", columns="problem_id", values="value")
    if matrix.isna().any(axis=None):
        raise ValueError(f"objective {objective!r}: its seeds were evaluated on different problems")
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
