"""What a model of one file cannot say: whether the names and numbers of the configuration's files fit together."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .files import ConfigError
from .resolving import compared_arms, compared_objectives, experiment_recipes, recipes_and_objectives, strategies_by_key

RESERVED_PRESET = "reference"  # committed runs stand in results/reference
# Keys of a preset's recipe that a supervised stage needs.
SUPERVISED_STAGE = ["train_problems", "learning_rate", "batch_size", "micro_batch_size", "checkpoint_steps"]
ROLES = {"models": "model", "data": "task"}  # key of a preset -> that by which a recipe names an entry
OVERRIDES = {  # trainer -> what one objective's runs may have otherwise
    "sft": ["learning_rate", "epochs", "batch_size", "micro_batch_size"],
    "grpo": ["learning_rate", "steps", "micro_batch_size"],
}
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


@dataclass(frozen=True)
class Files:
    """What sentences call the files.

    Attributes:
        preset: the preset's file, or files.
        folder: where the others lie.
    """

    preset: str
    folder: Path

    def at(self, name: str, *keys: str) -> str:
        """Where a key of ``<name>.yaml``, or of the preset, stands."""
        file = self.preset if name == "preset" else self.folder / f"{name}.yaml"
        return f"{file}: {'.'.join(keys)}"


def check_settings(settings: dict, files: Files, reported: set[tuple[str, int]]) -> None:
    """Whether everything that is named exists, and all numbers fit.

    Args:
        settings: the content of the files, each as its model describes it.
        files: their names.
        reported: experiment and k of the paper's values.

    Raises:
        ConfigError: they do not; the first mistake that is found.
    """
    preset, recipes, experiments = (settings[name] for name in ("preset", "recipes", "experiments"))
    check_preset_name(preset, files)
    check_items(experiments, files)
    for name, recipe in recipes.items():
        check_lengths(recipe, files.at("recipes", "recipes", name))
        check_warmup_recipe(recipe, recipes, files.at("recipes", "recipes", name))
        check_objectives(recipe, files.at("recipes", "recipes", name))
    for name, experiment in experiments.items():
        where = files.at("experiments", "experiments", name)
        {"closed_form": check_closed_form, "diagonal": check_diagonal, "comparison": check_comparison}[
            experiment["kind"]
        ](experiment, recipes, where)
    for name, experiment in experiments.items():  # once the closed forms that they name are known to be right
        if experiment["kind"] == "comparison" and "alignment" in experiment:
            check_alignment(experiment, experiments, files.at("experiments", "experiments", name))
    for kind in ("recipes", "experiments"):
        check_known(preset[kind], settings[kind], files, kind)
    for name in preset["experiments"]:
        check_scale_of_experiment(name, settings, files)
        check_seeds_of_experiment(name, preset, files)
        check_needs(name, settings, files)
    check_names(settings, files)
    check_held_out(preset, files)
    for name in preset["recipes"]:
        check_keys_of_trainer(name, settings, files)
        check_overrides(name, settings, files)
    check_seeds_in_one_job(preset, files)
    for name in preset["recipes"]:
        check_micro_batches(name, settings, files)
    for name in preset["experiments"]:
        check_pools(name, settings, files)
    check_preconditions(settings["claims"]["preconditions"], settings, files.at("claims", "preconditions"))
    for name, claim in settings["claims"]["claims"].items():
        check_claim(claim, settings, reported, files, files.at("claims", "claims", name))


def refuse_unless_named(names: Iterable[str], allowed: Iterable[str], where: str, wanted: str = "one of") -> None:
    """A sentence for the first name that is not among those allowed."""
    for name in names:
        if name not in allowed:
            raise ConfigError(f"{where}: found {name!r}, wanted {wanted} {', '.join(map(str, allowed))}")


def refuse_unless_made(make: Callable, name: str, where: str) -> None:
    """The registry's sentence about a name from which it makes nothing."""
    try:
        make(name)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


# --- recipes ---------------------------------------------------------------------------------------------------------


def check_lengths(recipe: dict, where: str) -> None:
    """Whether prompt and target fit."""
    if recipe["longest_prompt"] >= recipe["max_length"]:
        raise ConfigError(
            f"{where}.longest_prompt: found {recipe['longest_prompt']}, "
            f"wanted less than max_length {recipe['max_length']}, which holds prompt and target"
        )


def check_objectives(recipe: dict, where: str) -> None:
    """Whether there are the objectives that a recipe and its warm-up train."""
    from ..advantages import rl_objective
    from ..objectives import sft_objective

    for objective in recipe["objectives"]:
        make = {"sft": sft_objective, "grpo": rl_objective}[recipe["trainer"]]
        refuse_unless_made(make, objective, f"{where}.objectives")
    if recipe["warmup"] is not None:
        refuse_unless_made(sft_objective, recipe["warmup"], f"{where}.warmup")


def check_warmup_recipe(recipe: dict, recipes: dict, where: str) -> None:
    """Whether another recipe's warm-up is there, and is the only one."""
    if "warmup_recipe" not in recipe:
        return
    others = [other for other, entry in recipes.items() if entry["warmup"] is not None]
    if recipe["warmup"] is not None or recipe["warmup_recipe"] not in others:
        raise ConfigError(
            f"{where}.warmup_recipe: found {recipe['warmup_recipe']!r} and warmup {recipe['warmup']}; wanted warmup "
            f"null and one of {', '.join(others)}"
        )


# --- experiments -----------------------------------------------------------------------------------------------------


def check_items(experiments: dict, files: Files) -> None:
    """Whether each experiment shows something, and no two the same figure or table.

    Two comparisons may be halves of one table, unless alignment stands beside them.
    """
    shown: dict[str, tuple[str, bool]] = {}
    for name, experiment in experiments.items():
        where = files.at("experiments", "experiments", name)
        table = experiment.get("table")
        if table is None and not experiment["figures"]:
            raise ConfigError(f"{where}: found neither a table nor figures, wanted something that it shows")
        joint = experiment["kind"] == "comparison" and "alignment" not in experiment
        for item in [*experiment["figures"], *([] if table is None else [table])]:
            owner, shared = shown.setdefault(item, (name, joint and item == table))
            if owner != name and not (shared and joint and item == table):
                raise ConfigError(f"{where}: found {item!r}, which {owner!r} shows; wanted a name of its own")


def check_trained(recipe: str, objectives: list[str], recipes: dict, where: str, key: str = "objectives") -> None:
    """Whether a recipe trains the objectives that are named under a key."""
    refuse_unless_named([recipe], recipes, f"{where}.recipe")
    known = recipes[recipe]["objectives"]
    for name in objectives:
        if name not in known:
            raise ConfigError(f"{where}.{key}: {name!r} is no objective of its recipe; allowed are {', '.join(known)}")


def check_comparison(experiment: dict, recipes: dict, where: str) -> None:
    """Whether the runs are there that an experiment compares, and can be compared, and drawn, as it says."""
    for recipe in experiment_recipes(experiment):
        check_trained(recipe, compared_objectives(experiment), recipes, where)
    arms = [arm["name"] for arm in compared_arms(experiment)]
    refuse_unless_named([experiment["baseline"]], dict.fromkeys(arms), f"{where}.baseline", "one of what it compares:")
    check_drawing(experiment, recipes, where)
    if len(set(arms)) < len(arms):
        raise ConfigError(f"{where}.recipe: several recipes are compared under one objective, found more")
    check_metric(experiment, recipes, where)


def check_drawing(experiment: dict, recipes: dict, where: str) -> None:
    """Whether what a figure draws is there: alignment, or records of reinforcement learning."""
    for figure, kind in experiment["figures"].items():
        if kind in ("matrix", "alignment") and "alignment" not in experiment:
            raise ConfigError(f"{where}: the key 'alignment' is missing: {figure!r} is drawn over budgets N")
        for recipe in experiment_recipes(experiment) if kind == "training" else []:
            if recipes[recipe]["trainer"] != "grpo":
                raise ConfigError(
                    f"{where}.figures.{figure}: found {kind!r}, but the recipe {recipe!r} is trained by "
                    f"{recipes[recipe]['trainer']}; wanted recipes trained by grpo"
                )


def check_metric(experiment: dict, recipes: dict, where: str) -> None:
    """Whether completions are scored as the metric needs: right or wrong, or by a reward."""
    rewarded = experiment["metric"] == "bon"
    for recipe in experiment_recipes(experiment):
        if rewarded == (recipes[recipe]["reward"] == "answer"):
            raise ConfigError(
                f"{where}.metric: found {experiment['metric']!r}, but the recipe {recipe!r} is rewarded for "
                f"{recipes[recipe]['reward']}; wanted {'pass or maj' if rewarded else 'bon'}"
            )


def check_diagonal(experiment: dict, recipes: dict, where: str) -> None:
    """Whether the runs are there whose pools figures show."""
    for figure, content in experiment["figures"].items():
        check_trained(content["recipe"], [content["objective"]], recipes, f"{where}.figures.{figure}", "objective")


def check_alignment(experiment: dict, experiments: dict, where: str) -> None:
    """Whether an experiment over budgets N names one that knows the alignment of all its objectives' weights."""
    closed_forms = [name for name, entry in experiments.items() if entry["kind"] == "closed_form"]
    refuse_unless_named([experiment["alignment"]], closed_forms, f"{where}.alignment")
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


def check_closed_form(experiment: dict, recipes: dict, where: str) -> None:
    """Whether there are the strategies that a closed form names, and they are of the kind that it computes."""
    from ..objectives import strategy

    check_within_prompt(experiment, f"{where}.normalisation.within_prompt.strategies")
    over_batch = experiment["normalisation"]["strategies"]
    for key, names in (strategies_by_key(experiment) | {"normalisation.strategies": over_batch}).items():
        for name in names:
            refuse_unless_made(strategy, name, f"{where}.{key}")
    for name in over_batch:
        if name.startswith("best_of"):
            raise ConfigError(f"{where}.normalisation.strategies: {name!r} weights samples, wanted weights of prompts")
    check_waste(experiment, where)


def check_within_prompt(experiment: dict, where: str) -> None:
    """Whether the RL objectives are there that are normalised within a prompt, and weight by rewards and votes."""
    from ..advantages import rl_objective

    for name in experiment["normalisation"]["within_prompt"]["strategies"]:
        refuse_unless_made(rl_objective, name, where)
        if "log_p" in rl_objective(name).needs:
            raise ConfigError(f"{where}: {name!r} weights by log p, wanted weights of rewards and votes")


def check_waste(experiment: dict, where: str) -> None:
    """Whether the alignment of the strategies is computed whose waste figures show."""
    for figure, content in experiment["figures"].items():
        if content["draw"] != "waste":
            continue
        for key, names in (("train", [content["train"]]), ("strategies", content["strategies"])):
            for name in names:
                if name not in experiment["alignment"]["strategies"]:
                    raise ConfigError(f"{where}.figures.{figure}.{key}: {name!r} is not among alignment.strategies")


# --- a preset --------------------------------------------------------------------------------------------------------


def check_preset_name(preset: dict, files: Files) -> None:
    """Whether a preset's results would lie in a folder of their own."""
    if preset["preset"].lower() == RESERVED_PRESET:
        raise ConfigError(
            f"{files.at('preset', 'preset')}: found {preset['preset']!r}, wanted another name: "
            f"results/{RESERVED_PRESET} holds the committed runs"
        )


def check_known(names: Iterable[str], known: dict, files: Files, kind: str) -> None:
    """Whether the recipes or experiments of a preset are defined."""
    for name in names:
        if name not in known:
            raise ConfigError(
                f"{files.at('preset', kind)}: found {name!r}, which {files.folder / kind}.yaml does not define; "
                f"allowed are {', '.join(known)}"
            )


def check_scale_of_experiment(name: str, settings: dict, files: Files) -> None:
    """Whether an experiment has test budgets just where it compares runs, and alignment is computed for them."""
    scale, experiment = settings["preset"]["experiments"][name], settings["experiments"][name]
    where = files.at("preset", "experiments", name)
    if experiment["kind"] != "comparison":
        if scale.keys() - ({"seeds"} if experiment["kind"] == "diagonal" else set()):
            raise ConfigError(f"{where}: found {scale!r}, wanted {{}}: it compares no runs and has no scale")
        return
    if "k" not in scale:
        raise ConfigError(f"{where}: the key 'k' is missing: it compares runs under test budgets k")
    if "alignment" in experiment:
        closed_form = experiment["alignment"]
        if closed_form not in settings["preset"]["experiments"]:
            raise ConfigError(f"{files.at('preset', 'experiments')}: {name!r} needs {closed_form!r} beside it")
        for k in scale["k"]:
            if f"pass_n{k}" not in settings["experiments"][closed_form]["alignment"]["strategies"]:
                raise ConfigError(f"{where}.k: {k} has no alignment in {closed_form!r}: no 'pass_n{k}'")


def check_seeds_of_experiment(name: str, preset: dict, files: Files) -> None:
    """Whether an experiment with seeds of its own takes them from the preset's, and each seed has jobs of its own."""
    own, where = preset["experiments"][name].get("seeds"), f"{files.at('preset', 'experiments', name)}.seeds"
    if own is None:
        return
    refuse_unless_named(own, preset["seeds"], where)
    if preset["seeds_in_one_job"]:
        raise ConfigError(f"{where}: found {own}, but a job goes through all seeds; wanted seeds_in_one_job: false")


def check_needs(experiment: str, settings: dict, files: Files) -> None:
    """Whether a preset has the recipes, models and data that an experiment's runs need."""
    recipes, preset = settings["recipes"], settings["preset"]
    for recipe, objective in recipes_and_objectives(settings["experiments"][experiment]):
        for needed in (recipe, recipes[recipe].get("warmup_recipe", recipe)):
            if needed not in preset["recipes"]:
                where = files.at("preset", "recipes")
                raise ConfigError(f"{where}: the experiment {experiment!r} needs the recipe {needed!r}")
            for kind, key in ROLES.items():
                if recipes[needed][key] not in preset[kind]:
                    where = files.at("preset", kind)
                    raise ConfigError(f"{where}: the recipe {needed!r} needs an entry {recipes[needed][key]!r}")
        check_success_rate(recipe, objective, settings, files)


def check_success_rate(recipe: str, objective: str, settings: dict, files: Files) -> None:
    """Whether it is said how success rates are measured, if an objective asks for them."""
    from ..objectives import sft_objective

    if settings["recipes"][recipe]["trainer"] != "sft" or not sft_objective(objective).needs_success_rate:
        return
    for name, content in (("recipes", settings), ("preset", settings["preset"])):
        if "success_rate" not in content["recipes"][recipe]:
            where = files.at(name, "recipes", recipe)
            raise ConfigError(f"{where}: the key 'success_rate' is missing; {objective!r} needs it")


def check_names(settings: dict, files: Files) -> None:
    """Whether each entry is the task or model of some recipe, or held out from a model; no run would use another."""
    held_out = {model["source"].get("held_out") for model in settings["preset"]["models"].values()}
    for kind, key in ROLES.items():
        known = dict.fromkeys(recipe[key] for recipe in settings["recipes"].values())
        names = [name for name in settings["preset"][kind] if kind == "models" or name not in held_out]
        wanted = f"the {key} of a recipe of {files.folder / 'recipes'}.yaml, which are"
        refuse_unless_named(names, known, files.at("preset", kind), wanted)


def check_held_out(preset: dict, files: Files) -> None:
    """Whether the problems are there that the corpus of a generated model must not hold."""
    for name, model in preset["models"].items():
        held_out = model["source"].get("held_out")
        where = f"{files.at('preset', 'models', name)}.source.held_out"
        refuse_unless_named([] if held_out is None else [held_out], preset["data"], where, "an entry of data:")


def check_keys_of_trainer(name: str, settings: dict, files: Files) -> None:
    """Whether a recipe has the keys that its trainer needs, and no others."""
    recipe, scale = settings["recipes"][name], settings["preset"]["recipes"][name]
    rl = recipe["trainer"] == "grpo"
    if rl != ("rl" in recipe):
        raise ConfigError(
            f"{files.at('recipes', 'recipes', name)}: the key 'rl' {'is missing' if rl else 'has no use'}; its "
            f"trainer is {recipe['trainer']}"
        )
    wanted = [] if rl and recipe["warmup"] is None else list(SUPERVISED_STAGE)
    wanted += ["warmup_epochs"] * (recipe["warmup"] is not None) + (["rl"] if rl else ["epochs"])
    where = files.at("preset", "recipes", name)
    for key in wanted:
        if key not in scale:
            raise ConfigError(f"{where}: the key {key!r} is missing; found {', '.join(scale)}")
    for key in scale:
        if key not in [*wanted, "evaluation", "success_rate", "overrides"]:
            raise ConfigError(
                f"{where}: the key {key!r} has no use: the recipe's trainer is {recipe['trainer']}, its warm-up "
                f"{recipe['warmup']}"
            )


def check_seeds_in_one_job(preset: dict, files: Files) -> None:
    """Whether the backend can sample several runs in one job."""
    if preset["sampling_backend"] == "vllm" and preset["seeds_in_one_job"]:
        raise ConfigError(
            f"{files.at('preset', 'seeds_in_one_job')}: found True with sampling_backend vllm, whose engine takes the "
            "GPU for one run; wanted False"
        )


def check_overrides(name: str, settings: dict, files: Files) -> None:
    """Whether overrides are of objectives that the recipe trains, and of keys that its trainer has."""
    recipe, overrides = settings["recipes"][name], settings["preset"]["recipes"][name].get("overrides", {})
    where = f"{files.at('preset', 'recipes', name)}.overrides"
    refuse_unless_named(overrides, recipe["objectives"], where)
    for objective, values in overrides.items():
        refuse_unless_named(values, OVERRIDES[recipe["trainer"]], f"{where}.{objective}")


def check_micro_batches(name: str, settings: dict, files: Files) -> None:
    """Whether batches can be cut into micro-batches of one size, those of overrides, too."""
    scale, where = settings["preset"]["recipes"][name], files.at("preset", "recipes", name)
    overrides = {f"{where}.overrides.{objective}": own for objective, own in scale.get("overrides", {}).items()}
    for at, own in {where: {}, **({} if "rl" in scale else overrides)}.items():
        sizes = scale | own
        if "batch_size" in sizes and sizes["batch_size"] % sizes["micro_batch_size"]:
            raise ConfigError(
                f"{at}.micro_batch_size: found {sizes['micro_batch_size']}, "
                f"wanted a divisor of batch_size {sizes['batch_size']}"
            )
    for at, own in {f"{where}.rl": {}, **overrides}.items() if "rl" in scale else ():
        batch = scale["rl"]["prompts_per_step"] * settings["recipes"][name]["rl"]["group_size"]
        size = own.get("micro_batch_size", scale["rl"]["micro_batch_size"])
        if batch % size:
            raise ConfigError(
                f"{at}.micro_batch_size: found {size}, wanted a divisor of prompts_per_step x group_size = {batch}"
            )


def check_pools(name: str, settings: dict, files: Files) -> None:
    """Whether pools hold as many samples as the largest test budget."""
    if settings["experiments"][name]["kind"] == "comparison":
        largest = max(settings["preset"]["experiments"][name]["k"])
        where = files.at("preset", "experiments", name)
        for recipe in experiment_recipes(settings["experiments"][name]):
            refuse_beyond_pool(largest, recipe, settings, f"{where}.k")


def refuse_beyond_pool(k: int, recipe: str, settings: dict, where: str, file: str = "") -> None:
    """A sentence for a test budget that is larger than a recipe's pools."""
    samples = settings["preset"]["recipes"][recipe]["evaluation"]["samples"]
    if k > samples:
        raise ConfigError(
            f"{where}: found {k}, which is more than the {samples} samples of recipes.{recipe}.evaluation.samples"
            f"{file}; wanted k <= samples"
        )


# --- claims ----------------------------------------------------------------------------------------------------------


def check_preconditions(preconditions: dict, settings: dict, where: str) -> None:
    """Whether what the claims' preconditions name exists."""
    refuse_unless_named(preconditions["scale"]["completions"], settings["recipes"], f"{where}.scale.completions")
    refuse_unless_named(preconditions["headroom"]["ranges"], settings["experiments"], f"{where}.headroom.ranges")


def check_claim(claim: dict, settings: dict, reported: set[tuple[str, int]], files: Files, where: str) -> None:
    """Whether the experiment that a claim names can decide it.

    A preset need not run that experiment, nor at a test budget that the paper reports; the claim is not tested then.
    """
    name, experiments = claim["experiment"], settings["experiments"]
    refuse_unless_named([name], experiments, f"{where}.experiment")
    for index, part in enumerate(claim["parts"]):
        at = f"{where}.parts.{index}"
        check_kind_of_part(part, name, experiments[name], at)
        check_names_of_part(part, name, experiments[name], at)
        if part["kind"] == "gains_by_alignment":
            check_gains_by_alignment(part, experiments, at)
        if part["kind"] == "slope_in_k" and part["k"] != "all" and len(part["k"]) < 2:
            raise ConfigError(f"{at}.k: found {part['k']}, wanted at least two, to have a slope")
        check_budgets_of_part(part, name, settings, reported, files, at)


def check_kind_of_part(part: dict, name: str, experiment: dict, where: str) -> None:
    """Whether an experiment's results can decide a part of a claim."""
    kinds = DECIDED_BY[experiment["kind"]]
    if part["kind"] not in kinds:
        raise ConfigError(
            f"{where}.kind: found {part['kind']!r}, but {name!r} is a {experiment['kind']}; wanted one of "
            f"{', '.join(kinds)}"
        )


def check_names_of_part(part: dict, name: str, experiment: dict, where: str) -> None:
    """Whether an experiment has the arms, figures or strategies that a part of a claim is about."""
    if experiment["kind"] == "comparison":
        arms = [arm["name"] for arm in compared_arms(experiment)]
        known = dict.fromkeys(("objectives", "over", "reported"), arms)
    elif experiment["kind"] == "diagonal":
        known = {"figure": list(experiment["figures"])}
    else:
        known = dict.fromkeys(("train", "test"), experiment["alignment"]["strategies"])
    for key, allowed in known.items():
        named = part.get(key, [])
        names = [named] if isinstance(named, str) else named
        refuse_unless_named(names, allowed, f"{where}.{key}", f"one of {name}'s:")
    if part["kind"] in ("share", "share_below") and experiment["metric"] != "bon":
        raise ConfigError(f"{where}.kind: found {part['kind']!r}, but {name!r} samples no proteins")


def check_gains_by_alignment(part: dict, experiments: dict, where: str) -> None:
    """Whether the alignment is computed that gains are held against."""
    closed = {key: entry for key, entry in experiments.items() if entry["kind"] == "closed_form"}
    refuse_unless_named([part["alignment"]], closed, f"{where}.alignment")
    strategies = closed[part["alignment"]]["alignment"]["strategies"]
    wanted = f"strategies of {part['alignment']}'s alignment:"
    refuse_unless_named([part["train"], *part["objectives"]], strategies, where, wanted)


def check_budgets_of_part(
    part: dict, name: str, settings: dict, reported: set[tuple[str, int]], files: Files, where: str
) -> None:
    """Whether pools are large enough for the test budgets of a claim that are not the paper's."""
    if name not in settings["preset"]["experiments"] or part.get("k", "all") == "all":
        return
    experiment = settings["experiments"][name]
    asked = [k for k in part["k"] if (experiment.get("reported_from", name), k) not in reported]
    for recipe in experiment_recipes(experiment) if asked else []:
        refuse_beyond_pool(max(asked), recipe, settings, f"{where}.k", f" in {files.preset}")
