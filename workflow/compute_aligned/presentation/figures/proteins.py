"""Rewards of protein sequences."""

from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...tasks import protein
from .style import COLUMN_WIDTH_IN, LAYOUT, STYLES

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
