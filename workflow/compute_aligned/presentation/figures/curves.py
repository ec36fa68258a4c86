"""Metrics over the test budget k, and pass rates."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from ...units import DIFFERENCE_UNITS, METRIC_NAMES, UNITS
from .. import numbers
from ..rows import long_rows
from ..wording import against_the_paper, bands_of_seeds, baseline_label, counted, sentences, what_was_run
from .style import BASELINE, LAYOUT, over_seeds, panels, styles_of

LONGEST_NAME = 26  # characters of an axis' name in one line
FURTHEST = 4  # times as long as for ours alone may the paper's differences make an axis


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
    """The metric itself and, below, minus the baseline's (paper Figures 7, 8, 19, 20), and their caption."""
    said = (
        "Above, the metric at each test budget k, shaded the baseline's 95 % interval. Below, the metric minus the "
        "baseline's, paired by problem and seed, with 95 % intervals; hollow markers: the paper's differences, where "
        "its values give them."
    )
    return values_figure(summary), sentences(title, said, *_what_is_shown(summary, preset, split))


def pass_rates(pass_rates: pd.DataFrame, baseline: str, title: str, preset: str, split: str) -> tuple[Figure, str]:
    """Shares of the problems over their pass rate, and their caption."""
    row, n_seeds = pass_rates.iloc[0], pass_rates["seed"].nunique()
    said = (
        f"Above, the share of the problems whose pass rate (right samples over all of the pool) is above x after "
        f"{baseline}; at x = 0 it is the share solved at all. Below, how many points more or fewer they are after the "
        "others, paired by seed: an objective for many samples adds problems at the left end and loses them at the "
        "right one. Exact counts."
    )
    problems = counted(row["n_problems"], f"{split} problem")
    run = f"Preset {preset}: {problems}, pools of {row['n_samples']} samples; {bands_of_seeds(n_seeds)}."
    return pass_rate_figure(pass_rates, baseline), sentences(title, said, run)


def _what_is_shown(summary: pd.DataFrame, preset: str, split: str) -> tuple[str, str]:
    return what_was_run(summary, preset, split), against_the_paper(_drawn(summary))


def _drawn(summary: pd.DataFrame) -> pd.DataFrame:
    """What is drawn: the experiment's own metric, of the paper's arms. A table may show more."""
    return summary[(summary["metric"] == summary["metric"].iloc[0]) & ~summary["beyond_paper"]]


def difference_figure(summary: pd.DataFrame) -> Figure:
    """Metric at k minus the baseline's, in points, over k on a log axis, with 95 % bands.

    Hollow markers are the paper's differences, where it reports them. Objectives that the paper does not have are left
    to the table.

    Args:
        summary: a ``summary`` artifact.
    """
    with plt.rc_context(LAYOUT):
        figure, ((axes,),) = panels(2.4)
        _differences(axes, summary)
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def values_figure(summary: pd.DataFrame) -> Figure:
    """The metric over k on a log axis, with the baseline's 95 % band; below, as ``difference_figure``.

    The paper's values, whose models are others, would leave little of the axis to ours: its differences are shown.

    Args:
        summary: a ``summary`` artifact.
    """
    rows, metric, baseline = long_rows(_drawn(summary)), summary["metric"].iloc[0], baseline_label(summary)
    styles = styles_of(rows["label"], baseline)
    with plt.rc_context(LAYOUT):
        figure, ((above,), (below,)) = panels(4.2, 2, sharex=True)
        for label, curve in rows.groupby("label", sort=False):
            if label == baseline:
                low, high = (curve[column].to_numpy(dtype=float) for column in ("low", "high"))
                above.fill_between(curve["k"], low, high, color="black", alpha=0.12, linewidth=0)
            above.plot(curve["k"], curve["value"], label=label, **styles[label])
        name = "expected maximum reward" if metric == "bon" else f"{METRIC_NAMES[metric]}@k ({UNITS[metric]})"
        above.set_ylabel(name)
        _differences(below, summary)
        below.set_ylabel(f"minus {baseline} ({DIFFERENCE_UNITS[metric]})")
        handles = dict(zip(*reversed(above.get_legend_handles_labels()), strict=True))
        handles |= dict(zip(*reversed(below.get_legend_handles_labels()), strict=True))
        figure.align_ylabels()
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=2)
    return figure


def _differences(axes, summary: pd.DataFrame) -> None:
    """A panel of differences from the baseline, which is the line at 0."""
    rows, metric, baseline = long_rows(_drawn(summary)), summary["metric"].iloc[0], baseline_label(summary)
    axes.axhline(0, linewidth=0.8, **BASELINE)
    others = rows[rows["arm"] != rows["baseline"]]
    styles = styles_of(others["label"])
    papers, in_legend = others["reported_difference"], {"label": "paper's values", "marker": "o"}
    if off_the_axis := _far_from(others, papers):
        low, high = (numbers.typographic(numbers.number(end, DIFFERENCE_UNITS[metric], "+")) for end in off_the_axis)
        in_legend = {"label": f"paper: {low} to {high} (off the axis)"}
        others = others.assign(reported_difference=np.nan)
    columns = ("k", "difference", "difference_low", "difference_high", "reported_difference")
    for label, curve in others.groupby("label", sort=False):
        _budget_curve(axes, *(curve[column].to_numpy(dtype=float) for column in columns), label, styles[label])
    if papers.notna().any():
        axes.plot([], [], color="black", markerfacecolor="white", linestyle="none", **in_legend)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(rows["k"]))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set_xlabel("samples k")
    name, unit = f"{METRIC_NAMES[metric]}@k minus {baseline}", f"({DIFFERENCE_UNITS[metric]})"
    axes.set_ylabel(f"{name} {unit}" if len(name + unit) < LONGEST_NAME else f"{name}\n{unit}")


def _far_from(rows: pd.DataFrame, papers: pd.Series) -> tuple[float, float] | None:
    """Lowest and highest of the paper's differences where they would leave little of the axis to ours."""
    ours = [0.0, *rows[["difference", "difference_low", "difference_high"]].stack()]
    low, high = papers.min(), papers.max()
    both = max(*ours, high) - min(*ours, low)
    return (low, high) if both > FURTHEST * (max(ours) - min(ours)) > 0 else None


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


def pass_rate_figure(pass_rates: pd.DataFrame, baseline: str) -> Figure:
    """Share of the problems whose pass rate is above x: the baseline's; below, the others' minus it, a curve each.

    Mean over seeds, lowest to highest seed. The axis of x is logarithmic, since few problems of a hard task have a high
    pass rate; x = 0 has a place before 1/m.

    Args:
        pass_rates: a ``pass_rates`` artifact.
        baseline: label of the arm that differences are taken from.
    """
    m = int(pass_rates["n_samples"].max())
    shares = {
        label: 100 * rows.pivot(index="n_correct", columns="seed", values="share")
        for label, rows in pass_rates.groupby("label", sort=False)
    }
    styles = styles_of(shares, baseline)
    others = [label for label in shares if label != baseline]
    # The pass rate is above c/m for the whole step from c/m to (c+1)/m.
    edges = np.append(np.arange(m), m) / m
    edges[0] = 0.5 / m
    with plt.rc_context(LAYOUT):
        figure, ((above,), (below,)) = panels(4.1, 2, sharex=True, height_ratios=(2, 3))
        _steps(above, edges, shares[baseline], styles[baseline])
        above.plot([], [], label=baseline, **styles[baseline])
        above.set_ylim(bottom=0)
        above.set_ylabel(f"problems above x,\n{baseline} (%)")
        below.axhline(0, linewidth=0.8, **BASELINE)
        for place, label in enumerate(others):
            mean = _steps(below, edges, shares[label] - shares[baseline], styles[label])
            # Markers in the middle of steps, at other steps for each curve, so that they do not lie on each other.
            steps = np.unique(np.geomspace(1, m, 3 * len(others)).astype(int) - 1)[place :: len(others)]
            steps = steps[steps < 0.8 * m]  # beyond it all curves meet at 0
            middles = np.sqrt(edges[:-1] * edges[1:])
            below.plot(middles[steps], mean[steps], **styles[label] | {"linestyle": "none"})
            below.plot([], [], label=label, **styles[label])
        below.set_ylabel(f"minus {baseline} (points)")
        below.set_xscale("log", base=2)
        below.set_xlim(0.5 / m, 1)
        powers = [2.0**-power for power in range(0, 20, 2) if 2.0**-power * m >= 1]
        below.xaxis.set_minor_locator(NullLocator())
        below.set_xticks(
            [0.5 / m, *powers], ["0", *(f"1/{round(1 / power)}" if power < 1 else "1" for power in powers)]
        )
        below.set_xlabel("pass rate x of a problem: right samples over all")
        figure.align_ylabels()
        figure.legend(loc="outside lower center", ncols=4, handlelength=2)
    return figure


def _steps(axes, edges: np.ndarray, shares: pd.DataFrame, style: dict) -> np.ndarray:
    """A curve in steps with its band over the seeds; returns the curve."""
    mean, lowest, highest = (np.append(line, line.iloc[-1]) for line in over_seeds(shares))
    axes.fill_between(edges, lowest, highest, step="post", color=style["color"], alpha=0.15, linewidth=0)
    axes.step(edges, mean, where="post", **style | {"marker": "", "linewidth": 1})
    return mean
