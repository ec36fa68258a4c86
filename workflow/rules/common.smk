"""Functions that the other files share: names of files, settings of jobs, and the items of an experiment."""

from compute_aligned.config import (
    closed_form_settings,
    diagonal_settings,
    recipes_and_objectives,
    sampling_settings,
    training_settings,
)
from compute_aligned.objectives import sft_objective
from compute_aligned.provenance import code_hash

SCRIPTS = Path(workflow.basedir) / "workflow" / "scripts"

# Experiments that compare trained runs, those that need none, and those that look at pools of single runs.
COMPARISONS = {name: entry for name, entry in EXPERIMENTS.items() if entry["kind"] == "comparison"}
CLOSED_FORMS = {name: entry for name, entry in EXPERIMENTS.items() if entry["kind"] == "closed_form"}
DIAGONALS = {name: entry for name, entry in EXPERIMENTS.items() if entry["kind"] == "diagonal"}

# Objectives of each recipe that the preset's experiments look at, and the warm-up they start from.
RUNS = {}
for experiment in EXPERIMENTS.values():
    for recipe, objective in recipes_and_objectives(experiment):
        objectives = RUNS.setdefault(recipe, ["warmup"])
        if objective not in objectives:
            objectives.append(objective)


def code_of(script):
    """The parameter `code`: hash of the parsed source that a script runs."""
    return code_hash(SCRIPTS / script)


def task_of(wildcards):
    return SETTINGS["recipes"][wildcards.recipe]["task"]


def base_model(wildcards):
    return f"{RESULTS}/models/base/{task_of(wildcards)}"


def runs_of(experiment):
    """The runs that an experiment compares: objective and seed."""
    return [
        {"objective": objective, "seed": seed}
        for objective in EXPERIMENTS[experiment]["objectives"]
        for seed in PRESET["seeds"]
    ]


def diagnosed_runs(experiment):
    """The runs whose pools an experiment's figures show, each once: recipe, objective and seed."""
    return [
        {"recipe": recipe, "objective": objective, "seed": seed}
        for recipe, objective in recipes_and_objectives(EXPERIMENTS[experiment])
        for seed in PRESET["seeds"]
    ]


def diagnosed_scores(wildcards):
    """The scores of diagnosed_runs, in their order."""
    return [
        f"{RESULTS}/scores/{run['recipe']}/{run['objective']}/seed{run['seed']}.parquet"
        for run in diagnosed_runs(wildcards.experiment)
    ]


def run_files(stage):
    """Input function: the files of a stage of all runs of an experiment, in the order of runs_of."""

    def files(wildcards):
        recipe = EXPERIMENTS[wildcards.experiment]["recipe"]
        return [
            f"{RESULTS}/{stage}/{recipe}/{run['objective']}/seed{run['seed']}.parquet"
            for run in runs_of(wildcards.experiment)
        ]

    return files


# table or figure -> its files
ITEM_FILES = {}
for experiment in EXPERIMENTS.values():
    if "table" in experiment:
        ITEM_FILES[experiment["table"]] = [
            f"{RESULTS}/tables/{experiment['table']}.{ending}" for ending in ("csv", "md", "tex")
        ]
    for figure in experiment["figures"]:
        ITEM_FILES[figure] = [f"{RESULTS}/figures/{figure}.{ending}" for ending in ("pdf", "png")]

# table or figure -> the experiment it shows
EXPERIMENT_OF = {figure: name for name, experiment in EXPERIMENTS.items() for figure in experiment["figures"]}
EXPERIMENT_OF |= {entry["table"]: name for name, entry in EXPERIMENTS.items() if "table" in entry}


def items(experiment):
    """All files of an experiment's table, if it has one, and figures."""
    return [file for item, files in ITEM_FILES.items() if EXPERIMENT_OF[item] == experiment for file in files]


def metrics_of_item(kind):
    """Input function: a metrics file of the experiment that a table or figure shows, such as summary.csv."""

    def file(wildcards):
        return f"{RESULTS}/metrics/{EXPERIMENT_OF[wildcards.item]}.{kind}"

    return file


def entry_of(wildcards):
    """The experiment that a table or figure shows."""
    return EXPERIMENTS[EXPERIMENT_OF[wildcards.item]]


def one_of(names):
    """Constraint of a wildcard: one of these names. No name at all matches nothing, where "" would match everything."""
    return "|".join(map(str, names)) or "(?!)"


def tables_of(experiments):
    """Constraint of the wildcard `item`: the tables of some experiments."""
    return one_of(entry["table"] for entry in experiments.values() if "table" in entry)


def figures_of(experiments):
    """Constraint of the wildcard `item`: the figures of some experiments."""
    return one_of(figure for entry in experiments.values() for figure in entry["figures"])


def data_files(wildcards):
    """Local files that a task is read from, so that a changed file is read again."""
    source = PRESET["data"][wildcards.task].get("source", {})
    return [source[name] for name in ("train_file", "test_file") if name in source]


def start_of(wildcards):
    if wildcards.objective == "warmup":
        return base_model(wildcards)
    return f"{RESULTS}/models/{wildcards.recipe}/warmup/seed{wildcards.seed}"


def experiment_settings(wildcards):
    experiment = EXPERIMENTS[wildcards.experiment]
    return {
        "name": wildcards.experiment,
        "labels": {name: sft_objective(name).label for name in experiment["objectives"]},
        "ks": experiment["k"],
        **{key: experiment[key] for key in ("recipe", "objectives", "baseline", "metric", "paper_item")},
    }
