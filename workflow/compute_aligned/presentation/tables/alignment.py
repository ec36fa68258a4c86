"""The table of train budgets N beside test budgets k: what was gained, and how well the weights are aligned."""

import pandas as pd

from ...analysis.gains import beside_alignment, rank_correlation
from .. import numbers
from ..rows import DIGITS, long_rows, rounded
from ..wording import what_was_run
from .comparison import difference_cell
from .forms import Table, escape, grid, latex_table, wide_view


def alignment(summary: pd.DataFrame, alignment: pd.DataFrame, title: str, preset: str, split: str) -> Table:
    """Gains over cross-entropy with their intervals, alignment coefficients, and the best N per k.

    Args:
        summary: a ``summary`` artifact of cross-entropy (N = 1) and Pass@N objectives.
        alignment: an ``alignment`` artifact that holds every pair.
        title: what the table shows.
        preset: name of the preset.
        split: the evaluated split.
    """
    frame = beside_alignment(summary, alignment)
    caption = (
        f"{title} {what_was_run(summary, preset, split)} A: cosine of the SFT weights of Pass@N and Pass@k, p uniform "
        f"on [0, 1]. Rank correlation of A(N, k) - A(1, k) with the gain, over all N > 1 and k: "
        f"{numbers.number(rank_correlation(frame), 'correlation')}."
    )
    return Table(
        alignment_rows(summary, frame),
        "table",
        markdown_alignment_table(summary, frame, caption),
        latex_alignment_table(frame, caption),
    )


def alignment_rows(summary: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """One row per arm, metric and k: Pass@k, and the alignment of the arm's weight with that of Pass@k.

    Args:
        summary: the ``summary`` artifact.
        frame: ``gains.beside_alignment`` of it.

    Returns:
        the columns of a ``table`` artifact; the difference of an alignment is that from cross-entropy's.
    """
    rows = rounded(long_rows(summary))
    places = rows.drop_duplicates("label").set_index("label")
    coefficients = places.loc[frame["label"], ["experiment", "arm", "beyond_paper", "baseline"]].reset_index()
    coefficients = coefficients.assign(
        metric="alignment",
        k=frame["k"].astype("Int64"),
        unit="cosine",
        value=frame["alignment"].round(DIGITS),
        difference=frame["alignment_gain"].round(DIGITS),
    )
    return pd.concat([rows, coefficients.reindex(columns=rows.columns).astype(rows.dtypes)], ignore_index=True)


def markdown_alignment_table(summary: pd.DataFrame, frame: pd.DataFrame, caption: str) -> str:
    """The three views, one grid each."""
    rows = long_rows(summary).set_index(["label", "k"])
    named = frame.assign(head=_heads(frame))

    def gain(row: pd.Series) -> str:
        return difference_cell(rows.loc[(row["label"], row["k"])]) + ", best" * (row["best"] and row["n"] > 1)

    def coefficient(row: pd.Series) -> str:
        return numbers.number(row["alignment"], "cosine")

    by_alignment = frame.loc[frame.groupby("k")["alignment"].idxmax()].set_index("k")["label"]
    measured = frame[frame["best"]].groupby("k")["label"].agg(" = ".join)
    best = pd.DataFrame({"measured": measured, "by A": by_alignment}).T.rename(columns=lambda k: f"k={k}")
    title = "Gain over CE at Pass@k, points, paired by problem and seed [95 % interval]"
    views = {title: gain, "Alignment A(N, k)": coefficient}
    grids = [grid(title, wide_view(named, "label", "head", cell)) for title, cell in views.items()]
    return "\n".join([f"{caption}\n", *grids, grid("Best budget to train for", best)])


def latex_alignment_table(frame: pd.DataFrame, caption: str) -> str:
    """The gain over cross-entropy, below it the alignment coefficient."""
    named = frame.assign(head=_heads(frame, "${}$"), label=frame["label"].map(escape))
    gains = wide_view(named, "label", "head", lambda row: _latex_gain(row))
    coefficients = wide_view(
        named, "label", "head", lambda row: rf"\scriptsize {numbers.number(row['alignment'], 'cosine')}"
    )
    lines = [line for label in gains.index for line in (gains.loc[label], coefficients.loc[label].rename(""))]
    return latex_table(f"{caption} Gain over CE in points; small: A.", [pd.DataFrame(lines)])


def _latex_gain(row: pd.Series) -> str:
    return "--" if row["n"] == 1 else f"${numbers.number(row['gain'], 'points', '+')}$"


def _heads(frame: pd.DataFrame, form: str = "{}") -> list[str]:
    return [form.format(f"k={k}") for k in frame["k"]]
