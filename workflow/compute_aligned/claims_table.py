"""Claims and verdicts as a Markdown table: `python -m compute_aligned.claims_table results/tiny/claims.csv`."""

import sys

import pandas as pd

from .artifacts import read_artifact

UNIT_DIGITS = {"points": 1, "%": 0, "% of answer sets": 1, "(CAT over pivotal)": 3}  # others: two


def claims_table(claims: pd.DataFrame) -> str:
    """One row per claim: statement, the paper's effect, the measured one with its 95 % interval, and the verdict.

    Args:
        claims: a ``claims`` artifact.
    """
    lines = ["| | claim | paper | here [95 % interval] | verdict |", "|---|---|---|---|---|"]
    for row in claims.itertuples():
        digits = UNIT_DIGITS.get(row.unit, 2)
        reported, effect, low, high = (
            "" if pd.isna(value) else f"{value:+.{digits}f}" for value in (row.reported, row.effect, row.low, row.high)
        )
        here = effect and f"{effect}{f' [{low}, {high}]' if low else ''} {row.unit}"
        cells = [row.claim, row.statement, reported or "–", here or "–", f"**{row.verdict}**"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(claims_table(read_artifact("claims", sys.argv[1])))
