"""What all figures share: widths, a font, a palette that survives grey print, and how they are written."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ...provenance.artifacts import whole

matplotlib.use("agg")

COLUMN_WIDTH_IN = 3.3  # one column of a two-column page, where labels have their size in print
PNG_DPI = 300
# Told apart by marker and dash as well as by colour and by lightness, so that a grey print loses nothing.
STYLES = [
    {"color": "#08306b", "marker": "o", "linestyle": "-"},
    {"color": "#d9731a", "marker": "s", "linestyle": "--"},
    {"color": "#1b7f4b", "marker": "^", "linestyle": "-."},
    {"color": "#7a7a7a", "marker": "D", "linestyle": ":"},
    {"color": "#8e4ec6", "marker": "v", "linestyle": (0, (5, 1, 1, 1, 1, 1))},
    {"color": "#b3243b", "marker": "P", "linestyle": (0, (8, 2))},
    {"color": "#2f8fbf", "marker": "X", "linestyle": (0, (2, 1))},
]
BASELINE = {"color": "black", "marker": "", "linestyle": "-"}
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
