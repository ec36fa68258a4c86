"""Tokens per problem at each test budget, and arms compared at equal tokens in place of equal numbers of samples."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.interpolate import CubicSpline

from ..statistics import ROUNDING, FloatArray, crossed_interval, paired_difference, seeds_by_problems
from ..units import RANGES

# A curve over tokens: tokens per problem, rising, and the metric there.
Curve = tuple[FloatArray, FloatArray]
POINTS = 2000  # of the difference of two curves


def completion_tokens(samples: pd.DataFrame) -> pd.Series:
    """Mean number of tokens that were drawn for a completion, by problem.

    The end token counts, which ``n_tokens`` leaves out: it is drawn like any other, and of a short answer it is a good
    part. A completion that was cut has none. The prompt does not count: it is read once, however many samples follow,
    and is the same for all arms.

    Args:
        samples: a ``samples`` artifact.
    """
    drawn = samples["n_tokens"] + (samples["finish_reason"] == "stop")
    return drawn.groupby(samples["problem_id"], sort=False).mean()


def token_costs(
    summary: pd.DataFrame, per_problem: pd.DataFrame, samples: Mapping[tuple[str, int], pd.DataFrame]
) -> pd.DataFrame:
    """What each arm costs at each k, and how it compares with the baseline at that cost.

    k draws without replacement from a pool have, in expectation, k times the pool's mean tokens; tokens per problem are
    the mean of that over seeds and problems, with the interval of any other mean. An arm whose answers are r times as
    long is to be compared, at its k samples, with the baseline at r k: the difference is that of both metrics at the
    tokens of the arm's k samples, paired by problem and seed, each interpolated between the measured k (``through``).
    Beyond these a metric is not known: the difference is then taken at the nearest tokens that both were measured at.
    Its interval takes the tokens of both as known.

    Args:
        summary: the experiment's ``summary`` artifact.
        per_problem: its ``problem_metrics``.
        samples: (arm, seed) -> the run's ``samples``.

    Returns:
        a ``tokens`` artifact.
    """
    shown = summary[summary["metric"] == per_problem["metric"].iloc[0]]  # without the gain, which has no budget
    baseline, metric = shown["baseline"].iloc[0], shown["metric"].iloc[0]
    arms, ks = shown["arm"].unique(), sorted(shown["k"].unique())
    at_k = [per_problem[per_problem["k"] == k] for k in ks]
    values = {arm: [seeds_by_problems(rows, arm) for rows in at_k] for arm in arms}
    lengths = {arm: _lengths(samples, arm) for arm in arms}
    costs = {arm: np.array(ks) * lengths[arm].mean() for arm in arms}
    curves = {arm: through(costs[arm], values[arm]) for arm in arms}
    rows = []
    for row in shown.itertuples():
        cost = crossed_interval(row.k * lengths[row.arm])
        low, high = common_range(costs[row.arm], costs[baseline])
        at, difference = np.nan, (np.nan, np.nan, np.nan)
        if row.arm == baseline:
            at, difference = cost.mean, (0.0, np.nan, np.nan)
        elif low < high:
            at = float(np.clip(cost.mean, low, high))
            found = paired_difference(*(curves[arm](np.log(at)) for arm in (row.arm, baseline)), within=RANGES[metric])
            difference = (found.mean, found.low, found.high)
        rows.append(
            {
                **{name: getattr(row, name) for name in ("experiment", "recipe", "arm", "label", "beyond_paper")},
                **{name: getattr(row, name) for name in ("baseline", "metric", "k")},
                "tokens": cost.mean,
                "tokens_low": cost.low,
                "tokens_high": cost.high,
                "value": row.value,
                "compared_at": at,
                **dict(zip(("difference", "difference_low", "difference_high"), difference, strict=True)),
            }
        )
    frame = pd.DataFrame(rows)
    means = {arm: (costs[arm], np.array([matrix.mean() for matrix in values[arm]])) for arm in arms}
    crossovers = {arm: crossover(of_arm, means[arm], means[baseline]) for arm, of_arm in frame.groupby("arm")}
    return frame.join(pd.DataFrame.from_dict(crossovers, orient="index"), on="arm")


def _lengths(samples: Mapping[tuple[str, int], pd.DataFrame], arm: str) -> FloatArray:
    """Mean tokens of an arm's completions, shape (seeds, problems)."""
    of_seeds = {seed: completion_tokens(frame) for (name, seed), frame in samples.items() if name == arm}
    return pd.DataFrame(of_seeds).to_numpy().T


def through(tokens: FloatArray, values: Sequence) -> CubicSpline | None:
    """A curve over the logarithm of tokens through some points; None of one point.

    A cubic spline without a condition at its ends; through two points a line, through three a parabola. Over log k a
    metric bends all the way, and straight lines between the budgets lie below it: in `tiny` by up to 2 points of Pass@k
    and 0.07 of a protein's reward, which is more than arms differ by. The spline is off by a tenth of that. It is
    linear in the values, so that the mean of problems' curves is the curve of their means.

    Args:
        tokens: where the points lie, rising.
        values: what the curve has there, numbers or arrays of one shape.
    """
    return CubicSpline(np.log(tokens), np.asarray(values, dtype=np.float64)) if len(tokens) > 1 else None


def common_range(tokens: FloatArray, others: FloatArray) -> tuple[float, float]:
    """The tokens from which on and up to which two curves are both measured; none where the first is not the lower."""
    return max(tokens[0], others[0]), min(tokens[-1], others[-1])


def at_equal_tokens(arm: Curve, baseline: Curve) -> Curve:
    """The difference of two curves, close together over the tokens that both measure; empty where there are none."""
    low, high = common_range(arm[0], baseline[0])
    if not low < high:
        return np.array([]), np.array([])
    logs = np.linspace(np.log(low), np.log(high), POINTS)
    return np.exp(logs), through(*arm)(logs) - through(*baseline)(logs)


def crossings(arm: Curve, baseline: Curve) -> list[tuple[float, str]]:
    """The tokens at which two curves change their order, and what the arm is from there on: ahead or behind.

    A curve that touches the other, or begins or ends on it, has not crossed it; where both are one for a while, the new
    order begins at the end of it.
    """
    tokens, apart = at_equal_tokens(arm, baseline)
    apart = np.where(np.abs(apart) <= ROUNDING, 0.0, apart)
    sides = np.flatnonzero(apart)
    found = []
    for before, after in zip(sides, sides[1:], strict=False):
        if apart[before] * apart[after] < 0:
            left, right = apart[after - 1], apart[after]
            at = np.interp(left / (left - right), [0, 1], np.log(tokens[[after - 1, after]]))
            found.append((float(np.exp(at)), "ahead" if right > 0 else "behind"))
    return found


def crossover(of_arm: pd.DataFrame, arm: Curve, baseline: Curve) -> dict:
    """Where an arm overtakes the baseline, or falls behind it, at equal tokens.

    Of several crossings it is the last one: beyond it the order holds as far as both are measured, so that "ahead from
    here on" is true. The first may be undone by the next, and its place is the noisier the flatter both curves start.

    Args:
        of_arm: the arm's rows of a ``tokens`` artifact, as far as the difference.
        arm: its metric over tokens.
        baseline: the baseline's.

    Returns:
        crossover (tokens), crossover_to (ahead or behind), and crossover_clear: whether there is, below it and above
        it, a k whose difference has an interval beyond 0, on the side that it should; n_crossings.
    """
    found = crossings(arm, baseline)
    if not found:
        return {"crossover": np.nan, "crossover_to": np.nan, "crossover_clear": np.nan, "n_crossings": 0}
    at, to = found[-1]
    below, above = of_arm[of_arm["compared_at"] < at], of_arm[of_arm["compared_at"] > at]
    worse, better = (below, above) if to == "ahead" else (above, below)
    clear = bool((worse["difference_high"] < 0).any() and (better["difference_low"] > 0).any())
    return {"crossover": at, "crossover_to": to, "crossover_clear": clear, "n_crossings": len(found)}
