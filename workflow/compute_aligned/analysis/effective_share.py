"""How unevenly training weights spread."""

from math import nan, sqrt

import numpy as np
from numpy.typing import ArrayLike


def effective_share(weights: ArrayLike) -> float:
    """(sum w)^2 / (n sum w^2): the share of the samples that carries the gradient; 1 if all weights are equal.

    `weights` has shape (samples,). NaN if all of them are zero or one is NaN.
    """
    weights = np.asarray(weights, dtype=np.float64)
    squares = (weights**2).sum()
    return nan if squares == 0 else float(weights.sum() ** 2 / (len(weights) * squares))


def variation(effective_share: float) -> float:
    """The standard deviation of the weights over their mean, from their effective share; 0 if all are equal."""
    return sqrt(max(1 / effective_share - 1, 0.0))
