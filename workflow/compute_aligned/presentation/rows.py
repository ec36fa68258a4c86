"""What was measured as long rows: one value each, in the unit in which it is shown."""

import pandas as pd

from ..units import SCALES, UNITS

SCALED = ["value", "low", "high", "difference", "difference_low", "difference_high", "reported", "reported_difference"]
DIGITS = 4  # of scaled numbers in the CSV
# column of a ``weights`` artifact -> head, unit and explanation
WEIGHT_COLUMNS = {
    "weight_p05": ("5 %", "factor", ""),
    "weight_p50": ("median", "factor", ""),
    "weight_p95": ("95 %", "factor", ""),
    "effective_share": ("effective share", "share", "(Σw)² / (n Σw²); 1 means that all pull alike, as without weights"),
    "log_p_p50": ("median log p", "nats", "of the whole completion"),
    "success_rate_p50": ("median success rate", "share", "of sampled completions, where the weight is taken at it"),
    "no_signal_share": ("no signal", "share", "share of the prompts whose completions all have one reward"),
    "reward_first": ("reward, first", "reward", "mean over the first tenth of the steps"),
    "reward_last": ("reward, last", "reward", "mean over the last tenth"),
    "kl_last": ("KL, last", "nats per token", "from the start, nats per token, over the last tenth of the steps"),
}


def long_rows(summary: pd.DataFrame, weights: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row per arm, metric and k, in the unit in which it is shown; then one per arm and number of its training.

    Args:
        summary: a ``summary`` artifact.
        weights: the ``weights`` artifact of the same experiment; the rows of its numbers have no k.

    Returns:
        the columns of a ``table`` artifact.
    """
    arms = summary[["experiment", "arm", "label", "beyond_paper", "baseline"]]
    rows = arms.assign(metric=summary["metric"], k=summary["k"].astype("Int64"), unit=summary["metric"].map(UNITS))
    scale = summary["metric"].map(SCALES)
    rows = rows.assign(**{column: scale * summary[column] for column in SCALED})
    if weights is None:
        return rows
    trained = weights.melt(id_vars="arm", value_vars=list(WEIGHT_COLUMNS), var_name="metric").dropna(subset="value")
    trained = arms.drop_duplicates().merge(trained, on="arm")
    trained["unit"] = [WEIGHT_COLUMNS[metric][1] for metric in trained["metric"]]
    return pd.concat([rows, trained.reindex(columns=rows.columns).astype(rows.dtypes)], ignore_index=True)


def rounded(rows: pd.DataFrame) -> pd.DataFrame:
    """Scaled numbers to a few digits, without -0.0; what is not of a test budget as it is."""
    scaled = rows["k"].notna()
    return rows.assign(**{column: rows[column].where(~scaled, rows[column].round(DIGITS) + 0.0) for column in SCALED})
