"""Weights in closed form over p, and what one strategy's training wastes for another."""

import re
from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from .. import numbers
from ..wording import sentences
from .style import BASELINE, LAYOUT, SHADE, STYLES, panels, styles_of

WEIGHT_NAMES = {"sft": "SFT weight w = p S′(p) / S(p)", "rl": "RL weight S′(p)"}
LOG_FLOOR = 0.01  # where a logarithmic axis of weights ends


CLOSED_FORM = "Closed form: no model is trained or tested."


def weights(curves: pd.DataFrame, title: str, form: str, strategies: Sequence[str], scale: str) -> tuple[Figure, str]:
    """Weights of strategies over p (paper Figures 11 to 16), and their caption."""
    return weights_figure(curves, form, strategies, scale), sentences(CLOSED_FORM, title)


def waste(
    curves: pd.DataFrame, alignment: pd.DataFrame, title: str, train: str, strategies: Sequence[str]
) -> tuple[Figure, str]:
    """What one strategy's training wastes for others (paper Figure 17), and its caption."""
    pairs = alignment[(alignment["train"] == train) & alignment["test"].isin(strategies)]
    said = (
        f"Weights: trained for {pairs['train_label'].iloc[0]}, tested by {' or '.join(pairs['test_label'])}. Shaded: "
        f"training weight where the test weight is below {pairs['negligible'].iloc[0]:g}, and its share of all "
        "training weight. A: cosine of the two weights. p: chance that one sample is right."
    )
    return waste_figure(curves, alignment, train, strategies), sentences(CLOSED_FORM, title, said)


def weights_figure(curves: pd.DataFrame, form: str, strategies: Sequence[str], scale: str) -> Figure:
    """Weights of strategies over p, a curve each.

    Args:
        curves: a ``curves`` artifact.
        form: ``sft`` or ``rl``.
        strategies: names of the strategies, in the order of the legend.
        scale: ``linear`` or ``log``, of the weight's axis.
    """
    quantile = form == "rl" and all(name.startswith("best_of") for name in strategies)
    shown = {name: _curve(curves, name, form) for name in strategies}
    highest = max(rows["weight"].max() for rows in shown.values())
    with plt.rc_context(LAYOUT):
        figure, ((axes,),) = panels(2.4)
        labels = {name: rows["label"].iloc[0] for name, rows in shown.items()}
        single = next((labels[name] for name in shown if re.search(r"_n1(_|$)", name)), None)
        styles = styles_of(labels.values(), single)
        for name, rows in shown.items():
            axes.plot(rows["p"], rows["weight"], label=labels[name], markevery=0.15, **styles[labels[name]])
        axes.set_yscale(scale)
        axes.set_ylim((LOG_FLOOR, 1.5 * highest) if scale == "log" else (0, 1.05 * highest))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_xlim(0, 1)
        axes.set_xlabel("quantile q of the sample's reward" if quantile else "chance p that one sample is right")
        axes.set_ylabel("RL weight N q$^{N-1}$" if quantile else WEIGHT_NAMES[form])
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def waste_figure(curves: pd.DataFrame, alignment: pd.DataFrame, train: str, strategies: Sequence[str]) -> Figure:
    """Per strategy a panel: its SFT weight, the training weight, and where the first is negligible.

    Args:
        curves: a ``curves`` artifact.
        alignment: the ``alignment`` artifact of the same experiment.
        train: name of the strategy trained on.
        strategies: names of the strategies tested with, a panel each.
    """
    with plt.rc_context(LAYOUT):
        figure, places = panels(2.3, 1, len(strategies))
        for name, axes in zip(strategies, places[0], strict=True):
            pair = alignment[(alignment["train"] == train) & (alignment["test"] == name)].iloc[0]
            trained, tested = _curve(curves, train, "sft"), _curve(curves, name, "sft")
            waste = trained[(trained["p"] >= pair["test_negligible_from"]) & (trained["weight"] >= pair["negligible"])]
            axes.fill_between(waste["p"], waste["weight"], color=SHADE, linewidth=0, label="waste")
            label = f"trained: {pair['train_label']}"
            axes.plot(trained["p"], trained["weight"], label=label, **BASELINE)
            axes.plot(tested["p"], tested["weight"], label="tested", **STYLES[3] | {"marker": ""})
            axes.set_xlim(0, 1)
            axes.set_ylim(bottom=0)
            facts = f"waste {100 * pair['wasted_share']:.0f} %, A = {numbers.number(pair['alignment'], 'share')}"
            axes.set_xlabel("chance p")
            axes.set_title(f"tested: {pair['test_label']}\n{facts}", loc="left")
        places[0][0].set_ylabel(WEIGHT_NAMES["sft"])
        figure.legend(*places[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3, handlelength=2)
    return figure


def _curve(curves: pd.DataFrame, strategy: str, form: str) -> pd.DataFrame:
    return curves[(curves["strategy"] == strategy) & (curves["form"] == form)]
