"""What all figures share: widths, a font, a palette that survives grey print, and how they are written."""

import re
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ...provenance.artifacts import whole

matplotlib.use("agg")

COLUMN_WIDTH_IN = 3.3  # one column of a two-column page, where labels have their size in print
PNG_DPI = 300
# Told apart by marker and dash as well as by colour and by lightness, so that a grey print loses nothing. Their colours
# differ for the colour-blind too: by 17 or more in CIELAB under each of the three kinds, from black as well.
STYLES = [
    {"color": "#5ab4e6", "marker": "o", "linestyle": (0, (2, 1))},
    {"color": "#0b3d91", "marker": "s", "linestyle": (0, (7, 1.2))},
    {"color": "#118a66", "marker": "^", "linestyle": "-."},
    {"color": "#e69f00", "marker": "D", "linestyle": "--"},
    {"color": "#a3152d", "marker": "P", "linestyle": (0, (8, 1.5, 3, 1.5))},
    {"color": "#c56bb0", "marker": "v", "linestyle": (0, (5, 1, 1, 1, 1, 1))},
    {"color": "#9b9b9b", "marker": "X", "linestyle": (0, (1, 1.5))},
]
BUDGETS = [2, 4, 8, 16, 32, 64]  # N whose style is the same in every figure, in the order of STYLES
BASELINE = {"color": "black", "marker": "", "linestyle": "-"}
STRONGEST_FIRST = [1, 3, 2, 4, 5, 0, 6]  # places in STYLES, for arms that name no N
RAW = {"linestyle": ":", "markersize": 4.5}  # the raw form of a weight
RAW_MARKERS = ["h", "*", "<", ">", "p", "d", "8"]
SHADE = "#dedede"  # of what is not a curve
LAYOUT = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.handlelength": 2.8,
    "legend.columnspacing": 1.4,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,  # text stays text
    "svg.hashsalt": "compute-aligned",
}


def panels(height: float, n_rows: int = 1, n_columns: int = 1, **shared):
    """A figure of a column's width, its height in inches, and its panels as an array."""
    size = (COLUMN_WIDTH_IN, height)
    return plt.subplots(n_rows, n_columns, figsize=size, layout="constrained", squeeze=False, **shared)


def styles_of(labels: Iterable[str], baseline: str | None = None) -> dict[str, dict]:
    """Label of an arm -> its style, the same wherever that arm is drawn.

    The baseline is black. The others go by the N that their label names, so that Pass@16 looks the same in every
    figure. The two forms of a weight, log and raw, share the colour. Of several arms of one N the last keeps its style,
    and the others take free ones, as those do whose label names no N.
    """
    labels = list(dict.fromkeys(labels))
    others = [label for label in labels if label != baseline]
    arms = list(dict.fromkeys(map(_without_form, others)))
    slots: dict[str, int] = {}
    for arm in reversed(arms):
        budget = re.search(r"[@-](\d+)", arm)
        if budget and int(budget[1]) in BUDGETS and (slot := BUDGETS.index(int(budget[1]))) not in slots.values():
            slots[arm] = slot
    free = [slot for slot in STRONGEST_FIRST if slot not in slots.values()] or STRONGEST_FIRST
    slots |= dict(zip([arm for arm in arms if arm not in slots], cycle(free), strict=False))
    styles = {baseline: BASELINE} if baseline in labels else {}
    for label in others:
        slot = slots[_without_form(label)]
        styles[label] = STYLES[slot] | (RAW | {"marker": RAW_MARKERS[slot]} if label.endswith(" raw") else {})
    return styles


def _without_form(label: str) -> str:
    return re.sub(r" (log|raw)$", "", label)


def save_figure(
    figure: Figure, caption: str, path_to_pdf: str | Path, path_to_png: str | Path, path_to_caption: str | Path
) -> None:
    """Write a figure as PDF and PNG, the same bytes each time, and what stands under it."""
    with whole(path_to_pdf) as path:
        figure.savefig(path, format="pdf", metadata={"CreationDate": None})
    with whole(path_to_png) as path:
        figure.savefig(path, format="png", dpi=PNG_DPI)
    with whole(path_to_caption) as path:
        path.write_text(f"{caption}\n")


def of_runs(frames: Iterable[pd.DataFrame], runs: Iterable[dict]) -> pd.DataFrame:
    """Tables of runs, one below the other, with two columns more: ``label``, the model's name, and ``seed``."""
    return pd.concat([frame.assign(**run) for frame, run in zip(frames, runs, strict=True)], ignore_index=True)


def over_seeds(values: pd.DataFrame) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Mean, lowest and highest value over the columns, which are seeds."""
    return values.mean(axis=1), values.min(axis=1), values.max(axis=1)
