"""Rewards of protein sequences."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...tasks import protein
from .. import numbers
from ..wording import counted, sentences
from .style import LAYOUT, SHADE, STYLES, of_runs, panels, styles_of

KERNEL_SD = 0.02  # of the density's Gaussian kernel, in units of h; one residue of 64 is 0.016


SYNTHETIC = "The reward is a synthetic function of h and has no biological meaning."


def hydrophobicity(
    protein_scores: Sequence[pd.DataFrame], runs: Sequence[dict], baseline: str, title: str, preset: str, split: str
) -> tuple[Figure, str]:
    """Densities of all seeds together (paper Figure 5), and their caption."""
    scores = of_runs(protein_scores, runs)
    said = (
        f"Where the samples lie between the trap (h = {protein.TRAP}, a low peak of the reward) and the jackpot "
        f"(h = {protein.JACKPOT}, a high one): density of the hydrophobic fraction h of the valid samples."
    )
    shown = _what_is_shown(scores, preset, split)
    return hydrophobicity_figure(scores, baseline), sentences(title, said, SYNTHETIC, shown)


def inversion(
    protein_scores: Sequence[pd.DataFrame], runs: Sequence[dict], title: str, preset: str, split: str
) -> tuple[Figure, str]:
    """Input against output of the first seed (paper Figure 6), and its caption."""
    scores = of_runs(protein_scores, runs)
    scores = scores[scores["seed"] == scores["seed"].iloc[0]]
    said = (
        "Hydrophobic fraction h of the input against that of the output, first sample of each prompt. The reward wants "
        "y = 1 − x. r: correlation; n: valid samples."
    )
    return inversion_figure(scores), sentences(title, said, SYNTHETIC, _what_is_shown(scores, preset, split))


def _what_is_shown(scores: pd.DataFrame, preset: str, split: str) -> str:
    seeds, n_problems = scores["seed"].unique(), scores["problem_id"].nunique()
    of_seeds = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds together"
    prompts = "one prompt" if n_problems == 1 else counted(n_problems, f"{split} prompt")
    n_samples = scores["sample"].nunique()
    return f"Preset {preset}: {of_seeds}, {prompts}, pools of {n_samples} samples."


def hydrophobicity_figure(scores: pd.DataFrame, baseline: str) -> Figure:
    """Density of the hydrophobic fraction of the samples, a curve per model.

    Over the valid samples, whose share stands in the legend. The kernel is the same for all models, so that a model
    whose samples all agree is drawn too.

    Args:
        scores: ``protein_scores`` artifacts of the unconditional task, one below the other, and a column ``label``,
            the model's name; models are drawn in the order in which they occur.
        baseline: label of the arm that the others are compared with, which is black.
    """
    grid = np.linspace(0, 1, 501)
    with plt.rc_context(LAYOUT):
        figure, ((axes,),) = panels(2.4)
        axes.axvspan(*protein.VALLEY, color=SHADE, linewidth=0)
        highest = 0.0
        styles = styles_of(scores["label"], baseline)
        for label, rows in scores.groupby("label", sort=False):
            style = styles[label]
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
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def inversion_figure(scores: pd.DataFrame) -> Figure:
    """Input against output hydrophobic fraction, first sample of each prompt, a panel per model.

    Above each panel stand the correlation and the number of valid first samples, which are the points.

    Args:
        scores: ``protein_scores`` artifacts of the conditional task, one below the other, and a column ``label``,
            the model's name; panels stand in the order in which models occur.
    """
    first = scores[scores["sample"] == 0]
    models = list(first.groupby("label", sort=False))
    n_rows = -(-len(models) // 2)
    with plt.rc_context(LAYOUT):
        figure, places = panels(0.4 + 1.75 * n_rows, n_rows, min(2, len(models)), sharex=True, sharey=True)
        for (label, rows), axes in zip(models, places.flat, strict=False):
            valid = rows.dropna(subset=["hydrophobic_fraction"])
            x, y = valid["input_fraction"].astype(float), valid["hydrophobic_fraction"].astype(float)
            varies = x.nunique() > 1 and y.nunique() > 1
            correlation = "r undefined"
            if varies:
                r = numbers.number(np.corrcoef(x, y)[0, 1], "correlation")
                correlation = f"r = {numbers.typographic(r)}"
            axes.plot([0, 1], [1, 0], color="black", linestyle="--", linewidth=0.9, label="y = 1 − x")
            axes.plot(
                x,
                y,
                linestyle="none",
                marker="o",
                markersize=2.6,
                markerfacecolor="none",
                markeredgecolor=STYLES[1]["color"],
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
        for axes in places.flat[len(models) :]:
            axes.remove()
        figure.legend(*places[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
