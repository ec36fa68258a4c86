"""Train budgets N beside test budgets k: what a run trained for N gains at k, and how well the weights are aligned."""

import pandas as pd

from ..units import SCALES


def gains(summary: pd.DataFrame) -> pd.DataFrame:
    """Per train budget N and test budget k the gain over cross-entropy in points, paired, with its 95 % interval.

    Args:
        summary: a ``summary`` artifact of Pass@N objectives and cross-entropy, which is N = 1.

    Returns:
        n, k, label, value (%), gain, low, high (points; no interval for N = 1), clear (whether the interval excludes
        0), best (whether no other N has a larger value at this k); in the order of n and k.
    """
    scale = SCALES["pass"]
    frame = pd.DataFrame(
        {
            "n": [1 if name == "ce" else int(name.removeprefix("pass_n")) for name in summary["arm"]],
            "k": summary["k"],
            "label": summary["label"],
            "value": scale * summary["value"],
            "gain": scale * summary["difference"],
            "low": scale * summary["difference_low"],
            "high": scale * summary["difference_high"],
        }
    )
    frame["clear"] = (frame["low"] > 0) | (frame["high"] < 0)
    frame["best"] = frame["value"] == frame.groupby("k")["value"].transform("max")
    return frame.sort_values(["n", "k"], ignore_index=True)


def beside_alignment(summary: pd.DataFrame, alignment: pd.DataFrame) -> pd.DataFrame:
    """``gains``, and the alignment coefficients A(N, k) and A(1, k) of the SFT weights (paper, App. G).

    Args:
        summary: as for ``gains``.
        alignment: an ``alignment`` artifact that holds every pair.

    Returns:
        the columns of ``gains``, alignment = A(N, k), and alignment_gain = A(N, k) - A(1, k).
    """
    frame = gains(summary)
    pairs = alignment.set_index(["train", "test"])["alignment"]
    frame["alignment"] = [pairs[f"pass_n{n}", f"pass_n{k}"] for n, k in zip(frame["n"], frame["k"], strict=True)]
    baseline = [pairs["pass_n1", f"pass_n{k}"] for k in frame["k"]]
    return frame.assign(alignment_gain=frame["alignment"] - baseline)


def rank_correlation(frame: pd.DataFrame) -> float:
    """Spearman's correlation of alignment_gain and gain over all N > 1 and k; NaN where one of them is constant."""
    trained = frame[frame["n"] > 1]
    if min(trained["alignment_gain"].nunique(), trained["gain"].nunique()) < 2:
        return float("nan")
    from scipy import stats  # half a second, which every other figure does without

    return float(stats.spearmanr(trained["alignment_gain"], trained["gain"]).statistic)
