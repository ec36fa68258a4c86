"""Figures: pure functions from summaries to matplotlib figures, readable in grey and at column width."""

from itertools import cycle

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

COLUMN_WIDTH_IN = 3.4  # one column of a two-column page

# Told apart by marker and dash as well as by colour and by lightness, so that a grey print loses nothing.
STYLES = [
    {"color": "#08306b", "marker": "o", "linestyle": "-"},
    {"color": "#d9731a", "marker": "s", "linestyle": "--"},
    {"color": "#1b7f4b", "marker": "^", "linestyle": "-."},
    {"color": "#7a7a7a", "marker": "D", "linestyle": ":"},
    {"color": "#8e4ec6", "marker": "v", "linestyle": (0, (5, 1, 1, 1, 1, 1))},
    {"color": "#b3243b", "marker": "P", "linestyle": (0, (8, 2))},
    {"color": "#2f8fbf", "marker": "X", "linestyle": (0, (2, 1))},
]
LAYOUT = {
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.handlelength": 2.8,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,  # text stays text
    "svg.hashsalt": "compute-aligned",
}


def difference_figure(summary: pd.DataFrame, title: str) -> Figure:
    """Metric at k minus the baseline's, in points, over k on a log axis, with 95 % bands (paper Figures 1, 2).

    Hollow markers are the paper's differences, where it reports them.

    Args:
        summary: a ``summary`` artifact.
        title: what was run.
    """
    metric = {"pass": "Pass", "maj": "Maj"}[summary["metric"].iloc[0]]
    baseline = summary.loc[summary["objective"] == summary["baseline"], "label"].iloc[0]
    with plt.rc_context(LAYOUT):
        figure, axes = plt.subplots(figsize=(COLUMN_WIDTH_IN, 2.7), layout="constrained")
        axes.axhline(0, color="black", linewidth=0.8)
        others = summary[summary["objective"] != summary["baseline"]]
        for (label, rows), style in zip(others.groupby("label", sort=False), cycle(STYLES), strict=False):
            axes.plot(rows["k"], 100 * rows["difference"], label=label, **style)
            low, high = 100 * rows["difference_low"], 100 * rows["difference_high"]
            axes.fill_between(rows["k"], low, high, color=style["color"], alpha=0.12, linewidth=0)
            # Edges in the line's own dashes: overlapping bands stay apart in grey.
            for edge in (low, high):
                axes.plot(rows["k"], edge, color=style["color"], linestyle=style["linestyle"], linewidth=0.5, alpha=0.7)
            axes.plot(
                rows["k"],
                100 * rows["reported_difference"],
                color=style["color"],
                marker=style["marker"],
                markerfacecolor="white",
                linestyle="none",
                markersize=3,
                markeredgewidth=0.7,
            )
        axes.plot([], [], color="black", marker="o", markerfacecolor="white", linestyle="none", label="paper's values")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(sorted(set(summary["k"]))))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.set_xlabel("samples k")
        axes.set_ylabel(f"{metric}@k minus {baseline} (points)")
        axes.set_title(title, loc="left", wrap=True)
        axes.legend(loc="best")
    return figure


FIGURES = {"difference": difference_figure}
