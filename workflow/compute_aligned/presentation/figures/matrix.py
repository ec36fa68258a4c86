"""Train budget N beside test budget k, and the gain beside the alignment."""

from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...analysis.gains import beside_alignment, gains, rank_correlation
from .style import COLUMN_WIDTH_IN, LAYOUT, STYLES


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
