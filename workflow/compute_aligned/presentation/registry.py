"""What draws each kind of figure and writes each kind of table: names alone, so that no job's code holds them all.

A rule hands a job its item's entry and counts the code of that module (``planning.plan``); the job imports it by name.
So editing a module redraws its own figures, and adding an entry redraws nothing.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """How a kind of figure or table is made.

    Attributes:
        function: module of this room and function in it, such as ``figures.curves.difference``.
        reads: kinds of artifacts, which are names of its arguments.
        told: names of its other arguments (``Plan.told``).
    """

    function: str
    reads: tuple[str, ...]
    told: tuple[str, ...] = ("title", "preset", "split")

    @property
    def module(self) -> str:
        """Where it stands in the package."""
        return f"presentation.{self.function.rpartition('.')[0]}"


# Kind of figure in experiments.yaml -> a figure's function
FIGURES = {
    "difference": Item("figures.curves.difference", ("summary",)),
    "values": Item("figures.curves.values", ("summary",)),
    "tokens": Item("figures.tokens.tokens", ("summary", "tokens")),
    "matrix": Item("figures.matrix.matrix", ("summary",)),
    "alignment": Item("figures.matrix.alignment", ("summary", "alignment")),
    "pass_rates": Item("figures.curves.pass_rates", ("pass_rates",), ("baseline", "title", "preset", "split")),
    "hydrophobicity": Item(
        "figures.proteins.hydrophobicity", ("protein_scores",), ("runs", "baseline", "title", "preset", "split")
    ),
    "inversion": Item("figures.proteins.inversion", ("protein_scores",), ("runs", "title", "preset", "split")),
    "training": Item("figures.training.training", ("rl_training",), ("runs", "reward", "baseline", "title", "preset")),
    "weights": Item("figures.weights.weights", ("curves",), ("title", "form", "strategies", "scale")),
    "waste": Item("figures.weights.waste", ("curves", "alignment"), ("title", "train", "strategies")),
    "rho": Item("figures.diagonal.rho", ("diagonal_ratios", "diagonal_rho"), ("item", "title", "preset", "split")),
}
# Kind of experiment, or what is special of it -> a table's function
CLOSED_FORMS = ("curves", "alignment", "variance", "normalisation", "within_prompt")
TABLES = {
    "comparison": Item("tables.comparison.comparison", ("summary", "weights"), ("titles", "preset", "split")),
    "alignment": Item("tables.alignment.alignment", ("summary", "alignment")),
    "closed_form": Item("tables.closed_form.closed_form", CLOSED_FORMS, ("title", "values")),
}
