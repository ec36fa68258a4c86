"""Tokens per problem at each test budget, and arms compared at equal tokens in place of equal numbers of samples."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.interpolate import CubicSpline

from ..statistics import ROUNDING, FloatArray, crossed_interval, paired_difference, seeds_by_problems
from ..units import RANGES

NO_CROSSOVER = {"crossover": np.nan, "crossover_to": np.nan, "crossover_clear": np.nan, "n_crossings": 0}


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
    # A vote of two is that of its first valid answer: Maj@2 is Maj@1 but for invalid ones, no point of a smooth curve.
    ks = np.array([k for k in sorted(shown["k"].unique()) if (metric, k) != ("maj", 2)])
    lengths = {arm: _lengths(samples, arm) for arm in shown["arm"].unique()}
    costs = {arm: ks * of_arm.mean() for arm, of_arm in lengths.items()}
    curves = {
        arm: through(costs[arm], [seeds_by_problems(per_problem[per_problem["k"] == k], arm) for k in ks])
        for arm in lengths
    }
    rows = []
    for row in shown.itertuples():
        cost = crossed_interval(row.k * lengths[row.arm])
        low, high = (pick(costs[row.arm][end], costs[baseline][end]) for pick, end in ((max, 0), (min, -1)))
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
    crossovers = {arm: crossover(of_arm.sort_values("k")) for arm, of_arm in frame.groupby("arm")}
    return frame.join(pd.DataFrame.from_dict(crossovers, orient="index"), on="arm")


def _lengths(samples: Mapping[tuple[str, int], pd.DataFrame], arm: str) -> FloatArray:
    """Mean tokens of an arm's completions, shape (seeds, problems)."""
    of_seeds = {seed: completion_tokens(frame) for (name, seed), frame in samples.items() if name == arm}
    return pd.DataFrame(of_seeds).to_numpy().T


def through(tokens: FloatArray, values: Sequence[FloatArray]) -> CubicSpline | None:
    """A curve over the logarithm of tokens through some points; None of one point.

    A cubic spline without a condition at its ends; through two points a line, through three a parabola. Over log k a
    metric bends all the way, and straight lines between budgets lie below it: on pools of `tiny`, held against exact
    values, by up to 1.1 points of Pass@k and 0.07 of a protein's reward, as much as arms differ by. The spline is off
    by 0.4 points and 0.005 at most, and mostly by a hundredth of a point. It is linear in the values, so that the mean
    of problems' curves is the curve of their means.

    Args:
        tokens: where the points lie, rising.
        values: what the curve has there, arrays of one shape.
    """
    return CubicSpline(np.log(tokens), values) if len(tokens) > 1 else None


def crossings(tokens: FloatArray, differences: FloatArray) -> list[tuple[float, str]]:
    """The tokens at which a difference changes its sign, linear in log tokens between points, and what it is then.

    One that touches 0, or begins or ends there, has not changed it; one that is 0 for a while changes it at the end of
    that.

    Args:
        tokens: where the difference is known, rising.
        differences: an arm's minus the baseline's.

    Returns:
        tokens, and ``ahead`` or ``behind``, of each change.
    """
    differences = np.where(np.abs(differences) <= ROUNDING, 0.0, differences)
    sides = np.flatnonzero(differences)
    found = []
    for before, after in zip(sides, sides[1:], strict=False):
        if differences[before] * differences[after] < 0:
            left, right = differences[after - 1], differences[after]
            at = np.exp(np.interp(left / (left - right), [0, 1], np.log(tokens[after - 1 : after + 1])))
            found.append((float(at), "ahead" if right > 0 else "behind"))
    return found


def crossover(of_arm: pd.DataFrame) -> dict:
    """Where an arm overtakes the baseline, or falls behind it, at equal tokens.

    Of several crossings it is the last one: beyond it the order holds as far as both are measured, so that "ahead from
    here on" is true. The first may be undone by the next.

    Args:
        of_arm: the arm's rows of a ``tokens`` artifact by rising k, as far as the difference.

    Returns:
        crossover (tokens), crossover_to (ahead or behind), and crossover_clear: whether there is, below it and above
        it, a k whose difference has an interval beyond 0, on the side that it should; n_crossings.
    """
    known = of_arm[of_arm["difference"].notna()]
    found = crossings(known["compared_at"].to_numpy(), known["difference"].to_numpy())
    if not found:
        return NO_CROSSOVER
    at, to = found[-1]
    below, above = known[known["compared_at"] < at], known[known["compared_at"] > at]
    worse, better = (below, above) if to == "ahead" else (above, below)
    clear = bool((worse["difference_high"] < 0).any() and (better["difference_low"] > 0).any())
    return {"crossover": at, "crossover_to": to, "crossover_clear": clear, "n_crossings": len(found)}
