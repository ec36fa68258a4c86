"""Reinforcement learning over its steps."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ...tasks.protein import JACKPOT_ZONE
from ..wording import bands_of_seeds, sentences
from .style import LAYOUT, of_runs, over_seeds, panels, styles_of

# What a panel shows: a column of the training record, the factor of its axis, and what the axis says.
TRAINING_PANELS = {
    "reward": (1, "mean reward"),
    "jackpot_share": (100, "jackpots\n(% of samples)"),
    "kl": (1, "KL to the start\n(nats per token)"),
    "entropy": (1, "entropy\n(nats per token)"),
}


def training(
    rl_training: Sequence[pd.DataFrame],
    runs: Sequence[dict],
    reward: str,
    baseline: str,
    title: str,
    preset: str,
) -> tuple[Figure, str]:
    """How a training went over its steps, and its caption.

    Args:
        rl_training: the record of each run.
        runs: ``label`` and ``seed`` of each.
        reward: what the recipes reward: ``answer``, ``hydrophobicity`` or ``inversion``.
        baseline: see ``training_figure``.
        title: what is compared.
        preset: name of the preset.
    """
    records = of_runs(rl_training, runs)
    said = [
        "The training, over its optimiser steps: what a step's own completions got, before its update. KL, shown where "
        "the loss has a KL term, says how far the model had moved from its start. Nothing is smoothed."
    ]
    if reward == "answer":
        said.append("The mean reward is the share of right completions; the problems change from step to step.")
    else:
        said.append("The reward is a synthetic function of the hydrophobic fraction h and has no biological meaning.")
    if reward == "hydrophobicity":
        said.append("Jackpots: valid completions with h from {} to {}.".format(*JACKPOT_ZONE))
    run = f"Preset {preset}, in training: {bands_of_seeds(records['seed'].nunique())}."
    return training_figure(records, baseline), sentences(title, *said, run)


def training_figure(records: pd.DataFrame, baseline: str) -> Figure:
    """Reward, jackpots, KL and entropy over the optimiser steps, a curve per model: mean over seeds, lowest to highest.

    A panel stands where the runs record its number. Entropy, which the others do without, takes a place that is free.

    Args:
        records: ``rl_training`` artifacts, one below the other, and two columns more: ``label``, the model's name, and
            ``seed``; models are drawn in the order in which they occur.
        baseline: label of the arm that the others are compared with, which is black.
    """
    shown = [column for column in TRAINING_PANELS if records[column].notna().any()]
    if len(shown) % 2:
        shown.remove("entropy")
    n_columns = min(2, len(shown))
    n_rows = len(shown) // n_columns
    with plt.rc_context(LAYOUT):
        figure, places = panels(0.5 + 1.2 * n_rows, n_rows, n_columns, sharex=True)
        models = list(records.groupby("label", sort=False))
        styles = styles_of(records["label"], baseline)
        for place, (label, rows) in enumerate(models):
            style = styles[label]
            for column, axes in zip(shown, places.flat, strict=True):
                values = TRAINING_PANELS[column][0] * rows.pivot(index="step", columns="seed", values=column)
                mean, lowest, highest = over_seeds(values)
                axes.fill_between(values.index, lowest, highest, color=style["color"], alpha=0.15, linewidth=0)
                # Markers at other steps for each curve, so that they do not lie on each other.
                spacing = max(len(models), len(values) // 4)
                marked = (place * spacing // len(models), spacing)
                axes.plot(values.index, mean, label=label, markevery=marked, **style | {"linewidth": 1})
        for column, axes in zip(shown, places.flat, strict=True):
            axes.set_ylabel(TRAINING_PANELS[column][1])
            axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
            if column in ("jackpot_share", "kl"):
                axes.set_ylim(bottom=0)
        for axes in places[-1]:
            axes.set_xlabel("optimiser step")
        figure.legend(*places[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
