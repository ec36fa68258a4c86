"""Figures: pure functions from artifacts to matplotlib figures, readable in grey and at column width."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from ..analysis.gains import beside_alignment, gains, rank_correlation
from ..provenance.artifacts import whole
from ..tasks import protein
from ..units import DIFFERENCE_UNITS, METRIC_NAMES, SCALES, UNITS
from .wording import baseline_label

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


# --- the diagonal approximation --------------------------------------------------------------------------------------

RHO_BINS = 15  # of the paper
RHO_TICKS = {10: [1, 1.2, 1.5, 2, 3, 4, 5, 7, 10], 1000: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]}  # by the axis' end
ALWAYS_SHOWN = 10  # rho up to here is never cut off
SHOWN_SHARE = 0.9  # beyond it the axis ends where this share of the problems does
SHORTEST_AXIS = 1.2
EXACT = 1e-9  # relative deviations below it are rounding


def rho_figure(ratios: pd.DataFrame, rho: pd.Series, title: str) -> Figure:
    """Histogram of rho over problems, with a density, lines at 1, median and mean (paper Figures 9, 10).

    rho has no upper bound, so its axis is logarithmic and ends before the few largest values, which are counted.

    Args:
        ratios: a figure's rows of a ``diagonal_ratios`` artifact.
        rho: its row of the ``diagonal_rho`` artifact.
        title: what the figure shows.
    """
    values = ratios["rho"].dropna().to_numpy()
    with plt.rc_context(LAYOUT):
        figure, axes = plt.subplots(figsize=(COLUMN_WIDTH_IN, 3.1), layout="constrained")
        axes.set_title(title, loc="left", wrap=True)
        axes.set_ylabel("problems" if rho["n_seeds"] == 1 else f"problems, {rho['n_seeds']} seeds together")
        meaning = "ρ: diagonal term over total derivative (log axis)"
        if not values.size:
            axes.set_xlabel(meaning)
            axes.text(0.5, 0.5, "ρ is undefined for every problem", ha="center", transform=axes.transAxes)
            axes.set_xticks([])
            axes.set_yticks([])
            return figure
        end = _end_of_axis(values)
        shown = np.log(values[values <= end])
        edges = np.linspace(0, np.log(end), RHO_BINS + 1)
        axes.hist(np.exp(shown), bins=np.exp(edges), color="#c8d3df", edgecolor="#6b7f94", linewidth=0.5)
        if (density := _density_above_zero(shown)) is not None:
            grid = np.linspace(0, np.log(end), 300)
            axes.plot(np.exp(grid), len(shown) * edges[1] * density(grid), color=STYLES[0]["color"], label="density")
        for value, name, color, linestyle in (
            (1, "ρ = 1", "black", "-"),
            (rho["median"], f"median {_short(rho['median'])}", STYLES[2]["color"], STYLES[2]["linestyle"]),
            (rho["mean"], f"mean {_short(rho['mean'])}", STYLES[1]["color"], STYLES[1]["linestyle"]),
            (rho["reported_mean"], f"paper's mean {rho['reported_mean']}", STYLES[3]["color"], STYLES[3]["linestyle"]),
        ):
            if value <= end:
                axes.axvline(value, color=color, linestyle=linestyle, linewidth=1.4, label=name)
            elif value > end:  # not where the paper reports none
                axes.plot([], [], color=color, linestyle=linestyle, label=f"{name} (off the axis)")
        axes.set_xscale("log")
        axes.set_xlim(1 / end**0.02, end)
        if fitting := [ticks for longest, ticks in RHO_TICKS.items() if end <= longest]:
            axes.xaxis.set_major_locator(FixedLocator(fitting[0]))
            axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        if beyond := len(values) - len(shown):
            meaning += f"\n{beyond} beyond {_short(end)}, the largest {_short(values.max())}"
        axes.set_xlabel(meaning)
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def what_was_diagnosed(rho: pd.Series, preset: str, split: str) -> str:
    """What the pools of a figure of rho are, how many have none, and what is known about its value."""
    seeds = "1 seed" if rho["n_seeds"] == 1 else f"{rho['n_seeds']} seeds"
    why = {"majority": "no right answer, or no other", "best_of_n": "all rewards the same"}[rho["strategy"]]
    parts = [
        f"Preset {preset}, {rho['recipe']} on {rho['objective']}: {seeds}, {rho['n_problems']} {split} problems, "
        f"pools of {rho['n_samples']}; ρ undefined for {rho['n_undefined']} of {rho['n_pools']} ({why})."
    ]
    if rho["power_deviation"] < EXACT:
        parts.append(f"Here ρ = (1−p)$^{{-{rho['n'] - 1}}}$, p the share of the pool with its best reward.")
    return " ".join(parts)


def _end_of_axis(values: np.ndarray) -> float:
    if values.max() <= ALWAYS_SHOWN:
        return max(1.05 * values.max(), SHORTEST_AXIS)
    return max(ALWAYS_SHOWN, float(np.quantile(values, SHOWN_SHARE)))


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 1e3 else f"{value:,.0f}" if value < 1e6 else f"{value:.1e}"


def _density_above_zero(values: np.ndarray):
    """Kernel density of values >= 0, mirrored at 0 so that none of it lies below; None where all are the same."""
    if len(np.unique(values)) < 2:
        return None
    from scipy.stats import gaussian_kde  # half a second, which the other figures do without

    kernel = gaussian_kde(values)
    return lambda x: kernel(x) + kernel(-x)


# --- protein rewards -------------------------------------------------------------------------------------------------

KERNEL_SD = 0.02  # of the density's Gaussian kernel, in units of h; one residue of 64 is 0.016


def hydrophobicity_figure(scores: pd.DataFrame, title: str) -> Figure:
    """Density of the hydrophobic fraction of the samples, a curve per model (paper Figure 5).

    Over the valid samples, whose share stands in the legend. The kernel is the same for all models, so that a model
    whose samples all agree is drawn too.

    Args:
        scores: ``protein_scores`` artifacts of the unconditional task, one below the other, and a column ``label``,
            the model's name; models are drawn in the order in which they occur.
        title: what was run.
    """
    grid = np.linspace(0, 1, 501)
    with plt.rc_context(LAYOUT):
        figure, axes = plt.subplots(figsize=(COLUMN_WIDTH_IN, 2.9), layout="constrained")
        axes.axvspan(*protein.VALLEY, color="#e4e4e4", linewidth=0)
        highest = 0.0
        for (label, rows), style in zip(scores.groupby("label", sort=False), cycle(STYLES), strict=False):
            fractions = rows["hydrophobic_fraction"].dropna().to_numpy(dtype=float)
            name = f"{label} ({100 * len(fractions) / len(rows):.0f} % valid)"
            if len(fractions) == 0:
                axes.plot([], [], label=name, **style)
                continue
            # Summed over the distinct fractions, which are few.
            values, counts = np.unique(fractions, return_counts=True)
            kernels = np.exp(-0.5 * ((grid[:, None] - values) / KERNEL_SD) ** 2) / (KERNEL_SD * np.sqrt(2 * np.pi))
            density = kernels @ counts / counts.sum()
            # Without the tails at 0, where the markers of all models would lie on each other.
            seen = np.flatnonzero(density > 1e-3 * density.max())
            shown = slice(seen[0], seen[-1] + 1)
            axes.plot(grid[shown], density[shown], label=name, markevery=0.15, **style)
            highest = max(highest, density.max())
        for position in (protein.TRAP, protein.JACKPOT):
            axes.axvline(position, ymax=0.92, color="black", linewidth=0.7, linestyle=(0, (1, 2)), zorder=0)
        middle = sum(protein.VALLEY) / 2
        for position, name in ((protein.TRAP, "trap"), (middle, "valley"), (protein.JACKPOT, "jackpot")):
            axes.annotate(name, (position, 0.99), xycoords=("data", "axes fraction"), ha="center", va="top")
        axes.set_ylim(0, 1.15 * highest or 1)  # room for the names above the curves
        axes.set_xlim(0, 1)
        axes.set_xlabel("hydrophobic fraction h of a sample")
        axes.set_ylabel("density of valid samples")
        axes.set_title(title, loc="left", wrap=True)
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def inversion_figure(scores: pd.DataFrame, title: str) -> Figure:
    """Input against output hydrophobic fraction, first sample of each prompt, a panel per model (paper Figure 6).

    Above each panel stand the correlation and the number of valid first samples, which are the points.

    Args:
        scores: ``protein_scores`` artifacts of the conditional task, one below the other, and a column ``label``,
            the model's name; panels stand in the order in which models occur.
        title: what was run.
    """
    first = scores[scores["sample"] == 0]
    models = list(first.groupby("label", sort=False))
    n_rows = -(-len(models) // 2)
    with plt.rc_context(LAYOUT):
        figure, panels = plt.subplots(
            n_rows,
            min(2, len(models)),
            figsize=(COLUMN_WIDTH_IN, 0.7 + 1.9 * n_rows),
            layout="constrained",
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for (label, rows), axes in zip(models, panels.flat, strict=False):
            valid = rows.dropna(subset=["hydrophobic_fraction"])
            x, y = valid["input_fraction"].astype(float), valid["hydrophobic_fraction"].astype(float)
            varies = x.nunique() > 1 and y.nunique() > 1
            correlation = f"r = {np.corrcoef(x, y)[0, 1]:.2f}".replace("-", "−") if varies else "r undefined"
            axes.plot([0, 1], [1, 0], color="black", linestyle="--", linewidth=0.9, label="y = 1 − x")
            axes.plot(
                x,
                y,
                linestyle="none",
                marker="o",
                markersize=2.6,
                markerfacecolor="none",
                markeredgecolor=STYLES[0]["color"],
                markeredgewidth=0.6,
                label="first sample of a prompt",
            )
            axes.set_xlim(-0.03, 1.03)
            axes.set_ylim(-0.03, 1.03)
            axes.set_aspect("equal")
            axes.set_xticks([0, 0.5, 1])
            axes.set_yticks([0, 0.5, 1])
            axes.set_title(f"{label}\n{correlation}, n = {len(valid)}", loc="left")
            axes.tick_params(labelbottom=True)  # below a panel there may be none
            axes.set_xlabel("h of the input")
            axes.set_ylabel("h of the output")
        for axes in panels.flat[len(models) :]:
            axes.remove()
        figure.suptitle(title, x=0.02, ha="left", fontsize=LAYOUT["axes.titlesize"], wrap=True)
        figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


# --- reinforcement learning over its steps (not in the paper) --------------------------------------------------------

# What a panel shows: a column of the training record, the factor of its axis, and what the axis says.
TRAINING_PANELS = {
    "reward": (1, "mean reward"),
    "jackpot_share": (100, "jackpots\n(% of samples)"),
    "kl": (1, "KL to the start\n(nats per token)"),
    "entropy": (1, "entropy\n(nats per token)"),
}


def training_figure(records: pd.DataFrame, title: str, in_black: str | None = None) -> Figure:
    """Reward, jackpots, KL and entropy over the optimiser steps, a curve per model: mean over seeds, lowest to highest.

    A panel stands where the runs record its number. Entropy, which the others do without, takes a place that is free.

    Args:
        records: ``rl_training`` artifacts, one below the other, and two columns more: ``label``, the model's name, and
            ``seed``; models are drawn in the order in which they occur.
        title: what was run.
        in_black: label of the baseline, where the experiment's other figures draw it as a black line at 0 and begin the
            palette with the next model.
    """
    shown = [column for column in TRAINING_PANELS if records[column].notna().any()]
    if len(shown) % 2:
        shown.remove("entropy")
    n_columns = min(2, len(shown))
    n_rows = len(shown) // n_columns
    with plt.rc_context(LAYOUT):
        figure, panels = plt.subplots(
            n_rows,
            n_columns,
            figsize=(COLUMN_WIDTH_IN, 0.9 + 1.3 * n_rows),
            layout="constrained",
            sharex=True,
            squeeze=False,
        )
        models = list(records.groupby("label", sort=False))
        styles = cycle(STYLES)
        for place, (label, rows) in enumerate(models):
            style = {"color": "black", "marker": "", "linestyle": "-"} if label == in_black else next(styles)
            for column, axes in zip(shown, panels.flat, strict=True):
                values = TRAINING_PANELS[column][0] * rows.pivot(index="step", columns="seed", values=column)
                mean, lowest, highest = _over_seeds(values)
                axes.fill_between(values.index, lowest, highest, color=style["color"], alpha=0.15, linewidth=0)
                # Markers at other steps for each curve, so that they do not lie on each other.
                spacing = max(len(models), len(values) // 4)
                marked = (place * spacing // len(models), spacing)
                axes.plot(values.index, mean, label=label, markevery=marked, **style | {"linewidth": 1})
        for column, axes in zip(shown, panels.flat, strict=True):
            axes.set_ylabel(TRAINING_PANELS[column][1])
            axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
            if column in ("jackpot_share", "kl"):
                axes.set_ylim(bottom=0)
        for axes in panels[-1]:
            axes.set_xlabel("optimiser step")
        figure.suptitle(title, x=0.02, ha="left", fontsize=LAYOUT["axes.titlesize"], wrap=True)
        figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


# --- budgets N and k (not in the paper) ------------------------------------------------------------------------------


def matrix_figure(summary: pd.DataFrame, title: str) -> Figure:
    """Gain over cross-entropy of every train budget N at every test budget k, in points; the best N per k in a box.

    The lightness says the gain, so that a grey print loses nothing; a star says that the 95 % interval excludes 0.

    Args:
        summary: a ``summary`` artifact of cross-entropy (N = 1) and Pass@N objectives.
        title: what was run.
    """
    frame = gains(summary)
    matrix = frame.pivot(index="n", columns="k", values="gain")
    with plt.rc_context(LAYOUT):
        figure, axes = plt.subplots(figsize=(COLUMN_WIDTH_IN, 3.3), layout="constrained")
        image = axes.imshow(matrix, cmap="cividis", origin="lower", aspect="auto")
        for row in frame.itertuples():
            x, y = matrix.columns.get_loc(row.k), matrix.index.get_loc(row.n)
            shade = image.norm(row.gain)
            text = "0" if row.n == 1 else f"{row.gain:+.1f}".replace("-", "−") + "*" * row.clear
            axes.text(x, y, text, ha="center", va="center", fontsize=6.5, color="white" if shade < 0.55 else "black")
            if row.best:
                box = {"fill": False, "linewidth": 1.6, "joinstyle": "miter"}
                axes.add_patch(plt.Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, edgecolor="white", **box))
                box["linewidth"] = 0.8
                axes.add_patch(plt.Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, edgecolor="black", **box))
        baseline = frame[frame["n"] == 1].set_index("k")["value"]
        axes.set_xticks(range(len(matrix.columns)), [f"{k}\n{baseline[k]:.0f} %" for k in matrix.columns])
        axes.set_yticks(range(len(matrix.index)), ["CE" if n == 1 else n for n in matrix.index])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("tested with k samples; below, Pass@k of CE")
        axes.set_ylabel("trained for N samples")
        colorbar = figure.colorbar(image, ax=axes, pad=0.02, aspect=30)
        colorbar.set_label("Pass@k minus CE (points)")
        colorbar.outline.set_visible(False)
        legend = "Box: best N for this k. *: the 95 % interval, not corrected for the number of cells, excludes 0."
        axes.set_title(f"{title} {legend}", loc="left", wrap=True)
    return figure


def alignment_figure(summary: pd.DataFrame, alignment: pd.DataFrame, title: str) -> Figure:
    """How much better a Pass@N weight is aligned with the test than cross-entropy's, beside what it gains.

    Args:
        summary: a ``summary`` artifact of cross-entropy (N = 1) and Pass@N objectives.
        alignment: an ``alignment`` artifact that holds every pair.
        title: what was run.
    """
    frame = beside_alignment(summary, alignment)
    trained = frame[frame["n"] > 1]
    with plt.rc_context(LAYOUT):
        figure, axes = plt.subplots(figsize=(COLUMN_WIDTH_IN, 3.2), layout="constrained")
        axes.axhline(0, color="black", linewidth=0.8)
        axes.axvline(0, color="black", linewidth=0.8)
        for (k, rows), style in zip(trained.groupby("k"), cycle(STYLES), strict=False):
            color = style["color"]
            axes.vlines(rows["alignment_gain"], rows["low"], rows["high"], color=color, linewidth=0.5, alpha=0.6)
            points = {"linestyle": "none", "markersize": 4, "markeredgewidth": 0.4, "markeredgecolor": "white"}
            axes.plot(rows["alignment_gain"], rows["gain"], label=f"k = {k}", **style | points)
        axes.set_xlabel("alignment A(N, k) minus that of CE, A(1, k)")
        axes.set_ylabel("Pass@k minus CE (points)")
        correlation = rank_correlation(frame)
        found = "undefined" if np.isnan(correlation) else f"{correlation:.2f}".replace("-", "−")
        budgets = f"N = {', '.join(str(n) for n in sorted(set(trained['n'])))}"
        axes.set_title(f"{title} A point per k and {budgets}; rank correlation {found}.", loc="left", wrap=True)
        figure.legend(loc="outside lower center", ncols=4, handlelength=1)
    return figure


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
            mean, lowest, highest = (np.append(line, line.iloc[-1]) for line in _over_seeds(shares))
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


def _over_seeds(values: pd.DataFrame) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Mean, lowest and highest value over the columns, which are seeds."""
    return values.mean(axis=1), values.min(axis=1), values.max(axis=1)


# how an experiment that compares runs is drawn from its summary
FIGURES = {"difference": difference_figure, "values": values_figure, "matrix": matrix_figure}
