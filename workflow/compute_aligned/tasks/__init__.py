"""Tasks: where problems come from. A new data set is one module here and one entry in ``load_task``."""

from .problems import Problem, refuse_overlap, select

__all__ = ["Problem", "load_task", "refuse_overlap", "select"]


def load_task(settings: dict) -> dict[str, list[Problem]]:
    """Splits (train, validation, test) of the task that the preset's ``data`` entry describes.

    Args:
        settings: the entry; ``loader`` names the module (``arithmetic`` or ``math``).
    """
    if settings["loader"] == "arithmetic":
        from . import arithmetic

        return arithmetic.generate_splits(settings["seed"], settings["sizes"])
    from . import math

    return math.load_splits(settings["source"], settings["validation_size"], settings["seed"])
