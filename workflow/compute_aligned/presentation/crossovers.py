"""How tokens, and the crossover of an arm with its baseline, are written."""

import pandas as pd

from . import numbers


def tokens(value: float | None) -> str:
    """A number of tokens to three digits, without an exponent; a dash where there is none."""
    if numbers.is_missing(value):
        return numbers.NONE
    return f"{value:#.3g}" if value < 99.95 else f"{float(f'{value:.3g}'):.0f}"


def crossover(row: pd.Series) -> str:
    """From how many tokens on an arm is ahead or behind, in brackets where intervals leave that open; "" if nowhere.

    Args:
        row: of a ``tokens`` artifact.
    """
    if numbers.is_missing(row["crossover"]):
        return ""
    told = f"{row['crossover_to']} from {tokens(row['crossover'])} tokens"
    return told if row["crossover_clear"] else f"({told})"
