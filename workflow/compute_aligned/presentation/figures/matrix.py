"""Train budget N beside test budget k, and the gain beside the alignment."""

from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...analysis.gains import beside_alignment, gains, rank_correlation
from .. import numbers
from ..wording import sentences, what_was_run
from .style import LAYOUT, STYLES, panels


def matrix(summary: pd.DataFrame, title: str, preset: str, split: str) -> tuple[Figure, str]:
    """Gains of every train budget at every test budget, and their caption."""
    said = (
        "For what N should a model be trained that is sampled k times? Pass@k of the run trained for N minus that of "
        "cross-entropy (CE), in points, paired by problem and seed: blue a gain, red a loss. A box marks the best N of "
        "each k, a star a 95 % interval without 0, not corrected for the number of cells. Below each k stands Pass@k "
        "of CE."
    )
    return matrix_figure(summary), sentences(title, said, what_was_run(summary, preset, split))


def alignment(
    summary: pd.DataFrame, alignment: pd.DataFrame, title: str, preset: str, split: str
) -> tuple[Figure, str]:
    """Gains beside the alignment of the weights, and their caption."""
    frame = beside_alignment(summary, alignment)
    budgets = ", ".join(str(n) for n in sorted(set(frame.loc[frame["n"] > 1, "n"])))
    correlation = rank_correlation(frame)
    found = "undefined" if np.isnan(correlation) else numbers.typographic(numbers.number(correlation, "correlation"))
    said = (
        "Does the alignment of the weights foretell the gain? Across: how much better the weight of Pass@N is aligned "
        "with that of Pass@k than cross-entropy's (CE) is, in closed form, p uniform. Up: what training for N gained "
        "over CE at k. If alignment told all, the points would rise from lower left to upper right. Bars: 95 % "
        f"intervals. A point per k and N = {budgets}; rank correlation {found}."
    )
    return alignment_figure(frame), sentences(title, said, what_was_run(summary, preset, split))


def matrix_figure(summary: pd.DataFrame) -> Figure:
    """Gain over cross-entropy of every train budget N at every test budget k, in points; the best N per k in a box.

    Blue is a gain and red a loss, as far from white as they are large; the numbers have their signs for a grey print. A
    star says that the 95 % interval excludes 0.

    Args:
        summary: a ``summary`` artifact of cross-entropy (N = 1) and Pass@N objectives.
    """
    frame = gains(summary)
    matrix = frame.pivot(index="n", columns="k", values="gain")
    with plt.rc_context(LAYOUT):
        figure, ((axes,),) = panels(2.7)
        largest = np.nanmax(np.abs(matrix)) or 1
        axes.imshow(matrix, cmap="RdBu", vmin=-largest, vmax=largest, origin="lower", aspect="auto")
        for row in frame.itertuples():
            x, y = matrix.columns.get_loc(row.k), matrix.index.get_loc(row.n)
            gain = numbers.typographic(numbers.number(row.gain, "points", "+"))
            text = "0" if row.n == 1 else gain + "*" * row.clear
            axes.text(
                x,
                y,
                text,
                ha="center",
                va="center",
                fontsize=7,
                color="white" if abs(row.gain) > 0.65 * largest else "black",
            )
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
    return figure


def alignment_figure(frame: pd.DataFrame) -> Figure:
    """How much better a Pass@N weight is aligned with the test than cross-entropy's, beside what it gains.

    Args:
        frame: ``gains.beside_alignment``.
    """
    trained = frame[frame["n"] > 1]
    with plt.rc_context(LAYOUT):
        figure, ((axes,),) = panels(2.6)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.axvline(0, color="black", linewidth=0.8)
        for (k, rows), style in zip(trained.groupby("k"), cycle(STYLES), strict=False):
            color = style["color"]
            axes.vlines(rows["alignment_gain"], rows["low"], rows["high"], color=color, linewidth=0.5, alpha=0.6)
            points = {"linestyle": "none", "markersize": 4, "markeredgewidth": 0.4, "markeredgecolor": "white"}
            axes.plot(rows["alignment_gain"], rows["gain"], label=f"k = {k}", **style | points)
        axes.set_xlabel("alignment A(N, k) minus that of CE, A(1, k)")
        axes.set_ylabel("Pass@k minus CE (points)")
        figure.legend(loc="outside lower center", ncols=4, handlelength=1)
    return figure
