"""Exact metrics of a pool: the expected score of a strategy that draws k of the pool's m samples.

Draws are without replacement, so each metric is a U-statistic: free of Monte-Carlo noise given the pool, and
unbiased for k fresh samples of the model. Use pools of m >= 2k samples; at k = m a problem's value is a
single trial.

The `*_curve` functions give every wanted k in one pass; the scalar functions read one value off the curve.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache, partial
from math import comb

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# C(m, m/2) still fits a float64 here (2.7e299); larger pools count with probabilities instead of subsets.
_LARGEST_COUNTED_POOL = 1000


def pass_at_k(n_samples: int, n_correct: int, k: int) -> float:
    """Probability in [0, 1] that at least one of `k` draws is right, `n_correct` of `n_samples` being so.

    Errors: ValueError for k outside 1..n_samples or n_correct outside 0..n_samples.
    Source: Chen et al. 2021 (arXiv 2107.03374), 1 - C(m-c, k) / C(m, k).
    """
    return float(pass_curve(n_samples, n_correct, [k])[0])


def pass_curve(n_samples: int, n_correct: int, ks: Iterable[int]) -> FloatArray:
    """`pass_at_k` for every k of `ks`; shape (len(ks),)."""
    ks = _budgets("pass@k", ks, n_samples)
    if not 0 <= n_correct <= n_samples:
        raise ValueError(f"pass@k needs 0 <= n_correct <= n_samples = {n_samples}, got n_correct = {n_correct}")
    n_wrong = n_samples - n_correct
    curve = np.ones(n_samples)  # more draws than wrong samples: one must be right
    curve[:n_wrong] = -np.expm1(np.cumsum(np.log1p(-n_correct / (n_samples - np.arange(n_wrong)))))
    return curve[ks - 1]


def best_of_k(rewards: Sequence[float], k: int) -> float:
    """Expected highest reward of `k` draws, in the units of `rewards`.

    Errors: ValueError for k outside 1..len(rewards) or a reward that is not finite.
    Source: E max = sum_i r_(i) C(i-1, k-1) / C(m, k) over the ordered rewards r_(1) <= ... <= r_(m).
    """
    return float(best_of_curve(rewards, [k])[0])


def best_of_curve(rewards: Sequence[float], ks: Iterable[int]) -> FloatArray:
    """`best_of_k` for every k of `ks`; shape (len(ks),)."""
    descending = -np.sort(-np.asarray(rewards, dtype=np.float64))
    m = len(descending)
    ks = _budgets("best-of-k", ks, m)
    if not np.isfinite(descending).all():
        raise ValueError(f"best-of-k needs finite rewards, got {descending[~np.isfinite(descending)][0]}")
    # The i-th smallest is the maximum with chance C(i-1,k-1)/C(m,k): k/m for i = m, then
    # times (i-k)/(i-1) per step down.
    i = np.arange(m, 1, -1)
    steps = np.maximum(i - ks[:, None], 0) / (i - 1)
    weights = np.cumprod(np.hstack([ks[:, None] / m, steps]), axis=1)
    return weights @ descending


def majority_at_k(answers: Sequence[str | None], correct_answer: str | Collection[str], k: int) -> float:
    """Probability in [0, 1] that the most frequent valid answer of `k` draws is right.

    `answers` holds the pool's normalised answers, None where a completion has no valid one: it uses up a draw
    and never wins. A tie goes to the answer drawn first. `correct_answer` may be several strings (1/2 and
    0.5), which vote apart and whose probabilities add up.
    Errors: ValueError for k outside 1..len(answers) or an answer that is neither str nor None.
    Source: the paper's Maj@k, in closed form instead of 500 simulated trials.
    """
    return float(majority_curve(answers, correct_answer, [k])[0])


def majority_curve(
    answers: Sequence[str | None], correct_answers: str | Collection[str], ks: Iterable[int]
) -> FloatArray:
    """`majority_at_k` for every k of `ks`; shape (len(ks),).

    Exact up to rounding: all terms are positive, so nothing cancels. Above 1000 samples each k takes a pass.
    """
    m = len(answers)
    ks = _budgets("maj@k", ks, m)
    votes = Counter(answers)
    for answer in votes:
        if answer is not None and not isinstance(answer, str):
            raise ValueError(f"maj@k needs answers that are str or None, got {answer!r} ({type(answer).__name__})")
    n_invalid = votes.pop(None, 0)
    correct = {correct_answers} if isinstance(correct_answers, str) else set(correct_answers)
    curve = np.zeros(len(ks))
    for right in correct & votes.keys():
        rivals = [count for answer, count in votes.items() if answer != right]
        curve += _plurality_probability(votes[right], rivals, n_invalid, ks)
    return np.minimum(curve, 1.0)


def _plurality_probability(right: int, rivals: list[int], n_invalid: int, ks: NDArray[np.int_]) -> FloatArray:
    """Probability that the class of `right` members wins among k draws, for every k."""
    m = right + sum(rivals) + n_invalid
    if m <= _LARGEST_COUNTED_POOL:
        favourable = _winning_subsets(right, rivals, n_invalid, int(ks.max(initial=0)), _binomials)
        return favourable[ks] / _binomials(m)[ks]
    probabilities = []
    for k in ks:
        # C(n, t) p^t (1-p)^(n-t) instead of C(n, t): the powers are the same above and below and cancel. Any
        # p will do; near k / m the terms that matter are neither huge nor tiny.
        weights = partial(_binomial_distribution, p=float(k) / (m + 1))
        favourable = _winning_subsets(right, rivals, n_invalid, int(k), weights)
        probabilities.append(favourable[k] / weights(m)[k])
    return np.array(probabilities)


def _winning_subsets(
    right: int, rivals: list[int], n_invalid: int, k_max: int, weights: Callable[[int], FloatArray]
) -> FloatArray:
    """Number of k-subsets in which the right class wins, a tie of t leaders counting 1/t; for k = 0..k_max.

    Given the drawn multiset all orders are equally likely, and exchanging two classes with equal counts maps
    orders one to one: each of t leaders is seen first with probability 1/t. So, with n_j the sizes of the
    rivals,

        sum_a C(c,a) x^a (1+x)^(z + sum of n_j < a)
              * sum_s 1/(s+1) [y^s] prod_{n_j >= a} (sum_{t<a} C(n_j,t) x^t + y C(n_j,a) x^a)

    is the generating function in x: the right class has a votes, s rivals as many, the others fewer.
    `weights(n)` stands for C(n, 0..n), possibly scaled.
    """
    rivals = sorted(rivals, reverse=True)
    largest_rival = rivals[0] if rivals else 0
    right_weights = weights(right)
    total = np.zeros(k_max + 1)

    # Above the largest rival the right class wins whatever else is drawn.
    unbeatable = right_weights[largest_rival + 1 : k_max + 1]
    if len(unbeatable):
        others = weights(n_invalid + sum(rivals))[: k_max - largest_rival]
        _add(total, np.convolve(unbeatable, others), largest_rival + 1)

    free = n_invalid + sum(rivals)  # draws that cannot reach `a` votes
    n_able = 0
    for a in range(min(right, largest_rival, k_max), 0, -1):
        while n_able < len(rivals) and rivals[n_able] >= a:
            free -= rivals[n_able]
            n_able += 1
        contested = _rival_draws([weights(n) for n in rivals[:n_able]], a, k_max - a)
        _add(total, right_weights[a] * np.convolve(contested, weights(free)[: k_max - a + 1]), a)
    return total


def _rival_draws(rivals: list[FloatArray], a: int, max_degree: int) -> FloatArray:
    """By d: ways to draw d rivals, none with above `a` votes; s of them with `a` votes count 1/(s+1)."""
    product = np.ones((1, 1))  # row: number of ties s; column: draws d
    for weights in rivals:
        n_ties, n_columns = product.shape
        width = min(n_columns + a, max_degree + 1)
        below = _multiply(product, weights[:a], width)
        # A tie uses up `a` draws, so more than max_degree / a of them do not fit.
        grown = np.zeros((min(n_ties, max_degree // a) + 1, width))
        grown[:n_ties] = below
        tied = product[: len(grown) - 1, : max(width - a, 0)]
        grown[1 : 1 + len(tied), a : a + tied.shape[1]] += weights[a] * tied
        product = grown
    return (1.0 / np.arange(1, len(product) + 1)) @ product


def _multiply(polynomials: FloatArray, factor: FloatArray, width: int) -> FloatArray:
    """Each row times `factor`, as coefficients of x, cut to `width` columns."""
    rows, columns = polynomials.shape
    if len(factor) == 1:
        result = np.zeros((rows, width))
        result[:, :columns] = factor[0] * polynomials
        return result
    # Row i of the view is `factor` shifted right by i: one matrix product instead of a loop.
    padded = np.zeros(columns - 1 + max(width, len(factor)))
    padded[columns - 1 : columns - 1 + len(factor)] = factor
    step = padded.strides[0]
    shifted = as_strided(padded[columns - 1 :], (columns, width), (-step, step), writeable=False)
    return polynomials @ shifted


def _add(total: FloatArray, polynomial: FloatArray, shift: int) -> None:
    """total += x^shift * polynomial, cut to the length of `total`."""
    end = min(len(total), shift + len(polynomial))
    total[shift:end] += polynomial[: end - shift]


@lru_cache(maxsize=4096)
def _binomials(n: int) -> FloatArray:
    return np.array([comb(n, t) for t in range(n + 1)], dtype=np.float64)


@lru_cache(maxsize=4096)
def _binomial_distribution(n: int, p: float) -> FloatArray:
    """C(n, t) p^t (1-p)^(n-t) for t = 0..n, from the ratios of neighbours outwards from the mode."""
    ratios = np.arange(n, 0, -1) / np.arange(1, n + 1) * (p / (1.0 - p))  # weight of t+1 over weight of t
    mode = int((n + 1) * p)
    relative = np.concatenate([np.cumprod(1.0 / ratios[:mode][::-1])[::-1], [1.0], np.cumprod(ratios[mode:])])
    return relative / relative.sum()


def _budgets(metric: str, ks: Iterable[int], pool: int) -> NDArray[np.int_]:
    ks = list(ks)
    for k in ks:
        if k != int(k) or not 1 <= k <= pool:
            raise ValueError(f"{metric} needs an integer 1 <= k <= {pool} (the size of the pool), got k = {k}")
    return np.array(ks, dtype=np.int_)
