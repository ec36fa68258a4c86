"""Figures: pure functions from artifacts to matplotlib figures, readable in grey and at column width."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from .artifacts import whole
from .captions import METRIC_NAMES, baseline_label

COLUMN_WIDTH_IN = 3.4  # one column of a two-column page
PNG_DPI = 300

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


def save_figure(figure: Figure, path_to_pdf: str | Path, path_to_png: str | Path) -> None:
    """Write a figure as PDF and PNG, the same bytes each time."""
    with whole(path_to_pdf) as path:
        figure.savefig(path, format="pdf", metadata={"CreationDate": None})
    with whole(path_to_png) as path:
        figure.savefig(path, format="png", dpi=PNG_DPI)


def difference_figure(summary: pd.DataFrame, title: str) -> Figure:
    """Metric at k minus the baseline's, in points, over k on a log axis, with 95 % bands (paper Figures 1, 2, 18).

    Hollow markers are the paper's differences, where it reports them. Objectives that the paper does not have are left
    to the table.

    Args:
        summary: a ``summary`` artifact.
        title: what was run.
    """
    metric = METRIC_NAMES[summary["metric"].iloc[0]]
    baseline = baseline_label(summary)
    with plt.rc_context(LAYOUT):
        figure, axes = plt.subplots(figsize=(COLUMN_WIDTH_IN, 2.7), layout="constrained")
        axes.axhline(0, color="black", linewidth=0.8)
        others = summary[(summary["objective"] != summary["baseline"]) & ~summary["beyond_paper"]]
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


# --- weights over p --------------------------------------------------------------------------------------------------

WEIGHT_NAMES = {"sft": "SFT weight w = p S′(p) / S(p)", "rl": "RL weight S′(p)"}
LOG_FLOOR = 0.01  # where a logarithmic axis of weights ends


def weights_figure(curves: pd.DataFrame, title: str, form: str, strategies: Sequence[str], scale: str) -> Figure:
    """Weights of strategies over p, a curve each (paper Figures 11 to 16).

    Args:
        curves: a ``curves`` artifact.
        title: what the figure shows.
        form: ``sft`` or ``rl``.
        strategies: names of the strategies, in the order of the legend.
        scale: ``linear`` or ``log``, of the weight's axis.
    """
    quantile = form == "rl" and all(name.startswith("best_of") for name in strategies)
    shown = {name: _curve(curves, name, form) for name in strategies}
    highest = max(rows["weight"].max() for rows in shown.values())
    with plt.rc_context(LAYOUT):
        figure, axes = plt.subplots(figsize=(COLUMN_WIDTH_IN, 2.8), layout="constrained")
        for rows, style in zip(shown.values(), cycle(STYLES), strict=False):
            axes.plot(rows["p"], rows["weight"], label=rows["label"].iloc[0], markevery=0.15, **style)
        axes.set_yscale(scale)
        axes.set_ylim((LOG_FLOOR, 1.5 * highest) if scale == "log" else (0, 1.05 * highest))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_xlim(0, 1)
        axes.set_xlabel("quantile q of the sample's reward" if quantile else "chance p that one sample is right")
        axes.set_ylabel("RL weight N q$^{N-1}$" if quantile else WEIGHT_NAMES[form])
        axes.set_title(title, loc="left", wrap=True)
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def waste_figure(
    curves: pd.DataFrame, alignment: pd.DataFrame, title: str, train: str, strategies: Sequence[str]
) -> Figure:
    """Per strategy a panel: its SFT weight, the training weight, and where the first is negligible (paper Figure 17).

    Args:
        curves: a ``curves`` artifact.
        alignment: the ``alignment`` artifact of the same experiment.
        title: what the figure shows.
        train: name of the strategy trained on.
        strategies: names of the strategies tested with, a panel each.
    """
    with plt.rc_context(LAYOUT):
        figure, panels = plt.subplots(
            1, len(strategies), figsize=(COLUMN_WIDTH_IN, 2.8), layout="constrained", squeeze=False
        )
        for name, axes in zip(strategies, panels[0], strict=True):
            pair = alignment[(alignment["train"] == train) & (alignment["test"] == name)].iloc[0]
            trained, tested = _curve(curves, train, "sft"), _curve(curves, name, "sft")
            waste = trained[(trained["p"] >= pair["test_negligible_from"]) & (trained["weight"] >= pair["negligible"])]
            axes.fill_between(waste["p"], waste["weight"], color="#cccccc", linewidth=0, label="waste")
            label = f"trained: {pair['train_label']}"
            axes.plot(trained["p"], trained["weight"], label=label, **STYLES[0] | {"marker": ""})
            axes.plot(tested["p"], tested["weight"], label="tested", **STYLES[1] | {"marker": ""})
            axes.set_xlim(0, 1)
            axes.set_ylim(bottom=0)
            axes.set_xlabel("chance p of a right sample", fontsize=7)
            facts = f"waste {100 * pair['wasted_share']:.0f} %, A = {pair['alignment']:.2f}"
            axes.set_title(f"tested with {pair['test_label']}\n{facts}", loc="left")
        panels[0][0].set_ylabel(WEIGHT_NAMES["sft"])
        terms = f"Waste: test weight below {pair['negligible']:g}; A: cosine of the two weights."
        figure.suptitle(f"{title} {terms}", x=0.02, ha="left", fontsize=LAYOUT["axes.titlesize"], wrap=True)
        figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3, handlelength=2)
    return figure


def _curve(curves: pd.DataFrame, strategy: str, form: str) -> pd.DataFrame:
    return curves[(curves["strategy"] == strategy) & (curves["form"] == form)]
