"""What all figures share: a column's width, a palette that survives grey print, and how they are written."""

from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from ...provenance.artifacts import whole

matplotlib.use("agg")

COLUMN_WIDTH_IN = 3.4  # one column of a two-column page
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
LAYOUT = {
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.handlelength": 2.8,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,  # text stays text
    "svg.hashsalt": "compute-aligned",
}


def save_figure(figure: Figure, path_to_pdf: str | Path, path_to_png: str | Path) -> None:
    """Write a figure as PDF and PNG, the same bytes each time."""
    with whole(path_to_pdf) as path:
        figure.savefig(path, format="pdf", metadata={"CreationDate": None})
    with whole(path_to_png) as path:
        figure.savefig(path, format="png", dpi=PNG_DPI)


def over_seeds(values: pd.DataFrame) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Mean, lowest and highest value over the columns, which are seeds."""
    return values.mean(axis=1), values.min(axis=1), values.max(axis=1)
