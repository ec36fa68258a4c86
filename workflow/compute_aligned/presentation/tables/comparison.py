"""Tables of compared runs: values, paired differences, the paper's values, and training weights."""

from collections.abc import Sequence

import pandas as pd

from ...units import DIFFERENCE_UNITS, UNITS
from .. import numbers
from ..rows import WEIGHT_COLUMNS, long_rows, rounded
from ..wording import NOT_IN_THE_PAPER, against_the_paper, at_budget, baseline_label, what_was_run
from .forms import Table, escape, grid, latex_table, wide_view


def comparison(
    summary: Sequence[pd.DataFrame],
    weights: Sequence[pd.DataFrame],
    titles: Sequence[str],
    preset: str,
    split: str,
) -> Table:
    """The table of the experiments that share it, one below the other.

    Args:
        summary: each experiment's ``summary``.
        weights: each experiment's ``weights``.
        titles: what each part shows.
        preset: name of the preset.
        split: the evaluated split.
    """
    captions = [
        f"{title} {what_was_run(part, preset, split)} {against_the_paper(part)}".rstrip()
        for title, part in zip(titles, summary, strict=True)
    ]
    parts = list(zip(summary, weights, captions, strict=True))
    return Table(
        pd.concat([rounded(long_rows(part, of_training)) for part, of_training, _ in parts], ignore_index=True),
        "table",
        "\n".join(markdown(*part) for part in parts),
        "\n".join(latex(part, caption) for part, _, caption in parts),
    )


# --- forms -----------------------------------------------------------------------------------------------------------


def markdown(summary: pd.DataFrame, weights: pd.DataFrame, caption: str) -> str:
    """Values, paired differences, the paper's values and the weights, one small table each."""
    rows, metric = long_rows(summary), summary["metric"].iloc[0]
    baseline, apart = baseline_label(summary), DIFFERENCE_UNITS[metric]
    blocks = {
        f"Measured, {UNITS[metric]} [95 % interval]": value_cell,
        f"Difference from {baseline}, {apart}, paired by problem and seed [95 % interval]": difference_cell,
        f"Reported by the paper, {UNITS[metric]} (difference from {baseline}, {apart})": reported_cell,
    }
    parts = [f"{caption}\n", *(grid(title, _view(rows, cell, "*{}*")) for title, cell in blocks.items())]
    pull = "gradient of cross-entropy, over all sequences"
    if weights["no_signal_share"].notna().any():
        pull = "advantage, over the completions of a step, mean over steps"
    parts.append(grid(f"Training weights: the factor on the {pull}", weights_view(weights)))
    return "\n".join([*parts, explanations(weights), ""])


def latex(summary: pd.DataFrame, caption: str) -> str:
    """The value with its interval, below it the paired difference and the paper's difference."""
    rows = long_rows(summary)
    rows["label"] = rows["label"].map(escape)
    values, differences = (_view(rows, cell, r"\emph{{{}}}") for cell in (_latex_value, _latex_difference))
    lines = []
    for label, cells in values.iterrows():
        lines.append(cells)
        if (differences.loc[label] != "").any():
            lines.append(differences.loc[label].rename(""))
    return latex_table(
        f"{caption} Small: difference from the baseline, in brackets the paper's.", [pd.DataFrame(lines)]
    )


def _view(rows: pd.DataFrame, cell, heading: str) -> pd.DataFrame:
    """A view of rows with a k; those of the paper first, the others below a heading."""
    heads = [at_budget(metric, k) for metric, k in zip(rows["metric"], rows["k"], strict=True)]
    rows = rows.assign(head=heads)
    ours, beyond = rows[~rows["beyond_paper"]], rows[rows["beyond_paper"]]
    views = [wide_view(ours, "label", "head", cell)]
    if len(beyond):
        views += [pd.DataFrame("", [heading.format(NOT_IN_THE_PAPER)], views[0].columns)]
        views += [wide_view(beyond, "label", "head", cell)]
    return pd.concat(views)


def value_cell(row: pd.Series) -> str:
    """A value and its interval."""
    return numbers.estimate(row["value"], row["low"], row["high"], row["unit"])


def difference_cell(row: pd.Series) -> str:
    """A paired difference and its interval; a dash for the baseline."""
    if row["arm"] == row["baseline"]:
        return numbers.NONE
    ends = row["difference_low"], row["difference_high"]
    return numbers.estimate(row["difference"], *ends, DIFFERENCE_UNITS[row["metric"]], "+")


def reported_cell(row: pd.Series) -> str:
    """The paper's value and its difference from the paper's baseline."""
    value, apart = row["reported"], row["reported_difference"]
    if numbers.is_missing(value) and numbers.is_missing(apart):
        return numbers.NONE
    text = "" if numbers.is_missing(value) else numbers.number(value, row["unit"])
    return f"{text} ({numbers.number(apart, DIFFERENCE_UNITS[row['metric']], '+')})".lstrip()


def _latex_value(row: pd.Series) -> str:
    text = numbers.number(row["value"], row["unit"])
    if numbers.is_missing(row["low"]):
        return text
    half = numbers.half_width(row["value"], row["low"], row["high"])
    return rf"{text}$\,\pm\,${numbers.number(half, row['unit'])}"


def _latex_difference(row: pd.Series) -> str:
    if row["arm"] == row["baseline"]:
        return ""
    unit, paper = DIFFERENCE_UNITS[row["metric"]], row["reported_difference"]
    beside = "" if numbers.is_missing(paper) else f" ({numbers.number(paper, unit, '+')})"
    return rf"\scriptsize ${numbers.number(row['difference'], unit, '+')}${beside}"


def weights_view(weights: pd.DataFrame) -> pd.DataFrame:
    """The numbers of each arm's training as text; those that no arm has are left out."""
    shown = _recorded(weights)
    cells = {
        WEIGHT_COLUMNS[name][0]: [numbers.number(v, WEIGHT_COLUMNS[name][1]) for v in weights[name]] for name in shown
    }
    return pd.DataFrame(cells, index=weights["label"])


def explanations(weights: pd.DataFrame) -> str:
    """What the heads of ``weights_view`` mean."""
    entries = [WEIGHT_COLUMNS[name] for name in _recorded(weights)]
    return " ".join(f"{head}: {meaning}." for head, _, meaning in entries if meaning)


def _recorded(weights: pd.DataFrame) -> list[str]:
    return [column for column in WEIGHT_COLUMNS if weights[column].notna().any()]
