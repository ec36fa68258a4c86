"""Kind of figure in experiments.yaml -> what draws it."""

from .curves import difference_figure, values_figure
from .matrix import matrix_figure

# how an experiment that compares runs is drawn from its summary
FIGURES = {"difference": difference_figure, "values": values_figure, "matrix": matrix_figure}
