"""Tokens per problem at each test budget, and arms compared at equal tokens in place of equal numbers of samples."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..statistics import ROUNDING, FloatArray, crossed_interval, paired_difference, seeds_by_problems
from ..units import RANGES

# A curve over tokens: tokens per problem, rising, and the metric there.
Curve = tuple[FloatArray, FloatArray]


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
    the mean of that over seeds and problems, with the interval of any other mean. An arm with answers r times as long
    has, for the tokens of k samples, its baseline draw r k: the difference is the arm's metric at k minus the
    baseline's at r k, paired by problem and seed. Between the measured k the metric is linear in log tokens; beyond
    them it is not known, and there is no difference. Its interval takes the tokens of both as known.

    Args:
        summary: the experiment's ``summary`` artifact.
        per_problem: its ``problem_metrics``.
        samples: (arm, seed) -> the run's ``samples``.

    Returns:
        a ``tokens`` artifact.
    """
    shown = summary[summary["metric"] == per_problem["metric"].iloc[0]]  # without the gain, which has no budget
    baseline, metric = shown["baseline"].iloc[0], shown["metric"].iloc[0]
    lengths = {arm: _lengths(samples, arm) for arm in shown["arm"].unique()}
    at_k = {k: rows for k, rows in per_problem.groupby("k")}
    curves = {
        arm: (rows["k"].to_numpy() * lengths[arm].mean(), rows["value"].to_numpy())
        for arm, rows in shown.sort_values("k").groupby("arm")
    }
    of_baseline = [seeds_by_problems(at_k[k], baseline) for k in sorted(at_k)]
    rows = []
    for row in shown.itertuples():
        cost = crossed_interval(row.k * lengths[row.arm])
        difference = (np.nan, np.nan, np.nan)
        if row.arm == baseline:
            difference = (0.0, np.nan, np.nan)
        elif (equally_dear := between(curves[baseline][0], of_baseline, cost.mean)) is not None:
            found = paired_difference(seeds_by_problems(at_k[row.k], row.arm), equally_dear, within=RANGES[metric])
            difference = (found.mean, found.low, found.high)
        rows.append(
            {
                **{name: getattr(row, name) for name in ("experiment", "recipe", "arm", "label", "beyond_paper")},
                **{name: getattr(row, name) for name in ("baseline", "metric", "k")},
                "tokens": cost.mean,
                "tokens_low": cost.low,
                "tokens_high": cost.high,
                "value": row.value,
                **dict(zip(("difference", "difference_low", "difference_high"), difference, strict=True)),
            }
        )
    frame = pd.DataFrame(rows)
    crossovers = {arm: crossover(of_arm, curves[arm], curves[baseline]) for arm, of_arm in frame.groupby("arm")}
    return frame.join(pd.DataFrame.from_dict(crossovers, orient="index"), on="arm")


def _lengths(samples: Mapping[tuple[str, int], pd.DataFrame], arm: str) -> FloatArray:
    """Mean tokens of an arm's completions, shape (seeds, problems)."""
    of_seeds = {seed: completion_tokens(frame) for (name, seed), frame in samples.items() if name == arm}
    return pd.DataFrame(of_seeds).to_numpy().T


def between(tokens: FloatArray, values: Sequence[FloatArray], at: float) -> FloatArray | None:
    """What a curve has at some tokens, linear in log tokens between its points; None outside of them.

    Args:
        tokens: where its points lie, rising.
        values: what it has there, arrays of one shape.
        at: tokens.
    """
    if not tokens[0] <= at <= tokens[-1]:
        return None
    right = min(int(np.searchsorted(tokens, at, side="right")), len(tokens) - 1)
    left = max(right - 1, 0)
    share = 1.0 if left == right else np.log(at / tokens[left]) / np.log(tokens[right] / tokens[left])
    return (1 - share) * values[left] + share * values[right]


def at_equal_tokens(arm: Curve, baseline: Curve) -> Curve:
    """The difference of two curves, linear in log tokens between these points, over the range that both measure.

    Its points are those of either curve, and the ends of the range; none where the two have no tokens in common.
    """
    low, high = max(arm[0][0], baseline[0][0]), min(arm[0][-1], baseline[0][-1])
    if low > high:
        return np.array([]), np.array([])
    points = np.unique(np.concatenate([arm[0], baseline[0], [low, high]]))
    points = points[(points >= low) & (points <= high)]
    over, under = (np.interp(np.log(points), np.log(tokens), values) for tokens, values in (arm, baseline))
    return points, over - under


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
    below, above = of_arm[of_arm["tokens"] < at], of_arm[of_arm["tokens"] > at]
    worse, better = (below, above) if to == "ahead" else (above, below)
    clear = bool((worse["difference_high"] < 0).any() and (better["difference_low"] > 0).any())
    return {"crossover": at, "crossover_to": to, "crossover_clear": clear, "n_crossings": len(found)}
