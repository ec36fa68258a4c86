"""Which task a preset's ``data`` entry means. A new data set is one module beside this one, a class and a case."""

from .problems import Problem
from .sources import Arithmetic, ProteinConditional, ProteinUnconditional, ReasoningGym, Task


def load_task(task: Task) -> tuple[dict[str, list[Problem]], dict]:
    """Splits of a task: train, validation, test; of the unconditional protein task all hold its one problem.

    Returns:
        the splits, and what was found in data that were read, for the manifest.
    """
    if isinstance(task, Arithmetic):
        from ..tasks import arithmetic

        return arithmetic.generate_splits(task.seed, task.sizes.by_split()), {}
    if isinstance(task, ProteinConditional):
        from ..tasks import protein

        return protein.generate_splits(task.seed, task.sizes.by_split()), {}
    if isinstance(task, ProteinUnconditional):
        from ..tasks import protein

        return {split: [protein.unconditional_problem()] for split in ("train", "validation", "test")}, {}
    if isinstance(task, ReasoningGym):
        from ..tasks import reasoning_gym

        return reasoning_gym.load_splits(task.questions, task.sizes.by_split()), {}
    from ..tasks import table

    return table.load_splits(task)
