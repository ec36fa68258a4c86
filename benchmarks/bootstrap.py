"""A check of ``statistics.crossed_interval`` that assumes no distribution."""

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import ArrayLike

from compute_aligned.statistics import ROUNDING


@dataclass(frozen=True)
class BootstrapInterval:
    """Mean of the values; percentile interval and standard deviation (se) of the resampled means."""

    mean: float
    low: float
    high: float
    se: float


def pigeonhole_bootstrap(
    values: ArrayLike, rng: np.random.Generator, n_resamples: int = 2000, level: float = 0.95
) -> BootstrapInterval:
    """Percentile interval of the mean of `values`, shape (seeds, problems), both resampled independently.

    Conservative where sampling noise rules, too short for few seeds; NaN without any spread. Source: Owen 2007
    (arXiv 0712.1111).
    """
    values = np.asarray(values, dtype=np.float64)
    n_seeds, n_problems = values.shape
    seed_counts = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=n_resamples)
    problem_counts = rng.multinomial(n_problems, np.full(n_problems, 1 / n_problems), size=n_resamples)
    means = ((seed_counts @ values) * problem_counts).sum(axis=1) / values.size
    se = float(means.std(ddof=1))
    if se <= ROUNDING * max(1.0, np.abs(values).max()):
        return BootstrapInterval(float(values.mean()), nan, nan, nan)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return BootstrapInterval(float(values.mean()), float(low), float(high), se)
