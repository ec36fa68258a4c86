"""Metrics over the tokens that answers cost, and arms compared at equal tokens."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from ...units import DIFFERENCE_UNITS, METRIC_NAMES, SCALES, UNITS
from ..crossovers import crossover
from ..wording import baseline_label, sentences, what_was_run
from .style import BASELINE, LAYOUT, panels, styles_of

TICKS = (1, 2, 5)  # of each power of ten


def tokens(summary: pd.DataFrame, tokens: pd.DataFrame, title: str, preset: str, split: str) -> tuple[Figure, str]:
    """The metric over tokens per problem and, below, arms minus the baseline at equal tokens, and their caption."""
    said = (
        "Above, the metric over the tokens that k samples of a problem cost, end tokens included and the prompt not. "
        f"Below, minus {baseline_label(tokens)} at equal tokens, paired by problem and seed, with 95 % intervals. A "
        "line down to the axis marks where the order changes for the last time, which the legend gives in tokens; "
        "dotted, and in brackets, where the intervals on both sides of it leave that open."
    )
    return tokens_figure(tokens), sentences(title, said, what_was_run(summary, preset, split))


def tokens_figure(tokens: pd.DataFrame) -> Figure:
    """The metric over tokens per problem on a log axis; below, minus the baseline's at equal tokens.

    Points are the measured test budgets. Objectives that the paper does not have are left to the table.

    Args:
        tokens: a ``tokens`` artifact.
    """
    scale = SCALES[tokens["metric"].iloc[0]]
    scaled = {name: scale * tokens[name] for name in ("value", "difference", "difference_low", "difference_high")}
    rows, baseline, metric = tokens.assign(**scaled), baseline_label(tokens), tokens["metric"].iloc[0]
    arms = {
        label: of_arm.sort_values("k") for label, of_arm in rows[~rows["beyond_paper"]].groupby("label", sort=False)
    }
    styles = styles_of(arms, baseline)
    with plt.rc_context(LAYOUT):
        # A line of the legend for each arm, whose names are long with their crossovers.
        figure, ((above,), (below,)) = panels(3.5 + 0.15 * len(arms), 2, sharex=True)
        below.axhline(0, linewidth=0.8, **BASELINE)
        for label, of_arm in arms.items():
            name = f"{label} {crossover(of_arm.iloc[0])}".rstrip()
            above.plot(of_arm["tokens"], of_arm["value"], label=name, **styles[label])
            if label != baseline:
                _at_equal_tokens(below, of_arm, styles[label])
        lowest = below.get_ylim()[0]
        for label, of_arm in arms.items():
            _mark_crossover(below, of_arm.iloc[0], lowest, styles[label])
        below.set_ylim(bottom=lowest)
        name = "expected maximum reward" if metric == "bon" else f"{METRIC_NAMES[metric]}@k ({UNITS[metric]})"
        above.set_ylabel(name)
        below.set_ylabel(f"minus {baseline},\nequal tokens ({DIFFERENCE_UNITS[metric]})")
        below.set_xscale("log")
        below.xaxis.set_major_locator(LogLocator(subs=TICKS))
        below.xaxis.set_minor_locator(NullLocator())
        below.xaxis.set_major_formatter("{x:.0f}")
        below.set_xlabel("tokens per problem")
        figure.align_ylabels()
        figure.legend(loc="outside lower center")
    return figure


def _at_equal_tokens(axes, of_arm: pd.DataFrame, style: dict) -> None:
    """The difference of an arm from the baseline, and its band."""
    names = ["compared_at", "difference", "difference_low", "difference_high"]
    at, difference, low, high = (of_arm[name].to_numpy(dtype=float) for name in names)
    axes.plot(at, difference, **style)
    axes.fill_between(at, low, high, color=style["color"], alpha=0.12, linewidth=0)
    for edge in (low, high):
        axes.plot(at, edge, color=style["color"], linestyle=style["linestyle"], linewidth=0.5, alpha=0.7)


def _mark_crossover(axes, row: pd.Series, lowest: float, style: dict) -> None:
    """A mark on the line at 0, and a line from it to the axis; dotted where intervals leave the crossover open."""
    if np.isnan(row["crossover"]):
        return
    color, clear = style["color"], row["crossover_clear"]
    mark = {"marker": "d", "markersize": 5, "markevery": [0], "markerfacecolor": color if clear else "white"}
    at = [row["crossover"]] * 2
    axes.plot(at, [0, lowest], color=color, linestyle="-" if clear else ":", linewidth=0.9, zorder=3, **mark)
