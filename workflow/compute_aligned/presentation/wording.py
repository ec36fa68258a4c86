"""The words that tables, figures and the closing message share."""

import pandas as pd

from ..units import METRIC_NAMES

NOT_IN_THE_PAPER = "not in the paper"


def at_budget(metric: str, k: int) -> str:
    """A metric at a test budget: Pass@16."""
    return f"{METRIC_NAMES[metric]}@{int(k)}"


def baseline_label(summary: pd.DataFrame) -> str:
    """The label of the arm that differences are taken from."""
    return summary.loc[summary["arm"] == summary["baseline"], "label"].iloc[0]


def counted(n: int, what: str) -> str:
    """A number of things: 1 seed, 5 seeds."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def sentences(*parts: str) -> str:
    """Sentences in one line, such as a caption; empty ones are left out."""
    return " ".join(filter(None, parts))


def what_was_run(summary: pd.DataFrame, preset: str, split: str) -> str:
    """One sentence: preset, seeds, problems, samples, and what the intervals speak about."""
    row = summary.iloc[0]
    intervals = "no intervals" if row["population"] == "none" else f"95 % intervals over {row['population']}"
    return (
        f"Preset {preset}: {counted(row['n_seeds'], 'seed')}, {counted(row['n_problems'], f'{split} problem')}, "
        f"pools of {row['n_samples']} samples; {intervals}."
    )


def bands_of_seeds(n_seeds: int) -> str:
    """What a curve and its band are, of runs with several seeds."""
    return "1 seed, no band" if n_seeds == 1 else f"mean of {n_seeds} seeds, bands from the lowest to the highest"


def against_the_paper(summary: pd.DataFrame) -> str:
    """One sentence that names where a difference is measured to be of the other sign than the paper reports, or "".

    That is where the 95 % interval of the paired difference lies on the other side of 0 than the reported difference;
    each budget by itself, without a correction for their number.
    """
    reported = summary["reported_difference"]
    other_side = ((reported > 0) & (summary["difference_high"] < 0)) | (
        (reported < 0) & (summary["difference_low"] > 0)
    )
    cells = [
        f"{label} in {METRIC_NAMES[metric]}@{', '.join(str(k) for k in rows['k'])}"
        for (label, metric), rows in summary[other_side].groupby(["label", "metric"], sort=False)
    ]
    return f"Against the paper's sign (95 % interval beyond 0): {'; '.join(cells)}." if cells else ""
