"""The diagonal approximation on our own pools."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from ..wording import counted, sentences
from .style import LAYOUT, STYLES, panels

RHO_BINS = 15  # of the paper
RHO_TICKS = {10: [1, 1.2, 1.5, 2, 3, 4, 5, 7, 10], 1000: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]}  # by the axis' end
ALWAYS_SHOWN = 10  # rho up to here is never cut off
SHOWN_SHARE = 0.9  # beyond it the axis ends where this share of the problems does
SHORTEST_AXIS = 1.2
EXACT = 1e-9  # relative deviations below it are rounding


def rho(
    diagonal_ratios: pd.DataFrame, diagonal_rho: pd.DataFrame, item: str, title: str, preset: str, split: str
) -> tuple[Figure, str]:
    """Histogram of the rho that a figure shows (paper Figures 9, 10), and its caption."""
    shown = diagonal_rho.set_index("figure").loc[item]
    said = (
        "A problem's ρ is the term that the diagonal approximation keeps over the total derivative. It is at least 1 "
        "by construction, so its size is what a model shows."
    )
    figure = rho_figure(diagonal_ratios[diagonal_ratios["figure"] == item], shown)
    return figure, sentences(title, said, what_was_diagnosed(shown, preset, split))


def rho_figure(ratios: pd.DataFrame, rho: pd.Series) -> Figure:
    """Histogram of rho over problems, with a density, lines at 1, median and mean.

    rho has no upper bound, so its axis is logarithmic and ends before the few largest values, which are counted.

    Args:
        ratios: a figure's rows of a ``diagonal_ratios`` artifact.
        rho: its row of the ``diagonal_rho`` artifact.
    """
    values = ratios["rho"].dropna().to_numpy()
    with plt.rc_context(LAYOUT):
        figure, ((axes,),) = panels(2.7)
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
            axes.plot(np.exp(grid), len(shown) * edges[1] * density(grid), color=STYLES[1]["color"], label="density")
        for value, name, color, linestyle in (
            (1, "ρ = 1", "black", "-"),
            (rho["median"], f"median {_short(rho['median'])}", STYLES[2]["color"], STYLES[2]["linestyle"]),
            (rho["mean"], f"mean {_short(rho['mean'])}", STYLES[4]["color"], STYLES[4]["linestyle"]),
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
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        if beyond := len(values) - len(shown):
            meaning += f"\n{beyond} beyond {_short(end)}, the largest {_short(values.max())}"
        axes.set_xlabel(meaning)
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def what_was_diagnosed(rho: pd.Series, preset: str, split: str) -> str:
    """What the pools of a figure of rho are, how many have none, and what is known about its value."""
    why = {"majority": "no right answer, or no other", "best_of_n": "all rewards the same"}[rho["strategy"]]
    parts = [
        f"Preset {preset}, {rho['recipe']} on {rho['objective']}: {counted(rho['n_seeds'], 'seed')}, "
        f"{counted(rho['n_problems'], f'{split} problem')}, "
        f"pools of {rho['n_samples']}; ρ undefined for {rho['n_undefined']} of {rho['n_pools']} ({why})."
    ]
    if rho["power_deviation"] < EXACT:
        parts.append(f"Here ρ = (1−p)^(−{rho['n'] - 1}), p the share of the pool with its best reward.")
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
