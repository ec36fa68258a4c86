"""Weights in closed form over p, and what one strategy's training wastes for another."""

from collections.abc import Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from .style import COLUMN_WIDTH_IN, LAYOUT, STYLES

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
