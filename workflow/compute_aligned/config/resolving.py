"""From the checked configuration to what each job gets."""

from .seeds import derive_seed

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


def training_settings(settings: dict, recipe: str, objective: str, seed: int) -> dict:
    """Resolved settings of one supervised run; the objective WARMUP is the recipe's shared first stage."""
    from ..objectives import sft_objective

    method, scale = settings["recipes"][recipe], settings["preset"]["recipes"][recipe]
    model = settings["preset"]["models"][method["model"]]
    stage = "warmup" if objective == WARMUP else "train"
    objective = method["warmup"] if objective == WARMUP else objective
    success_rate = None
    if sft_objective(objective).needs_success_rate:
        sizes = {key: scale["evaluation"][key] for key in ("max_new_tokens", "rows_per_batch")}
        success_rate = method["success_rate"] | scale["success_rate"] | sizes
        success_rate["n_samples"] = success_rate.pop("samples")
    return {
        "objective": objective,
        "success_rate": success_rate,
        "epochs": scale["warmup_epochs"] if stage == "warmup" else scale["epochs"],
        "seed": derive_seed(method.get("stream", recipe), stage, seed),
        "selection_seed": settings["preset"]["data"][method["task"]]["seed"],
        "adapter": method["adapter"] if model["adapter"] else None,
        **{key: model[key] for key in ("quantization", "precision", "gradient_checkpointing")},
        **{key: scale[key] for key in ("train_problems", "learning_rate", "batch_size", "micro_batch_size")},
        "checkpoint_steps": scale["checkpoint_steps"],
        **{key: method[key] for key in ("levels", "target", "average", "schedule", "weight_decay")},
        **{key: method[key] for key in ("max_grad_norm", "max_length", "longest_prompt")},
    }


def rl_settings(settings: dict, recipe: str, objective: str, seed: int) -> dict:
    """Resolved settings of one run of reinforcement learning."""
    method, scale = settings["recipes"][recipe], settings["preset"]["recipes"][recipe]
    model = settings["preset"]["models"][method["model"]]
    rl = dict(method["rl"])
    fresh = rl.pop("problems") == "fresh" and method["warmup"] is not None
    return {
        "objective": objective,
        "seed": derive_seed(method.get("stream", recipe), "rl", seed),
        "selection_seed": settings["preset"]["data"][method["task"]]["seed"],
        # Fresh problems are those that come after the warm-up's in the same shuffled order.
        "skipped_problems": scale["train_problems"] if fresh else 0,
        "adapter": method["adapter"] if model["adapter"] and method["warmup"] is None else None,
        **{key: model[key] for key in ("quantization", "precision", "gradient_checkpointing")},
        **{key: method[key] for key in ("levels", "target", "reward", "longest_prompt")},
        **rl.pop("sampling"),
        **rl,
        **scale["rl"],
    }


def sampling_settings(settings: dict, recipe: str, seed: int) -> dict:
    """Resolved settings of the evaluation samples of one run, the same for all objectives."""
    method, scale = settings["recipes"][recipe], settings["preset"]["recipes"][recipe]["evaluation"]
    model = settings["preset"]["models"][method["model"]]
    return {
        "backend": settings["preset"]["sampling_backend"],
        "problems": scale["problems"],
        "levels": method["levels"],
        "longest_prompt": method["longest_prompt"],
        "selection_seed": settings["preset"]["data"][method["task"]]["seed"],
        "seed": derive_seed(method.get("stream", recipe), "sample", seed),
        "n_samples": scale["samples"],
        **{key: scale[key] for key in ("max_new_tokens", "rows_per_batch", "problems_per_shard")},
        **method["sampling"],
        **{key: model[key] for key in ("quantization", "precision")},
    }


def recipes_and_objectives(experiment: dict) -> list[tuple[str, str]]:
    """The recipes and objectives whose runs an entry of ``experiments.yaml`` looks at, each pair once."""
    if experiment["kind"] == "closed_form":
        return []
    if experiment["kind"] == "diagonal":
        return list(dict.fromkeys((figure["recipe"], figure["objective"]) for figure in experiment["figures"].values()))
    return [(arm["recipe"], arm["objective"]) for arm in compared_arms(experiment)]


def diagonal_settings(settings: dict, experiment: str) -> dict:
    """Resolved settings of an experiment on the diagonal approximation: no title."""
    content = settings["experiments"][experiment]
    figures = {
        name: {key: figure[key] for key in ("strategy", "recipe", "objective", "paper_item")}
        for name, figure in content["figures"].items()
    }
    return {"name": experiment, "figures": figures, **{key: content[key] for key in ("n", "draws", "seed", "theorem3")}}


def closed_form_settings(settings: dict, experiment: str) -> dict:
    """Resolved settings of a closed-form experiment's computation: no title, and each strategy once."""
    content = settings["experiments"][experiment]
    named = [name for names in strategies_by_key(content).values() for name in names]
    return {
        "name": experiment,
        "strategies": sorted(set(named)),
        "p": content["values"]["p"],
        **{key: content[key] for key in ("points", "alignment", "variance", "normalisation", "paper_item")},
    }
