"""Metrics over the test budget k, and pass rates."""

from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from ...units import DIFFERENCE_UNITS, METRIC_NAMES, SCALES, UNITS
from ..wording import baseline_label
from .style import COLUMN_WIDTH_IN, LAYOUT, STYLES, over_seeds


def difference_figure(summary: pd.DataFrame, title: str) -> Figure:
    """Metric at k minus the baseline's, in points, over k on a log axis, with 95 % bands (paper Figures 1, 2, 18).

    Hollow markers are the paper's differences, where it reports them. Objectives that the paper does not have are left
    to the table.

    Args:
        summary: a ``summary`` artifact.
        title: what was run.
    """
    metric = summary["metric"].iloc[0]
    scale = SCALES[metric]
    baseline = baseline_label(summary)
    with plt.rc_context(LAYOUT):
        figure, axes = plt.subplots(figsize=(COLUMN_WIDTH_IN, 2.9), layout="constrained")
        axes.axhline(0, color="black", linewidth=0.8)
        summary = summary[summary["metric"] == metric]
        others = summary[(summary["objective"] != summary["baseline"]) & ~summary["beyond_paper"]]
        for (label, rows), style in zip(others.groupby("label", sort=False), cycle(STYLES), strict=False):
            columns = ("difference", "difference_low", "difference_high", "reported_difference")
            _budget_curve(axes, rows["k"], *(scale * rows[column] for column in columns), label, style)
        axes.plot([], [], color="black", marker="o", markerfacecolor="white", linestyle="none", label="paper's values")
        _budget_axis(axes, summary["k"])
        axes.set_ylabel(f"{METRIC_NAMES[metric]}@k minus {baseline} ({DIFFERENCE_UNITS[metric]})")
        axes.set_title(title, loc="left", wrap=True)
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def values_figure(summary: pd.DataFrame, title: str) -> Figure:
    """The metric over k on a log axis, with 95 % bands (paper Figures 7, 8, 19, 20).

    Hollow markers are the paper's values, where it reports them.

    Args:
        summary: a ``summary`` artifact.
        title: what was run.
    """
    metric = summary["metric"].iloc[0]
    scale = SCALES[metric]
    with plt.rc_context(LAYOUT):
        figure, axes = plt.subplots(figsize=(COLUMN_WIDTH_IN, 3.0), layout="constrained")
        for (label, rows), style in zip(summary.groupby("label", sort=False), cycle(STYLES), strict=False):
            columns = ("value", "low", "high", "reported")
            _budget_curve(axes, rows["k"], *(scale * rows[column] for column in columns), label, style)
        if summary["reported"].notna().any():
            axes.plot(
                [], [], color="black", marker="o", markerfacecolor="white", linestyle="none", label="paper's values"
            )
        _budget_axis(axes, summary["k"])
        axes.set_ylabel("expected maximum reward" if metric == "bon" else f"{METRIC_NAMES[metric]}@k ({UNITS[metric]})")
        axes.set_title(title, loc="left", wrap=True)
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def _budget_curve(axes, k, value, low, high, reported, label: str, style: dict) -> None:
    """A curve over the test budgets k with its band, and the paper's values as hollow markers."""
    axes.plot(k, value, label=label, **style)
    axes.fill_between(k, low, high, color=style["color"], alpha=0.12, linewidth=0)
    # Edges in the line's own dashes: overlapping bands stay apart in grey.
    for edge in (low, high):
        axes.plot(k, edge, color=style["color"], linestyle=style["linestyle"], linewidth=0.5, alpha=0.7)
    axes.plot(
        k,
        reported,
        color=style["color"],
        marker=style["marker"],
        markerfacecolor="white",
        linestyle="none",
        markersize=3,
        markeredgewidth=0.7,
    )


def _budget_axis(axes, k) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(k))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set_xlabel("samples k")


def pass_rate_figure(pass_rates: pd.DataFrame, title: str) -> Figure:
    """Share of the problems whose pass rate is above x, a curve per objective: mean over seeds, lowest to highest seed.

    The axis of x is logarithmic, since few problems of a hard task have a high pass rate; x = 0 has a place before 1/m.

    Args:
        pass_rates: a ``pass_rates`` artifact.
        title: what was run.
    """
    m = int(pass_rates["n_samples"].max())
    with plt.rc_context(LAYOUT):
        figure, axes = plt.subplots(figsize=(COLUMN_WIDTH_IN, 3.3), layout="constrained")
        curves = list(pass_rates.groupby("label", sort=False))
        for place, ((label, rows), style) in enumerate(zip(curves, cycle(STYLES), strict=False)):
            shares = 100 * rows.pivot(index="n_correct", columns="seed", values="share")
            # The pass rate is above c/m for the whole step from c/m to (c+1)/m.
            edges = np.append(shares.index, m) / m
            edges[0] = 0.5 / m
            mean, lowest, highest = (np.append(line, line.iloc[-1]) for line in over_seeds(shares))
            axes.fill_between(edges, lowest, highest, step="post", color=style["color"], alpha=0.08, linewidth=0)
            axes.step(edges, mean, where="post", **style | {"marker": "", "linewidth": 1})
            # Markers in the middle of steps, at other steps for each curve, so that they do not lie on each other.
            steps = np.unique(np.geomspace(1, m, 3 * len(curves)).astype(int) - 1)[place :: len(curves)]
            middles = np.sqrt(edges[:-1] * edges[1:])
            axes.plot(middles[steps], mean[steps], **style | {"linestyle": "none"})
            axes.plot([], [], label=label, **style)
        axes.set_xscale("log", base=2)
        axes.set_xlim(0.5 / m, 1)
        powers = [2.0**-power for power in range(0, 20, 2) if 2.0**-power * m >= 1]
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks([0.5 / m, *powers], ["0", *(f"1/{round(1 / power)}" if power < 1 else "1" for power in powers)])
        axes.set_ylim(bottom=0)
        axes.set_xlabel("pass rate x of a problem: right samples over all")
        axes.set_ylabel("problems with a pass rate above x (%)")
        axes.set_title(title, loc="left", wrap=True)
        figure.legend(loc="outside lower center", ncols=3)
    return figure
