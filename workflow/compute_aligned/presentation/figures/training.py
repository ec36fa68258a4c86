"""Reinforcement learning over its steps."""

from itertools import cycle

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import COLUMN_WIDTH_IN, LAYOUT, STYLES, over_seeds

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
                mean, lowest, highest = over_seeds(values)
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
