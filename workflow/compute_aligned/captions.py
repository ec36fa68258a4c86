"""The words that tables, figures and the closing message share."""

import pandas as pd

METRIC_NAMES = {"pass": "Pass", "maj": "Maj", "gain": "Gain"}
NOT_IN_THE_PAPER = "not in the paper"


def baseline_label(summary: pd.DataFrame) -> str:
    """The label of the objective that differences are taken from."""
    return summary.loc[summary["objective"] == summary["baseline"], "label"].iloc[0]


def what_was_run(summary: pd.DataFrame, preset: str, split: str) -> str:
    """One sentence: preset, seeds, problems, samples, and what the intervals speak about."""
    row = summary.iloc[0]
    seeds = "1 seed" if row["n_seeds"] == 1 else f"{row['n_seeds']} seeds"
    return (
        f"Preset {preset}: {seeds}, {row['n_problems']} {split} problems, pools of {row['n_samples']} samples; "
        f"95 % intervals over {row['population']}."
    )
