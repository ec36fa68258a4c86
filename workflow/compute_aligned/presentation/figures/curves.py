"""Metrics over the test budget k, and pass rates."""

from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from ...units import DIFFERENCE_UNITS, METRIC_NAMES, UNITS
from ..rows import long_rows
from ..wording import against_the_paper, bands_of_seeds, baseline_label, counted, sentences, what_was_run
from .style import BASELINE, LAYOUT, STYLES, over_seeds, panels


def difference(summary: pd.DataFrame, title: str, preset: str, split: str) -> tuple[Figure, str]:
    """Metric minus the baseline's (paper Figures 1, 2, 18), and its caption."""
    said = (
        "The metric at each test budget k minus the baseline's, paired by problem and seed. Bands: 95 % intervals. "
        "Hollow markers: the paper's differences, where its values give them."
    )
    if summary["beyond_paper"].any():
        said += " Objectives that the paper does not have are in the table alone."
    return difference_figure(summary), sentences(title, said, *_what_is_shown(summary, preset, split))


def values(summary: pd.DataFrame, title: str, preset: str, split: str) -> tuple[Figure, str]:
    """The metric itself (paper Figures 7, 8, 19, 20), and its caption."""
    said = (
        "The metric at each test budget k. Bands: 95 % intervals, of each curve by itself: paired differences are "
        "sharper. Hollow markers: the paper's values, where it prints them."
    )
    return values_figure(summary), sentences(title, said, *_what_is_shown(summary, preset, split))


def pass_rates(pass_rates: pd.DataFrame, title: str, preset: str, split: str) -> tuple[Figure, str]:
    """Shares of the problems over their pass rate, and their caption."""
    row, n_seeds = pass_rates.iloc[0], pass_rates["seed"].nunique()
    said = (
        "Share of the problems whose pass rate, right samples over all samples of the pool, is above x; exact counts. "
        "At x = 0 it is the share that is solved at all. An objective for many samples lifts the left end, "
        "cross-entropy the right one."
    )
    problems = counted(row["n_problems"], f"{split} problem")
    run = f"Preset {preset}: {problems}, pools of {row['n_samples']} samples; {bands_of_seeds(n_seeds)}."
    return pass_rate_figure(pass_rates), sentences(title, said, run)


def _what_is_shown(summary: pd.DataFrame, preset: str, split: str) -> tuple[str, str]:
    return what_was_run(summary, preset, split), against_the_paper(_own_metric(summary))


def _own_metric(summary: pd.DataFrame) -> pd.DataFrame:
    """What is drawn: the experiment's own metric. A table may show one more."""
    return summary[summary["metric"] == summary["metric"].iloc[0]]


def difference_figure(summary: pd.DataFrame) -> Figure:
    """Metric at k minus the baseline's, in points, over k on a log axis, with 95 % bands.

    Hollow markers are the paper's differences, where it reports them. Objectives that the paper does not have are left
    to the table.

    Args:
        summary: a ``summary`` artifact.
    """
    rows, metric, baseline = long_rows(_own_metric(summary)), summary["metric"].iloc[0], baseline_label(summary)
    columns = ("difference", "difference_low", "difference_high", "reported_difference")
    with plt.rc_context(LAYOUT):
        figure, ((axes,),) = panels(2.4)
        axes.axhline(0, linewidth=0.8, **BASELINE)
        others = rows[(rows["arm"] != rows["baseline"]) & ~rows["beyond_paper"]]
        for (label, curve), style in zip(others.groupby("label", sort=False), cycle(STYLES), strict=False):
            _budget_curve(axes, *(curve[column].to_numpy(dtype=float) for column in ("k", *columns)), label, style)
        _papers_marker(axes)
        _budget_axis(axes, rows["k"])
        axes.set_ylabel(f"{METRIC_NAMES[metric]}@k minus {baseline} ({DIFFERENCE_UNITS[metric]})")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def values_figure(summary: pd.DataFrame) -> Figure:
    """The metric over k on a log axis, with 95 % bands.

    Hollow markers are the paper's values, where it reports them.

    Args:
        summary: a ``summary`` artifact.
    """
    rows, metric = long_rows(_own_metric(summary)), summary["metric"].iloc[0]
    with plt.rc_context(LAYOUT):
        figure, ((axes,),) = panels(2.5)
        for (label, curve), style in zip(rows.groupby("label", sort=False), cycle(STYLES), strict=False):
            columns = ("k", "value", "low", "high", "reported")
            _budget_curve(axes, *(curve[column].to_numpy(dtype=float) for column in columns), label, style)
        if rows["reported"].notna().any():
            _papers_marker(axes)
        _budget_axis(axes, rows["k"])
        axes.set_ylabel("expected maximum reward" if metric == "bon" else f"{METRIC_NAMES[metric]}@k ({UNITS[metric]})")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def _papers_marker(axes) -> None:
    """An entry of the legend for all hollow markers."""
    axes.plot([], [], color="black", marker="o", markerfacecolor="white", linestyle="none", label="paper's values")


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


def pass_rate_figure(pass_rates: pd.DataFrame) -> Figure:
    """Share of the problems whose pass rate is above x, a curve per objective: mean over seeds, lowest to highest seed.

    The axis of x is logarithmic, since few problems of a hard task have a high pass rate; x = 0 has a place before 1/m.

    Args:
        pass_rates: a ``pass_rates`` artifact.
    """
    m = int(pass_rates["n_samples"].max())
    with plt.rc_context(LAYOUT):
        figure, ((axes,),) = panels(2.7)
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
        axes.set_ylabel("problems above x (%)")
        figure.legend(loc="outside lower center", ncols=3)
    return figure
