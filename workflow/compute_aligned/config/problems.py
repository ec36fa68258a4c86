"""Whether the data hold what recipes take: as many problems, in characters that the model has tokens for."""

from collections.abc import Iterator
from pathlib import Path

from ..models.sources import ArithmeticScratch, ProteinScratch, Scratch, read_source
from ..tasks.loading import load_task
from ..tasks.problems import Problem
from ..tasks.reasoning_gym import first_problems
from ..tasks.sources import Arithmetic, ProteinUnconditional, ReasoningGym, Table, Task, read_task
from .files import ConfigError
from .resolving import recipes_and_objectives

SPLITS = ("train", "validation", "test")
FEW = 3  # problems of reasoning-gym that are looked at: drawing all may take minutes
TARGETS = {"answer": "answer", "solution": "target"}  # of a recipe -> column of a problem


def check_sizes(settings: dict, preset_file: str) -> None:
    """Whether recipes take no more problems than there are, as far as settings alone can tell.

    Args:
        settings: ``loading.load_settings``.
        preset_file: what sentences call the preset.

    Raises:
        ConfigError: a recipe takes more, or more are held out than there are.
    """
    for name in _recipes_in_use(settings):
        task = settings["recipes"][name]["task"]
        sizes = _sizes(read_task(settings["preset"]["data"][task]), f"{preset_file}: data.{task}")
        if sizes is not None:
            _refuse_too_many(name, settings, preset_file, sizes)


def check_problems(settings: dict, preset_file: str) -> None:
    """Read local tables, draw arithmetic problems and a few of reasoning-gym, and look whether they can be used.

    Before the first job, and so before a model is made or fetched. A table on the hub is read by its job alone; a local
    one that is not there stops that job.

    Args:
        settings: ``loading.load_settings``.
        preset_file: what sentences call the preset.

    Raises:
        ConfigError: a table cannot be read, reasoning-gym has no such task or setting, a recipe takes more problems of
            its levels than there are, or a model that is made here has no token for a character.
    """
    loaded: dict[str, dict[str, list[Problem]]] = {}
    for name in _recipes_in_use(settings):
        method = settings["recipes"][name]
        where = f"{preset_file}: data.{method['task']}"
        if method["task"] not in loaded:
            loaded[method["task"]] = _loaded(read_task(settings["preset"]["data"][method["task"]]), where)
        splits = loaded[method["task"]]
        if set(splits) == set(SPLITS):
            levels = method["levels"]
            sizes = {split: sum(problem.level in levels for problem in splits[split]) for split in SPLITS}
            _refuse_too_many(name, settings, preset_file, sizes, f" of levels {levels}")
        _refuse_unknown_characters(method, settings, splits, where)


def _recipes_in_use(settings: dict) -> list[str]:
    recipes = settings["recipes"]
    return list(
        dict.fromkeys(
            used
            for experiment in settings["preset"]["experiments"]
            for recipe, _ in recipes_and_objectives(settings["experiments"][experiment])
            for used in (recipe, recipes[recipe].get("warmup_recipe", recipe))
        )
    )


def _sizes(task: Task, where: str) -> dict[str, int] | None:
    """Problems per split, at most; None: only the data can tell."""
    if isinstance(task, ProteinUnconditional):
        return dict.fromkeys(SPLITS, 1)
    if not isinstance(task, Table):
        return task.sizes.by_split()
    if task.expected is None:
        return None
    rows = task.expected.train
    if task.validation_size >= rows:
        raise ConfigError(
            f"{where}.validation_size: found {task.validation_size} of {rows} expected rows, wanted fewer"
        )
    return {"train": rows - task.validation_size, "validation": task.validation_size, "test": task.expected.test}


def _loaded(task: Task, where: str) -> dict[str, list[Problem]]:
    """The problems, or the first ones, where settings tell less and reading them takes little; else none."""
    if isinstance(task, Table):
        files = (task.source.train_file, task.source.test_file)
        if not all(file is not None and Path(file).is_file() for file in files):
            return {}
    elif not isinstance(task, Arithmetic | ReasoningGym):  # the others have one level
        return {}
    try:
        if isinstance(task, ReasoningGym):
            return {"train": first_problems(task.questions, FEW)}
        return load_task(task)[0]
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def _taken(name: str, settings: dict) -> Iterator[tuple[str, str, int, int]]:
    """What a recipe takes: key in the preset, split, how many problems, and how many come before them."""
    method, scale = settings["recipes"][name], settings["preset"]["recipes"][name]
    supervised = scale.get("train_problems") or 0
    yield "train_problems", "train", supervised, 0
    if "rl" in scale:
        fresh = method["rl"]["prompts_from"] == "fresh" and method["warmup"] is not None
        yield "rl.problems", "train", scale["rl"]["problems"], supervised if fresh else 0
    yield "evaluation.problems", settings["preset"]["split"], scale["evaluation"]["problems"], 0


def _refuse_too_many(name: str, settings: dict, preset_file: str, sizes: dict[str, int], of_levels: str = "") -> None:
    for key, split, n, before in _taken(name, settings):
        if before + n > sizes[split]:
            after = f" after the {before} of the warm-up" if before else ""
            raise ConfigError(
                f"{preset_file}: recipes.{name}.{key}: found {n}{after}, wanted no more than there are: the {split} "
                f"split of data.{settings['recipes'][name]['task']} has {sizes[split]} problems{of_levels}"
            )


def _refuse_unknown_characters(method: dict, settings: dict, splits: dict[str, list[Problem]], where: str) -> None:
    source = read_source(settings["preset"]["models"][method["model"]]["source"])
    if isinstance(source, Scratch | ArithmeticScratch):
        from ..tasks.arithmetic import ALPHABET
    elif isinstance(source, ProteinScratch):
        from ..tasks.protein import ALPHABET
    else:
        return
    column = TARGETS[method["target"]]
    for problems in splits.values():
        for problem in problems:
            unknown = (problem.prompt + getattr(problem, column)).strip(ALPHABET)[:1]
            if unknown:
                raise ConfigError(
                    f"{where}: problem {problem.problem_id}, in its prompt or target: found the character {unknown!r}, "
                    f"which models.{method['model']}, a model of kind {source.kind} that is made here, has no token "
                    f"for; wanted one of {ALPHABET!r}, or another model"
                )
