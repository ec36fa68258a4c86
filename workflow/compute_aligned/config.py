"""Reading, checking and resolving the configuration. No default stands here: every value comes from a file."""

import csv
import re
from pathlib import Path

import jsonschema
import yaml

from .seeds import derive_seed

SCHEMAS = Path(__file__).parents[1] / "schemas"
# Keys whose value says which branch of an alternative is meant.
DISCRIMINATORS = ("kind", "loader", "draw", "model_type")
LARGEST_NUMBER = 2**53  # up to it a float tells whole numbers apart, and no size or count of a run comes near it
LONGEST_SHOWN = 200  # characters of a wrong value that a sentence repeats
MOST_SENTENCES = 10  # about one file
# Committed runs stand in results/reference.
RESERVED_PRESET = "reference"


class ConfigError(ValueError):
    """A configuration that cannot be run; the message names file, key, what was found and what is allowed."""


def load_settings(preset: dict, preset_file: str, folder: Path) -> dict:
    """The whole checked configuration: the preset with ``recipes.yaml``, ``experiments.yaml`` and ``claims.yaml``.

    Args:
        preset: the preset's content, as Snakemake gives it.
        preset_file: its file name or names, for error messages.
        folder: folder of these files and of ``reported.csv``.

    Returns:
        ``{"preset": ..., "recipes": ..., "experiments": ..., "claims": ...}``, plain values; claims are the whole
        file, with the level and power of their tests.

    Raises:
        ConfigError: anything that could not be run.
    """
    settings = {"preset": preset}
    _read_command_line_values(preset)
    _check_schema(preset, "preset", preset_file)
    for name in ("recipes", "experiments", "claims"):
        file = folder / f"{name}.yaml"
        content = read_yaml(file)
        _check_schema(content, name, str(file))
        settings[name] = content if name == "claims" else content[name]
    _check_names(settings, preset_file, folder)
    _check_scale(settings, preset_file, folder)
    _check_budgets(settings, preset_file)
    with open(folder / "reported.csv") as file:
        reported = {(row["experiment"], int(row["k"])) for row in csv.DictReader(file) if row["k"]}
    where = f"{folder / 'claims.yaml'}: preconditions"
    _check_preconditions(settings["claims"]["preconditions"], settings, where)
    for name, claim in settings["claims"]["claims"].items():
        _check_claim(claim, settings, reported, preset_file, f"{folder / 'claims.yaml'}: claims.{name}")
    return settings


def read_yaml(file: Path) -> dict:
    """The content of a configuration file, a mapping.

    Raises:
        ConfigError: there is no such file, or it is no YAML in UTF-8, or what YAML's usual readers take in silence: a
            key that stands twice, of which they keep the last, and a number that they read as another than it looks.
    """
    try:
        with open(file, encoding="utf-8") as stream:
            content = yaml.load(stream, _StrictLoader)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; wanted a configuration file, such as config/tiny.yaml") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: found bytes that are no UTF-8 ({error.reason}), wanted YAML in UTF-8") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: found {_shown(content)}, wanted keys and their values")
    return content


def read_preset(file: Path) -> dict:
    """A preset alone, as its file has it, once it is found to have the keys and values of its schema.

    Raises:
        ConfigError: as ``read_yaml``, or a key or value is wrong.
    """
    preset = read_yaml(file)
    _read_command_line_values(preset)
    _check_schema(preset, "preset", str(file))
    return preset


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice, and 010, which YAML 1.1 reads as 8, 1:30, which is 90, and 1_0."""

    def compose_scalar_node(self, anchor):
        node = super().compose_scalar_node(anchor)
        if node.tag == "tag:yaml.org,2002:int" and not re.fullmatch("[+-]?(0|[1-9][0-9]*)", node.value):
            line = node.start_mark.line + 1
            raise ConfigError(f"{self.name}: line {line}: found {_shown(node.value)}, wanted a number in plain digits")
        return node

    def compose_mapping_node(self, anchor):
        node = super().compose_mapping_node(anchor)
        lines = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{self.name}: line {line}: found a list or a mapping as a key, wanted a name")
            if key.value in lines:
                raise ConfigError(
                    f"{self.name}: {key.value}: the key stands twice, in lines {lines[key.value]} and {line}"
                )
            lines[key.value] = line
        return node


def _is_number(value) -> bool:
    """Whether a value is a finite number: nan and infinity fail the comparison."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER


def _pattern(validator, pattern: str, instance, schema: dict):
    """A pattern fits the whole text: `$` alone would let a newline follow."""
    if isinstance(instance, str) and not re.fullmatch(pattern, instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


# JSON Schema takes 2.0 for an integer and has no word on nan and infinity.
_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    {"pattern": _pattern},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) and _is_number(value),
            "number": lambda _, value: _is_number(value),
        }
    ),
)


def _validator(schema: str) -> jsonschema.Draft202012Validator:
    return _Validator(yaml.safe_load((SCHEMAS / f"{schema}.yaml").read_text()))


def _read_command_line_values(preset: dict) -> None:
    """Turn strings into the numbers and booleans that the schema wants: `--config 'seeds=[1]'` arrives as ["1"]."""
    pending = list(_validator("preset").iter_errors(preset))
    while pending:
        error = pending.pop()
        pending += error.context  # the complaints of each branch of an alternative (oneOf)
        if error.validator in ("type", "enum") and isinstance(error.instance, str):
            *parents, key = error.absolute_path
            holder = preset
            for parent in parents:
                holder = holder[parent]
            holder[key] = _plain_value(error.instance)


def _plain_value(text: str):
    if re.fullmatch(r"[+-]?[0-9]+[eE][+-]?[0-9]+", text):  # YAML 1.1 reads 5e-4, without a point, as text
        return float(text)
    try:
        value = yaml.load(text, _StrictLoader)
    except (yaml.YAMLError, ValueError):
        return text
    # YAML reads nothing, and a comment alone, as null, which is a choice of its own where a key allows it.
    return text if value is None and text.strip() not in ("null", "~") else value


def _check_schema(content: dict, schema: str, file: str) -> None:
    validator = _validator(schema)
    errors = sorted(validator.iter_errors(content), key=lambda error: list(map(str, error.absolute_path)))
    if errors:
        sentences = [_sentence(_innermost(error), file) for error in errors[:MOST_SENTENCES]]
        if len(errors) > MOST_SENTENCES:
            sentences.append(f"{file}: and {len(errors) - MOST_SENTENCES} more; is it the file that was meant?")
        raise ConfigError("\n".join(sentences))


def _innermost(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """Of an alternative (oneOf), the complaint of the branch whose kind, loader or draw fits."""
    while error.context:
        branches: dict[int, list] = {}
        for inner in error.context:
            branches.setdefault(inner.schema_path[0], []).append(inner)
        meant = [b for b in branches.values() if not any(inner.validator == "const" for inner in b)]
        if not meant:
            return error
        error = meant[0][0]
    return error


def _sentence(error: jsonschema.ValidationError, file: str) -> str:
    key = ".".join(map(str, error.absolute_path)) or "top level"
    found, schema = error.instance, error.schema
    if error.validator == "additionalProperties":
        unknown = sorted(set(found) - set(schema["properties"]), key=str)
        return f"{file}: {key}: unknown key {unknown[0]!r}; allowed are {', '.join(schema['properties'])}"
    if error.validator == "required":
        missing = [name for name in schema["required"] if name not in found]
        return f"{file}: {key}: the key {missing[0]!r} is missing; found {', '.join(map(str, found)) or 'none'}"
    if error.validator in ("oneOf", "anyOf"):
        branches = [branch.get("properties", {}) for branch in error.validator_value]
        kinds = [(n, p[n]["const"]) for p in branches for n in DISCRIMINATORS if "const" in p.get(n, {})]
        wanted = (
            f"{kinds[0][0]} one of {', '.join(value for _, value in kinds)}"
            if kinds
            else " or ".join("+".join(branch["required"]) for branch in error.validator_value)
        )
        return f"{file}: {key}: found {_shown(found)}, wanted {wanted}"
    if error.validator == "dependentRequired":
        name, missing = next((n, m) for n, wanted in error.validator_value.items() for m in wanted if n in found)
        return f"{file}: {key}: the key {missing!r} is missing beside {name!r}"
    kinds = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    numeric = isinstance(found, int | float) and not _is_number(found) and not isinstance(found, bool)
    beyond = ", finite and at most 2^53" if numeric else ""
    wanted = {
        "enum": lambda: "one of " + ", ".join("null" if v is None else str(v) for v in schema["enum"]),
        "type": lambda: f"a value of type {' or '.join(kinds)}{beyond}",
        "minimum": lambda: f"at least {schema['minimum']}",
        "maximum": lambda: f"at most {schema['maximum']}",
        "exclusiveMinimum": lambda: f"more than {schema['exclusiveMinimum']}",
        "exclusiveMaximum": lambda: f"less than {schema['exclusiveMaximum']}",
        "multipleOf": lambda: f"a multiple of {schema['multipleOf']}",
        "minItems": lambda: f"at least {schema['minItems']} entries",
        "maxItems": lambda: f"at most {schema['maxItems']} entries",
        "minLength": lambda: "a text that is not empty",
        "minProperties": lambda: f"at least {schema['minProperties']} entries",
        "uniqueItems": lambda: "entries that differ",
        "pattern": lambda: f"a name like {schema['pattern']}",
        "const": lambda: repr(schema["const"]),
    }.get(error.validator, lambda: error.message)()
    return f"{file}: {key}: found {_shown(found)}, wanted {wanted}"


def _shown(value) -> str:
    """A value as a sentence repeats it."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _check_names(settings: dict, preset_file: str, folder: Path) -> None:
    from .advantages import rl_objective
    from .objectives import sft_objective

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
    from .advantages import rl_objective
    from .objectives import strategy

    normalisation = experiment["normalisation"]
    named = _strategies_by_key(experiment)
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


def _strategies_by_key(experiment: dict) -> dict[str, list[str]]:
    """The strategies that a closed-form experiment names, by the key under which it does."""
    named = {f"{key}.strategies": experiment[key]["strategies"] for key in ("values", "alignment")}
    for name, figure in experiment["figures"].items():
        named[f"figures.{name}.strategies"] = figure["strategies"]
        if "train" in figure:
            named[f"figures.{name}.train"] = [figure["train"]]
    return named


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


def _check_preconditions(preconditions: dict, settings: dict, where: str) -> None:
    """Whether what the claims' preconditions name exists."""
    for key, entries, allowed in (
        ("scale.completions", preconditions["scale"]["completions"], settings["recipes"]),
        ("headroom.ranges", preconditions["headroom"]["ranges"], settings["experiments"]),
    ):
        for found in entries:
            if found not in allowed:
                raise ConfigError(f"{where}.{key}: found {found!r}, wanted one of {', '.join(allowed)}")


def _check_claim(claim: dict, settings: dict, reported: set[tuple[str, int]], preset_file: str, where: str) -> None:
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


def _check_scale(settings: dict, preset_file: str, folder: Path) -> None:
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


def _check_budgets(settings: dict, preset_file: str) -> None:
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


# --- what each job needs to know: plain values, only what matters to it ----------------------------------------------


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
    """Resolved settings of one supervised run; the objective ``warmup`` is the recipe's shared first stage."""
    from .objectives import sft_objective

    method, scale = settings["recipes"][recipe], settings["preset"]["recipes"][recipe]
    model = settings["preset"]["models"][method["model"]]
    stage = "warmup" if objective == "warmup" else "train"
    objective = method["warmup"] if stage == "warmup" else objective
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
    named = [name for names in _strategies_by_key(content).values() for name in names]
    return {
        "name": experiment,
        "strategies": sorted(set(named)),
        "p": content["values"]["p"],
        **{key: content[key] for key in ("points", "alignment", "variance", "normalisation", "paper_item")},
    }
