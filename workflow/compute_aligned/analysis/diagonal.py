"""The diagonal approximation: what a strategy's gradient loses when the votes of rival answers are left out.

Let a model give the answers probabilities p_1, ..., p_J and let a strategy choose one of N draws. The chance S
that it returns the target y is a polynomial in the p_j, and

    s_j = dS/dp_j = N Pr[the strategy returns y | one of the N draws is forced to be j].

The exact gradient of S is sum_j s_j grad p_j. The diagonal approximation keeps a grad p_y alone, a = s_y. If the
rivals shrink in proportion as p_y grows ("proportional decay"), the total derivative of S is a - c with
c = sum_{j != y} p_j s_j / (1 - p_y) (C in the paper), and rho = a / (a - c) is the diagonal over the total
derivative (paper, App. A.11).

Everything here is computed from the *pivotal* chances 1 - s_j / a: how often, where the strategy returns y with a
draw forced to y, it no longer does if that draw is j instead. Being sums of positive terms they keep their digits
where a - c is a difference of nearly equal numbers, and rho is 1 over their mean over the rivals.

Two strategies:

"majority"   the answer with the most draws; y needs strictly more than every rival (a tie is a loss)
"best_of_n"  the highest reward of the N draws; the answers stand in order of reward, the worst first, all distinct
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import nan, sqrt
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray
from scipy import stats

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Strategy = Literal["majority", "best_of_n"]

N_DRAWS = 5000  # of the paper (App. A.11)
# Counting votes takes about answers * N^3 steps. This is a second or two on one core: N = 64 with 190 answers.
LARGEST_EXACT = 5e7


@dataclass(frozen=True)
class ForcedDraws:
    """What forcing one of the N draws to be answer j does; both arrays have shape (answers,).

    s: N Pr[y returned | one draw is j] = dS/dp_j; a = s[target].
    pivotal: 1 - s / a, in [0, 1]: given that y is returned with the draw forced to y, the chance that it is not
    with the draw forced to j. 0 at the target; NaN everywhere where a = 0.
    """

    s: FloatArray
    pivotal: FloatArray


@dataclass(frozen=True)
class DiagonalRatio:
    """rho of one problem (paper, App. A.11).

    rho: a / (a - c), NaN where it is undefined (a <= c, or p_target = 1 so that c has no rivals to average over).
    a, c: as in the paper, with N as a factor. p_target: probability of the target. exact: False if by draws; then
    se is the standard error of rho (delta method), otherwise 0.
    """

    rho: float
    a: float
    c: float
    p_target: float
    exact: bool
    se: float


@dataclass(frozen=True)
class GradientComparison:
    """Exact and diagonal gradient of S with respect to the logits of a softmax, compared.

    cosine: between the two; ratio: |diagonal| / |exact|. Both are NaN if one of them vanishes.
    """

    cosine: float
    ratio: float


@dataclass(frozen=True)
class RatioSummary:
    """rho over problems. The undefined ones are counted and left out of everything else; NaN if none is left.

    share_at_least_one: of the defined problems, those with rho >= 1. It is 1 by construction: every s_j is a
    probability, so c >= 0. The mean can be ruled by one problem with p_target near 1; the median is not.
    """

    n_undefined: int
    share_at_least_one: float
    mean: float
    median: float
    min: float
    max: float


def answers_of_pool(answers: Sequence[str | None]) -> tuple[list[str | None], FloatArray]:
    """Distinct answers of a pool, the most frequent first, and their relative frequencies; shape (answers,).

    None stands for a completion without a valid answer. All of them together are one entry, the last; whether
    it votes is for the caller to say: `invalid=` of the functions below makes it use up draws and never win, as
    in `metrics.majority_at_k`; without, it is one more wrong answer, as in the paper's RL.
    Errors: ValueError for an empty pool or an answer that is neither str nor None.
    """
    if not len(answers):
        raise ValueError("a pool needs at least one answer, got none")
    votes = Counter(answers)
    for answer in votes:
        if answer is not None and not isinstance(answer, str):
            raise ValueError(f"a pool needs answers that are str or None, got {answer!r} ({type(answer).__name__})")
    ordered = sorted(votes, key=lambda answer: (answer is None, -votes[answer], answer or ""))
    return ordered, np.array([votes[answer] for answer in ordered]) / len(answers)


def invalid_of(answers: Sequence[str | None], none_votes: bool = False) -> int | None:
    """Index of the answer that never wins: None among distinct `answers`, unless `none_votes`."""
    return answers.index(None) if None in answers and not none_votes else None


def most_frequent_right(answers: Iterable[str | None], right: Collection[str]) -> str | None:
    """The target of a pool: of the right answers the most frequent; None if no completion is right.

    Answers that are equal in value but not in writing (0.5 and 1/2) vote apart, so one of them has to be the target.
    Ties go to the first in alphabetical order.
    """
    votes = Counter(answer for answer in answers if answer in right)
    return min(votes, key=lambda answer: (-votes[answer], answer), default=None)


def answers_of_rewards(rewards: Sequence[float | None]) -> tuple[FloatArray, FloatArray]:
    """Distinct rewards of a pool, the worst first, and their relative frequencies; both of shape (answers,).

    Completions with equal rewards are one answer, so that the rewards are distinct. None stands for an unusable
    completion and is left out: the frequencies are those among the others.
    Errors: ValueError if nothing usable is left or a reward is not finite.
    """
    usable = np.array([reward for reward in rewards if reward is not None], dtype=np.float64)
    if not usable.size:
        raise ValueError(f"a pool needs at least one usable reward, got {len(rewards)} completions without any")
    if not np.isfinite(usable).all():
        raise ValueError(f"a pool needs finite rewards, got {usable[~np.isfinite(usable)][0]}")
    values, counts = np.unique(usable, return_counts=True)
    return values, counts / len(usable)


def diagonal_ratio(
    p: ArrayLike,
    target: int,
    strategy: Strategy,
    n: int,
    rng: np.random.Generator | None = None,
    *,
    invalid: int | None = None,
    method: Literal["auto", "exact", "draws"] = "auto",
    n_draws: int = N_DRAWS,
) -> DiagonalRatio:
    """rho = a / (a - c) of answers with probabilities `p`, shape (answers,), for `n` draws.

    "auto" computes it exactly unless the votes are too many to count (`LARGEST_EXACT`); then, or with "draws", it
    is estimated from `n_draws` draws of the other n-1 votes, the same ones for every j. Draws are blind to
    a - c below about a / n_draws: they call such a problem undefined and miss the large values of rho.
    `invalid` (majority): index of the answer that uses up draws and never wins.
    Errors: ValueError for probabilities that are negative or do not sum to 1, an index out of range, an unknown
    strategy or method, n < 1, and for draws without an `rng`.
    Source: paper, App. A.11.
    """
    p = _checked(p, target, strategy, n, invalid)
    if method not in ("auto", "exact", "draws"):
        raise ValueError(f'`method` must be "auto", "exact" or "draws", got {method!r}')
    if method == "auto":
        method = "exact" if strategy == "best_of_n" or len(p) * n**3 <= LARGEST_EXACT else "draws"
    rivals = _rivals(p, target)
    if method == "exact":
        forced = _forced(p, target, strategy, n, invalid)
        a, c = float(forced.s[target]), float(forced.s @ rivals)
        return DiagonalRatio(_inverse(forced.pivotal @ rivals), a, c, float(p[target]), exact=True, se=0.0)
    if rng is None or n_draws < 2:
        raise ValueError(f"draws need a random generator and n_draws >= 2, got rng = {rng}, n_draws = {n_draws}")
    returned = _simulate(p, target, strategy, n, invalid, rng, n_draws)
    with_target = returned[:, target].astype(np.float64)
    lost = with_target - returned @ rivals  # per draw: what y loses if the forced draw goes to a random rival
    a, c = with_target.mean(), (returned @ rivals).mean()
    rho = _inverse(lost.mean() / a) if a > 0 else nan
    se = float((with_target - rho * lost).std(ddof=1) / sqrt(n_draws) / lost.mean()) if rho == rho else nan
    return DiagonalRatio(rho, n * float(a), n * float(c), float(p[target]), exact=False, se=se)


def forced_draws(p: ArrayLike, target: int, strategy: Strategy, n: int, *, invalid: int | None = None) -> ForcedDraws:
    """s_j and the pivotal chances, exactly; shapes (answers,).

    Best-of-N in closed form: with P_< and P_<= the probability of an answer worse, or not better, than y,
    s_y = N P_<=^(N-1), s_j = N (P_<=^(N-1) - P_<^(N-1)) for the worse and 0 for the better. Majority by counting
    votes: polynomials in the number of draws, one factor per answer, all terms positive.
    Errors: as `diagonal_ratio`. Source: paper, App. A.11.
    """
    return _forced(_checked(p, target, strategy, n, invalid), target, strategy, n, invalid)


def gradients(
    logits: ArrayLike, target: int, strategy: Strategy, n: int, *, invalid: int | None = None
) -> tuple[FloatArray, FloatArray]:
    """Exact and diagonal gradient of S with respect to the `logits` of a softmax over the answers; all (answers,).

    Component i of the exact one is p_i (s_i - sum_j p_j s_j); the diagonal one is its term a grad p_y.
    Errors: as `diagonal_ratio`, and for logits that are not finite.
    """
    p = softmax(logits)
    forced = forced_draws(p, target, strategy, n, invalid=invalid)
    return _exact_gradient(p, target, forced), _diagonal_gradient(p, target, forced)


def compare_gradients(
    logits: ArrayLike, target: int, strategy: Strategy, n: int, *, invalid: int | None = None
) -> GradientComparison:
    """Direction and length of the diagonal gradient against the exact one. Errors: as `gradients`."""
    exact, diagonal = gradients(logits, target, strategy, n, invalid=invalid)
    lengths = float(np.linalg.norm(exact)), float(np.linalg.norm(diagonal))
    if min(lengths) == 0:
        return GradientComparison(nan, nan)
    cosine = float((exact / lengths[0]) @ (diagonal / lengths[1]))
    return GradientComparison(cosine, lengths[1] / lengths[0])


def _exact_gradient(p: FloatArray, target: int, forced: ForcedDraws) -> FloatArray:
    if forced.s[target] == 0:  # no s_j is larger than a
        return np.zeros_like(p)
    # The differences first: equal chances cancel exactly, also where one answer has nearly all the probability.
    return forced.s[target] * p * (p @ np.subtract.outer(forced.pivotal, forced.pivotal))


def _diagonal_gradient(p: FloatArray, target: int, forced: ForcedDraws) -> FloatArray:
    a = forced.s[target]
    gradient = -a * p[target] * p
    gradient[target] = a * p[target] * np.delete(p, target).sum()
    return gradient


def decay_deviation(p: ArrayLike, target: int, strategy: Strategy, n: int) -> float:
    """Distance of the exact gradient from diagonal / rho where rivals decay in proportion, over the diagonal's length.

    There grad p_j = -p_j / (1 - p_y) grad p_y, so that both are multiples of grad p_y: the exact one by the sum of
    s_j dp_j / dp_y, the diagonal one by a. Theorem 3 of the paper makes this 0. NaN where rho is undefined.
    Errors: as `diagonal_ratio`.
    """
    p = _checked(p, target, strategy, n, None)
    forced, rivals = _forced(p, target, strategy, n, None), _rivals(p, target)
    slopes = -rivals
    slopes[target] = 1.0
    a = forced.s[target]
    return float(abs(forced.s @ slopes - a / _inverse(forced.pivotal @ rivals)) / a) if a > 0 else nan


def random_answer_sets(
    cases: int, answers: Sequence[int], concentrations: Sequence[float], n: Sequence[int], rng: np.random.Generator
) -> Iterator[tuple[FloatArray, int]]:
    """`cases` random sets of answers: probabilities, shape (answers,), all positive, and a budget N.

    The number of answers, the concentration of the symmetric Dirichlet distribution that the probabilities come from,
    and N are each drawn from their lists, all entries alike.
    """
    for _ in range(cases):
        size = rng.choice(answers)
        p = rng.dirichlet(np.full(size, rng.choice(concentrations)))
        smallest = np.finfo(np.float64).tiny  # a zero would have no logit
        yield np.maximum(p, smallest), int(rng.choice(n))


def ratio_summary(rhos: Iterable[float]) -> RatioSummary:
    """Share of problems with rho >= 1, mean, median and range; NaN counts as undefined."""
    rhos = np.array(list(rhos), dtype=np.float64)
    defined = rhos[~np.isnan(rhos)]
    if not defined.size:
        return RatioSummary(len(rhos), nan, nan, nan, nan, nan)
    return RatioSummary(
        n_undefined=len(rhos) - len(defined),
        share_at_least_one=float((defined >= 1).mean()),
        mean=float(defined.mean()),
        median=float(np.median(defined)),
        min=float(defined.min()),
        max=float(defined.max()),
    )


def softmax(logits: ArrayLike) -> FloatArray:
    """Probabilities of the `logits`; both of shape (answers,). Errors: ValueError unless they are finite and 1-d."""
    logits = np.asarray(logits, dtype=np.float64)
    if logits.ndim != 1 or not logits.size or not np.isfinite(logits).all():
        raise ValueError(f"a softmax needs a list of finite logits, got {logits}")
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def _forced(p: FloatArray, target: int, strategy: Strategy, n: int, invalid: int | None) -> ForcedDraws:
    if strategy == "best_of_n":
        return _forced_best_of_n(p, target, n)
    return _forced_majority(p, target, n, invalid)


def _forced_best_of_n(p: FloatArray, target: int, n: int) -> ForcedDraws:
    worse, better = p[:target].sum(), p[target + 1 :].sum()
    up_to = worse + p[target]
    if up_to == 0:
        a, same = float(n == 1), float(n == 1)
    else:
        # 1 - better keeps the digits that a long sum of the others may lose.
        a = n * min(1.0, up_to if up_to < 0.5 else 1.0 - better) ** (n - 1)
        same = (worse / up_to) ** (n - 1)  # the other draws hold no y, given that they hold nothing better
    s = np.zeros_like(p)
    pivotal = np.ones_like(p)
    s[target], pivotal[target] = a, 0.0
    if target:
        s[:target] = a * _one_minus_power(p[target], up_to, n - 1)
        pivotal[:target] = same
    return ForcedDraws(s, pivotal if up_to > 0 or n == 1 else np.full_like(p, nan))


def _one_minus_power(part: float, whole: float, exponent: int) -> float:
    """1 - (1 - part / whole)^exponent, also for a small part."""
    if whole == 0 or exponent == 0:
        return 0.0
    if part >= whole:
        return 1.0
    return float(-np.expm1(exponent * np.log1p(-part / whole)))


def _forced_majority(p: FloatArray, target: int, n: int, invalid: int | None) -> ForcedDraws:
    """Counts the other n-1 votes.

    Independent Poisson numbers of votes with means (n-1) p_j are multinomial given their sum, so the chance of
    an event is a coefficient of a product of truncated Poisson generating functions over that of the sum.
    Row c of every array below belongs to c votes for y among the n-1, column d to d votes for the others so far.
    A pair holds two of them: all rivals below c votes; all of them at most c and one at c ("tied").
    """
    m = n - 1
    votes = np.arange(m + 1)
    weights = stats.poisson.pmf(votes, m * p[:, None])  # (answers, votes)
    rows = votes[:, None]

    def pair(j: int) -> tuple[FloatArray, FloatArray]:
        if j == invalid:
            return np.tile(weights[j], (m + 1, 1)), np.zeros((m + 1, m + 1))
        return np.where(votes < rows, weights[j], 0.0), np.where(votes == rows, weights[j], 0.0)

    def one(tied_at_zero: bool) -> tuple[FloatArray, FloatArray]:
        below, tied = np.zeros((m + 1, m + 1)), np.zeros((m + 1, m + 1))
        below[:, 0] = 1.0
        if tied_at_zero:  # no votes at all are no plurality, even without a rival
            below[0, 0], tied[0, 0] = 0.0, 1.0
        return below, tied

    def last(polynomial: FloatArray, factor: FloatArray) -> float:
        """Chance that the product has the m - c votes that y's c leave, over all c."""
        polynomial = _multiply(polynomial, factor)
        return n * float(weights[target] @ polynomial[votes, m - votes]) / total

    total = float(stats.poisson.pmf(m, m))
    others = [j for j in range(len(p)) if j != target]
    suffixes = [one(tied_at_zero=False)]
    for j in reversed(others):
        suffixes.append(_multiply_pairs(pair(j), suffixes[-1]))
    prefix = one(tied_at_zero=True)
    everything = _multiply_pairs(prefix, suffixes.pop())
    a = last(everything[0] + everything[1], one(False)[0])

    s, lost = np.zeros_like(p), np.zeros_like(p)
    s[target] = a
    for j in others:
        below, tied = _multiply_pairs(prefix, suffixes.pop())
        if j == invalid:
            s[j] = last(below, np.tile(weights[j], (m + 1, 1)))
            lost[j] = last(tied, np.tile(weights[j], (m + 1, 1)))
        else:
            # One vote more for j: with c-2 of the others it stays below y's c, with c-1 or c it does not.
            harmless = np.where(votes <= rows - 2, weights[j], 0.0)
            harmful = np.where((votes == rows - 1) | (votes == rows), weights[j], 0.0)
            s[j] = last(below, harmless)
            lost[j] = last(below + tied, harmful) + last(tied, harmless)
        prefix = _multiply_pairs(prefix, pair(j))
    return ForcedDraws(s, lost / a if a > 0 else np.full_like(p, nan))


def _multiply_pairs(
    left: tuple[FloatArray, FloatArray], right: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    below = _multiply(left[0], right[0])
    tied = _multiply(left[0], right[1]) + _multiply(left[1], right[0] + right[1])
    return below, tied


def _multiply(left: FloatArray, right: FloatArray) -> FloatArray:
    """Row by row the product of two polynomials, cut to as many coefficients."""
    rows, width = left.shape
    padded = np.zeros((rows, 2 * width - 1))
    padded[:, width - 1 :] = right
    shifted = sliding_window_view(padded, width, axis=1)  # [row, degree, i] = right[row, degree - (width - 1 - i)]
    return (shifted @ left[:, ::-1, None])[..., 0]


def _simulate(
    p: FloatArray, target: int, strategy: Strategy, n: int, invalid: int | None, rng: np.random.Generator, size: int
) -> BoolArray:
    """Whether y is returned with one draw forced to j, shape (size, answers), from draws of the other n-1."""
    counts = rng.multinomial(n - 1, p, size=size)
    returned = np.zeros(counts.shape, dtype=bool)
    if strategy == "best_of_n":
        none_better = ~counts[:, target + 1 :].any(axis=1)
        returned[:, target] = none_better
        returned[:, :target] = (none_better & (counts[:, target] > 0))[:, None]
        return returned
    votes = counts[:, target]
    silent = [target] if invalid is None else [target, invalid]
    most = np.delete(counts, silent, axis=1).max(axis=1, initial=0)
    returned[:] = (votes > most)[:, None] & (votes[:, None] > counts + 1)
    returned[:, target] = votes + 1 > most
    if invalid is not None:
        returned[:, invalid] = votes > most
    return returned


def _rivals(p: FloatArray, target: int) -> FloatArray:
    """p_j / (1 - p_y), 0 for the target; NaN if there is no rival."""
    rivals = p.copy()
    rivals[target] = 0.0
    total = rivals.sum()
    return rivals / total if total > 0 else np.full_like(p, nan)


def _inverse(pivotal: float) -> float:
    """rho from the mean pivotal chance, 1 - c / a."""
    # A mean of probabilities: only rounding could lift it above 1.
    return 1.0 / min(float(pivotal), 1.0) if pivotal > 0 else nan


def _checked(p: ArrayLike, target: int, strategy: str, n: int, invalid: int | None) -> FloatArray:
    p = np.asarray(p, dtype=np.float64)
    if p.ndim != 1 or not p.size or not (p >= 0).all() or abs(p.sum() - 1.0) > 1e-9:
        raise ValueError(f"answers need probabilities >= 0 that sum to 1, got {p}")
    if strategy not in ("majority", "best_of_n"):
        raise ValueError(f'`strategy` must be "majority" or "best_of_n", got {strategy!r}')
    if isinstance(n, bool) or n != int(n) or n < 1:
        raise ValueError(f"{strategy} needs an integer budget n >= 1, got n = {n!r}")
    if not 0 <= target < len(p):
        raise ValueError(f"the target must be one of the {len(p)} answers, got index {target}")
    if invalid is not None and (strategy != "majority" or not 0 <= invalid < len(p) or invalid == target):
        raise ValueError(
            "`invalid` must be the index of an answer other than the target, in a majority vote; "
            f"got {invalid} for {strategy} with target {target} of {len(p)}"
        )
    return p / p.sum()
