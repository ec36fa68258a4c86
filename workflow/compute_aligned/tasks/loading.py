"""Which task a preset's ``data`` entry means. A new data set is one module beside this one and one entry here."""

from .problems import Problem


def load_task(settings: dict) -> tuple[dict[str, list[Problem]], dict]:
    """Splits of the task that the preset's ``data`` entry describes: train, validation, test, or those in ``sizes``.

    Args:
        settings: the entry; ``loader`` names the task (``arithmetic``, ``math``, ``protein_conditional`` or
            ``protein_unconditional``, whose splits all hold its one problem).

    Returns:
        the splits, and what was found in data that were read, for the manifest.
    """
    if settings["loader"] == "arithmetic":
        from ..tasks import arithmetic

        return arithmetic.generate_splits(settings["seed"], settings["sizes"]), {}
    if settings["loader"] == "protein_conditional":
        from ..tasks import protein

        return protein.generate_splits(settings["seed"], settings["sizes"]), {}
    if settings["loader"] == "protein_unconditional":
        from ..tasks import protein

        return {split: [protein.unconditional_problem()] for split in ("train", "validation", "test")}, {}
    from ..tasks import math

    return math.load_splits(settings["source"], settings["validation_size"], settings["seed"], settings["expected"])
