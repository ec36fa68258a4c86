"""From the checked configuration to what each job gets."""

from typing import TypeVar

from ..settings import Settings
from ..tasks.questions import Questions
from ..tasks.sources import ReasoningGym, read_task
from .seeds import derive_seed
from .settings.closed_forms import ClosedFormSettings
from .settings.diagonal import DiagonalPools, DiagonalSettings
from .settings.evaluation import EvaluationSettings
from .settings.rl import RLSettings
from .settings.training import TrainingSettings

S = TypeVar("S", bound=Settings)

WARMUP, START = "warmup", "start"  # objectives that no experiment names: a shared first stage, and what runs start from


def strategies_by_key(experiment: dict) -> dict[str, list[str]]:
    """The strategies that a closed-form experiment names, by the key under which it does."""
    named = {f"{key}.strategies": experiment[key]["strategies"] for key in ("values", "alignment")}
    for name, figure in experiment["figures"].items():
        named[f"figures.{name}.strategies"] = figure["strategies"]
        if "train" in figure:
            named[f"figures.{name}.train"] = [figure["train"]]
    return named


def compared_objectives(experiment: dict) -> list[str]:
    """The objectives of an experiment that compares runs: the paper's, then those that go beyond it."""
    return [*experiment["objectives"], *experiment.get("beyond_paper", [])]


def experiment_recipes(experiment: dict) -> list[str]:
    """The recipes of an experiment that compares runs."""
    recipe = experiment["recipe"]
    return [recipe] if isinstance(recipe, str) else recipe


def compared_arms(experiment: dict) -> list[dict]:
    """What an experiment compares: recipe and objective of each arm, and its name.

    An arm is named by its objective, or, where several recipes are compared, by its recipe.
    """
    recipes = experiment_recipes(experiment)
    return [
        {"name": objective if len(recipes) == 1 else recipe, "recipe": recipe, "objective": objective}
        for recipe in recipes
        for objective in compared_objectives(experiment)
    ]


def training_settings(settings: dict, recipe: str, objective: str, seed: int) -> TrainingSettings:
    """One supervised run; the objective WARMUP is the recipe's shared first stage."""
    from ..objectives import sft_objective

    method, scale, model = _of_recipe(settings, recipe)
    stage = "warmup" if objective == WARMUP else "train"
    scale = scale | overrides_of(settings, recipe, objective)
    objective = method["warmup"] if objective == WARMUP else objective
    success_rate = None
    if sft_objective(objective).needs_success_rate:
        sizes = {key: scale["evaluation"][key] for key in ("max_new_tokens", "rows_per_batch")}
        success_rate = method["success_rate"] | scale["success_rate"] | sizes
        success_rate["n_samples"] = success_rate.pop("samples")
    return _taken(
        TrainingSettings,
        method | model | scale,
        objective=objective,
        success_rate=success_rate,
        epochs=scale["warmup_epochs"] if stage == "warmup" else scale["epochs"],
        seed=derive_seed(method.get("stream", recipe), stage, seed),
        selection_seed=_selection_seed(settings, method),
        adapter=method["adapter"] if model["adapter"] else None,
        **({} if success_rate is None else _questions(settings, recipe)),
    )


def rl_settings(settings: dict, recipe: str, objective: str, seed: int) -> RLSettings:
    """One run of reinforcement learning."""
    method, scale, model = _of_recipe(settings, recipe)
    rl, own = method["rl"], overrides_of(settings, recipe, objective)
    fresh = rl["prompts_from"] == "fresh" and method["warmup"] is not None
    return _taken(
        RLSettings,
        method | model | rl | rl["sampling"] | scale["rl"] | own,
        objective=objective,
        seed=derive_seed(method.get("stream", recipe), "rl", seed),
        selection_seed=_selection_seed(settings, method),
        # Fresh problems are those that come after the warm-up's in the same shuffled order.
        skipped_problems=scale["train_problems"] if fresh else 0,
        adapter=method["adapter"] if model["adapter"] and method["warmup"] is None else None,
        **_questions(settings, recipe),
    )


def scorer_settings(settings: dict, recipe: str) -> Questions | None:
    """The questions of a recipe's task, where the task has a scorer of its own."""
    task = read_task(settings["preset"]["data"][settings["recipes"][recipe]["task"]])
    return task.questions if isinstance(task, ReasoningGym) else None


def _questions(settings: dict, recipe: str) -> dict[str, Questions]:
    questions = scorer_settings(settings, recipe)
    return {} if questions is None else {"questions": questions}


def sampling_settings(settings: dict, recipe: str, seed: int) -> EvaluationSettings:
    """The evaluation samples of one run, the same for all objectives."""
    method, scale, model = _of_recipe(settings, recipe)
    return _taken(
        EvaluationSettings,
        method | model | method["sampling"] | scale["evaluation"],
        backend=settings["preset"]["sampling_backend"],
        selection_seed=_selection_seed(settings, method),
        seed=derive_seed(method.get("stream", recipe), "sample", seed),
        n_samples=scale["evaluation"]["samples"],
    )


def overrides_of(settings: dict, recipe: str, objective: str) -> dict:
    """What the preset has the runs of one objective of a recipe do otherwise than its others."""
    return settings["preset"]["recipes"][recipe].get("overrides", {}).get(objective, {})


def _of_recipe(settings: dict, recipe: str) -> tuple[dict, dict, dict]:
    """What the recipe fixes, its scale in the preset, and the preset's model."""
    method = settings["recipes"][recipe]
    return method, settings["preset"]["recipes"][recipe], settings["preset"]["models"][method["model"]]


def _selection_seed(settings: dict, method: dict) -> int:
    """Seed of the choice of problems; of a task of one problem, which has no seed, any will do."""
    return settings["preset"]["data"][method["task"]].get("seed", 0)


def _taken(kind: type[S], content: dict, **resolved) -> S:
    """Settings of which some are resolved, and the others are taken as they stand."""
    taken = {name: content[name] for name in kind.model_fields if name not in resolved and name in content}
    return kind(**taken, **resolved)


def recipes_and_objectives(experiment: dict) -> list[tuple[str, str]]:
    """The recipes and objectives whose runs an entry of ``experiments.yaml`` looks at, each pair once."""
    if experiment["kind"] == "closed_form":
        return []
    if experiment["kind"] == "diagonal":
        return list(dict.fromkeys((figure["recipe"], figure["objective"]) for figure in experiment["figures"].values()))
    return [(arm["recipe"], arm["objective"]) for arm in compared_arms(experiment)]


def diagonal_settings(settings: dict, experiment: str) -> DiagonalSettings:
    """An experiment on the diagonal approximation: no title."""
    content = settings["experiments"][experiment]
    figures = {name: _taken(DiagonalPools, figure) for name, figure in content["figures"].items()}
    return _taken(DiagonalSettings, content, name=experiment, figures=figures)


def closed_form_settings(settings: dict, experiment: str) -> ClosedFormSettings:
    """A closed-form experiment's computation: no title, and each strategy once."""
    content = settings["experiments"][experiment]
    named = {name for names in strategies_by_key(content).values() for name in names}
    p = content["values"]["p"]
    return _taken(ClosedFormSettings, content, name=experiment, strategies=sorted(named), p=p)
