"""What a schema cannot say: whether the names and numbers of the configuration's files fit together."""

from pathlib import Path

from .files import ConfigError
from .resolving import compared_arms, compared_objectives, experiment_recipes, recipes_and_objectives, strategies_by_key

# Committed runs stand in results/reference.
RESERVED_PRESET = "reference"


def check_names(settings: dict, preset_file: str, folder: Path) -> None:
    from ..advantages import rl_objective
    from ..objectives import sft_objective

    recipes, experiments, preset = settings["recipes"], settings["experiments"], settings["preset"]
    if preset["preset"].lower() == RESERVED_PRESET:
        raise ConfigError(
            f"{preset_file}: preset: found {preset['preset']!r}, wanted another name: results/{RESERVED_PRESET} holds "
            "the committed runs"
        )
    _check_items(experiments, f"{folder / 'experiments.yaml'}: experiments")
    for name, recipe in recipes.items():
        if recipe["longest_prompt"] >= recipe["max_length"]:
            raise ConfigError(
                f"{folder / 'recipes.yaml'}: recipes.{name}.longest_prompt: found {recipe['longest_prompt']}, "
                f"wanted less than max_length {recipe['max_length']}, which holds prompt and target"
            )
        known = {"sft": sft_objective, "grpo": rl_objective}[recipe["trainer"]]
        named = [("objectives", objective, known) for objective in recipe["objectives"]]
        if recipe["warmup"] is not None:
            named.append(("warmup", recipe["warmup"], sft_objective))
        if "warmup_recipe" in recipe:
            others = [other for other, entry in recipes.items() if entry["warmup"] is not None]
            if recipe["warmup"] is not None or recipe["warmup_recipe"] not in others:
                raise ConfigError(
                    f"{folder / 'recipes.yaml'}: recipes.{name}.warmup_recipe: found {recipe['warmup_recipe']!r} and "
                    f"warmup {recipe['warmup']}; wanted warmup null and one of {', '.join(others)}"
                )
        for key, objective, make in named:
            try:
                make(objective)
            except ValueError as error:
                raise ConfigError(f"{folder / 'recipes.yaml'}: recipes.{name}.{key}: {error}") from None
    for name, experiment in experiments.items():
        where = f"{folder / 'experiments.yaml'}: experiments.{name}"
        if experiment["kind"] == "closed_form":
            _check_closed_form(experiment, where)
        elif experiment["kind"] == "diagonal":
            for figure, content in experiment["figures"].items():
                named = content["recipe"], [content["objective"]]
                _check_runs(*named, recipes, f"{where}.figures.{figure}", key="objective")
        else:
            for recipe in experiment_recipes(experiment):
                _check_runs(recipe, compared_objectives(experiment), recipes, where)
            arms = {arm["name"]: arm for arm in compared_arms(experiment)}
            if experiment["baseline"] not in arms:
                raise ConfigError(
                    f"{where}.baseline: found {experiment['baseline']!r}, wanted one of what it compares: "
                    f"{', '.join(arms)}"
                )
            for figure, kind in experiment["figures"].items():
                if kind in ("matrix", "alignment") and "alignment" not in experiment:
                    raise ConfigError(f"{where}: the key 'alignment' is missing: {figure!r} is drawn over budgets N")
                for recipe in experiment_recipes(experiment) if kind == "training" else []:
                    if recipes[recipe]["trainer"] != "grpo":
                        raise ConfigError(
                            f"{where}.figures.{figure}: found {kind!r}, but the recipe {recipe!r} is trained by "
                            f"{recipes[recipe]['trainer']}; wanted recipes trained by grpo"
                        )
            if len(arms) < len(compared_arms(experiment)):
                raise ConfigError(f"{where}.recipe: several recipes are compared under one objective, found more")
            rewarded = experiment["metric"] == "bon"
            for recipe in experiment_recipes(experiment):
                if rewarded == (recipes[recipe]["reward"] == "answer"):
                    raise ConfigError(
                        f"{where}.metric: found {experiment['metric']!r}, but the recipe {recipe!r} is rewarded for "
                        f"{recipes[recipe]['reward']}; wanted {'pass or maj' if rewarded else 'bon'}"
                    )
    for name, experiment in experiments.items():  # once the closed forms that they name are known to be right
        if experiment["kind"] == "comparison" and "alignment" in experiment:
            _check_alignment(experiment, experiments, f"{folder / 'experiments.yaml'}: experiments.{name}")
    for kind, known in (("recipes", recipes), ("experiments", experiments)):
        for name in preset[kind]:
            if name not in known:
                raise ConfigError(
                    f"{preset_file}: {kind}: found {name!r}, which {folder / kind}.yaml does not define; "
                    f"allowed are {', '.join(known)}"
                )
    for name, scale in preset["experiments"].items():
        where = f"{preset_file}: experiments.{name}"
        if experiments[name]["kind"] == "comparison":
            if "k" not in scale:
                raise ConfigError(f"{where}: the key 'k' is missing: it compares runs under test budgets k")
        elif scale:
            raise ConfigError(f"{where}: found {scale!r}, wanted {{}}: it compares no runs and has no scale")
        if experiments[name]["kind"] == "comparison" and "alignment" in experiments[name]:
            closed_form = experiments[name]["alignment"]
            if closed_form not in preset["experiments"]:
                raise ConfigError(f"{preset_file}: experiments: {name!r} needs {closed_form!r} beside it")
            known = experiments[closed_form]["alignment"]["strategies"]
            for k in scale["k"]:
                if f"pass_n{k}" not in known:
                    raise ConfigError(f"{where}.k: {k} has no alignment in {closed_form!r}: no 'pass_n{k}'")
        for recipe, objective in recipes_and_objectives(experiments[name]):
            for needed in (recipe, recipes[recipe].get("warmup_recipe", recipe)):
                if needed not in preset["recipes"]:
                    raise ConfigError(f"{preset_file}: recipes: the experiment {name!r} needs the recipe {needed!r}")
            if recipes[recipe]["trainer"] == "sft" and sft_objective(objective).needs_success_rate:
                for file, chosen in ((folder / "recipes.yaml", recipes), (preset_file, preset["recipes"])):
                    if "success_rate" not in chosen[recipe]:
                        raise ConfigError(
                            f"{file}: recipes.{recipe}: the key 'success_rate' is missing; {objective!r} needs it"
                        )
            for kind, key in (("models", "model"), ("data", "task")):
                if recipes[recipe][key] not in preset[kind]:
                    raise ConfigError(
                        f"{preset_file}: {kind}: the recipe {recipe!r} needs an entry {recipes[recipe][key]!r}"
                    )
    for name, model in preset["models"].items():
        held_out = model["source"].get("held_out")
        if held_out is not None and held_out not in preset["data"]:
            raise ConfigError(
                f"{preset_file}: models.{name}.source.held_out: found {held_out!r}, wanted an entry of data: "
                f"{', '.join(preset['data'])}"
            )


def _check_items(experiments: dict, where: str) -> None:
    """Whether each experiment shows something, and no two the same figure or table.

    Two comparisons may be halves of one table, unless alignment stands beside them.
    """
    shown: dict[str, tuple[str, bool]] = {}
    for name, experiment in experiments.items():
        table = experiment.get("table")
        if table is None and not experiment["figures"]:
            raise ConfigError(f"{where}.{name}: found neither a table nor figures, wanted something that it shows")
        joint = experiment["kind"] == "comparison" and "alignment" not in experiment
        for item in [*experiment["figures"], *([] if table is None else [table])]:
            owner, shared = shown.setdefault(item, (name, joint and item == table))
            if owner != name and not (shared and joint and item == table):
                raise ConfigError(f"{where}.{name}: found {item!r}, which {owner!r} shows; wanted a name of its own")


def _check_runs(recipe: str, objectives: list[str], recipes: dict, where: str, key: str = "objectives") -> None:
    """Whether a recipe trains the objectives that are named under a key."""
    if recipe not in recipes:
        raise ConfigError(f"{where}.recipe: found {recipe!r}, wanted one of {', '.join(recipes)}")
    known = recipes[recipe]["objectives"]
    for name in objectives:
        if name not in known:
            raise ConfigError(f"{where}.{key}: {name!r} is no objective of its recipe; allowed are {', '.join(known)}")


def _check_alignment(experiment: dict, experiments: dict, where: str) -> None:
    """Whether an experiment over budgets N names one that knows the alignment of all its objectives' weights."""
    closed_forms = [name for name, entry in experiments.items() if entry["kind"] == "closed_form"]
    if experiment["alignment"] not in closed_forms:
        raise ConfigError(
            f"{where}.alignment: found {experiment['alignment']!r}, wanted one of {', '.join(closed_forms)}"
        )
    known = experiments[experiment["alignment"]]["alignment"]["strategies"]
    for objective in compared_objectives(experiment):
        if ("pass_n1" if objective == "ce" else objective) not in known:
            raise ConfigError(
                f"{where}.objectives: {objective!r} has no alignment in {experiment['alignment']!r}, "
                f"which knows {', '.join(known)}"
            )
    if experiment["metric"] != "pass" or experiment["baseline"] != "ce":
        raise ConfigError(
            f"{where}: found metric {experiment['metric']!r} and baseline {experiment['baseline']!r}, wanted pass and "
            "ce, beside which alignment is shown"
        )


def _check_closed_form(experiment: dict, where: str) -> None:
    from ..advantages import rl_objective
    from ..objectives import strategy

    normalisation = experiment["normalisation"]
    named = strategies_by_key(experiment)
    named["normalisation.strategies"] = normalisation["strategies"]
    for name in normalisation["within_prompt"]["strategies"]:
        key = f"{where}.normalisation.within_prompt.strategies"
        try:
            needs = rl_objective(name).needs
        except ValueError as error:
            raise ConfigError(f"{key}: {error}") from None
        if "log_p" in needs:
            raise ConfigError(f"{key}: {name!r} weights by log p, wanted weights of rewards and votes")
    for key, names in named.items():
        for name in names:
            try:
                strategy(name)
            except ValueError as error:
                raise ConfigError(f"{where}.{key}: {error}") from None
    for name in normalisation["strategies"]:
        if name.startswith("best_of"):
            raise ConfigError(f"{where}.normalisation.strategies: {name!r} weights samples, wanted weights of prompts")
    for figure, content in experiment["figures"].items():
        if content["draw"] == "waste":
            for key in (f"figures.{figure}.train", f"figures.{figure}.strategies"):
                for name in named[key]:
                    if name not in experiment["alignment"]["strategies"]:
                        raise ConfigError(f"{where}.{key}: {name!r} is not among alignment.strategies")


# Kind of experiment -> the kinds of a claim's parts that its results can decide.
DECIDED_BY = {
    "comparison": ["difference", "slope_in_n", "slope_in_k", "share", "share_below", "gains_by_alignment"],
    "diagonal": ["rho_share", "rho_mean", "proportional_decay", "flips"],
    "closed_form": [
        "mean_weight",
        "cancels_within_prompt",
        "step_size",
        "alignment_falls",
        "variance_ratio",
        "variance_simulated",
    ],
}


def check_preconditions(preconditions: dict, settings: dict, where: str) -> None:
    """Whether what the claims' preconditions name exists."""
    for key, entries, allowed in (
        ("scale.completions", preconditions["scale"]["completions"], settings["recipes"]),
        ("headroom.ranges", preconditions["headroom"]["ranges"], settings["experiments"]),
    ):
        for found in entries:
            if found not in allowed:
                raise ConfigError(f"{where}.{key}: found {found!r}, wanted one of {', '.join(allowed)}")


def check_claim(claim: dict, settings: dict, reported: set[tuple[str, int]], preset_file: str, where: str) -> None:
    """Whether the experiment that a claim names can decide it.

    A preset need not run that experiment, nor at a test budget that the paper reports; the claim is not tested then.
    """
    name, experiments = claim["experiment"], settings["experiments"]
    if name not in experiments:
        raise ConfigError(f"{where}.experiment: found {name!r}, wanted one of {', '.join(experiments)}")
    experiment = experiments[name]
    for index, part in enumerate(claim["parts"]):
        at = f"{where}.parts.{index}"
        kinds = DECIDED_BY[experiment["kind"]]
        if part["kind"] not in kinds:
            raise ConfigError(
                f"{at}.kind: found {part['kind']!r}, but {name!r} is a {experiment['kind']}; wanted one of "
                f"{', '.join(kinds)}"
            )
        known = {}
        if experiment["kind"] == "comparison":
            arms = [arm["name"] for arm in compared_arms(experiment)]
            known = dict.fromkeys(("objectives", "over", "reported"), arms)
        elif experiment["kind"] == "diagonal":
            known = {"figure": list(experiment["figures"])}
        else:
            known = dict.fromkeys(("train", "test"), experiment["alignment"]["strategies"])
        for key, allowed in known.items():
            named = part.get(key, [])
            for found in [named] if isinstance(named, str) else named:
                if found not in allowed:
                    raise ConfigError(f"{at}.{key}: found {found!r}, wanted one of {name}'s: {', '.join(allowed)}")
        if part["kind"] in ("share", "share_below") and experiment["metric"] != "bon":
            raise ConfigError(f"{at}.kind: found {part['kind']!r}, but {name!r} samples no proteins")
        if part["kind"] == "gains_by_alignment":
            closed = {key: entry for key, entry in experiments.items() if entry["kind"] == "closed_form"}
            if part["alignment"] not in closed:
                raise ConfigError(f"{at}.alignment: found {part['alignment']!r}, wanted one of {', '.join(closed)}")
            strategies = closed[part["alignment"]]["alignment"]["strategies"]
            for found in [part["train"], *part["objectives"]]:
                if found not in strategies:
                    raise ConfigError(
                        f"{at}: found {found!r}, wanted strategies of {part['alignment']}'s alignment: "
                        f"{', '.join(strategies)}"
                    )
        if part["kind"] == "slope_in_k" and part["k"] != "all" and len(part["k"]) < 2:
            raise ConfigError(f"{at}.k: found {part['k']}, wanted at least two, to have a slope")
        if name in settings["preset"]["experiments"] and part.get("k", "all") != "all":
            asked = [k for k in part["k"] if (experiment.get("reported_from", name), k) not in reported]
            for recipe in experiment_recipes(experiment):
                samples = settings["preset"]["recipes"][recipe]["evaluation"]["samples"]
                if asked and max(asked) > samples:
                    raise ConfigError(
                        f"{at}.k: found {max(asked)}, which is more than the {samples} samples of "
                        f"recipes.{recipe}.evaluation.samples in {preset_file}; wanted k <= samples"
                    )


# Keys of a preset's recipe that a supervised stage needs.
SUPERVISED_STAGE = ["train_problems", "learning_rate", "batch_size", "micro_batch_size", "checkpoint_steps"]


def check_scale(settings: dict, preset_file: str, folder: Path) -> None:
    """Whether each recipe has the keys that its trainer needs, and no others."""
    for name, scale in settings["preset"]["recipes"].items():
        recipe = settings["recipes"][name]
        rl = recipe["trainer"] == "grpo"
        if rl != ("rl" in recipe):
            raise ConfigError(
                f"{folder / 'recipes.yaml'}: recipes.{name}: the key 'rl' {'is missing' if rl else 'has no use'}; its "
                f"trainer is {recipe['trainer']}"
            )
        wanted = [] if rl and recipe["warmup"] is None else list(SUPERVISED_STAGE)
        wanted += ["warmup_epochs"] * (recipe["warmup"] is not None) + (["rl"] if rl else ["epochs"])
        where = f"{preset_file}: recipes.{name}"
        for key in wanted:
            if key not in scale:
                raise ConfigError(f"{where}: the key {key!r} is missing; found {', '.join(scale)}")
        for key in scale:
            if key not in [*wanted, "evaluation", "success_rate"]:
                raise ConfigError(
                    f"{where}: the key {key!r} has no use: the recipe's trainer is {recipe['trainer']}, its warm-up "
                    f"{recipe['warmup']}"
                )


def check_budgets(settings: dict, preset_file: str) -> None:
    preset = settings["preset"]
    if preset["sampling_backend"] == "vllm" and preset["seeds_in_one_job"]:
        raise ConfigError(
            f"{preset_file}: seeds_in_one_job: found True with sampling_backend vllm, whose engine takes the GPU for "
            "one run; wanted False"
        )
    for name, recipe in preset["recipes"].items():
        where = f"{preset_file}: recipes.{name}"
        if "batch_size" in recipe and recipe["batch_size"] % recipe["micro_batch_size"]:
            raise ConfigError(
                f"{where}.micro_batch_size: found {recipe['micro_batch_size']}, "
                f"wanted a divisor of batch_size {recipe['batch_size']}"
            )
        if "rl" in recipe:
            method = settings["recipes"][name]["rl"]
            batch = recipe["rl"]["prompts_per_step"] * method["group_size"]
            if batch % recipe["rl"]["micro_batch_size"]:
                raise ConfigError(
                    f"{where}.rl.micro_batch_size: found {recipe['rl']['micro_batch_size']}, wanted a divisor of "
                    f"prompts_per_step x group_size = {batch}"
                )
    for name, experiment in preset["experiments"].items():
        if settings["experiments"][name]["kind"] != "comparison":
            continue
        for recipe in experiment_recipes(settings["experiments"][name]):
            samples = preset["recipes"][recipe]["evaluation"]["samples"]
            if max(experiment["k"]) > samples:
                raise ConfigError(
                    f"{preset_file}: experiments.{name}.k: found {max(experiment['k'])}, which is more than the "
                    f"{samples} samples of recipes.{recipe}.evaluation.samples; wanted k <= samples"
                )
