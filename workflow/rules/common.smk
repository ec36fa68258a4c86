"""Functions that the other files share: names of files, settings of jobs, and the items of an experiment."""

from compute_aligned.config import sampling_settings, training_settings
from compute_aligned.objectives import sft_objective
from compute_aligned.provenance import code_hash

SCRIPTS = Path(workflow.basedir) / "workflow" / "scripts"

# Objectives of each recipe that the preset's experiments compare, and the warm-up they start from.
RUNS = {}
for experiment in EXPERIMENTS.values():
    objectives = RUNS.setdefault(experiment["recipe"], ["warmup"])
    objectives += [name for name in experiment["objectives"] if name not in objectives]


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
    ITEM_FILES[experiment["table"]] = [
        f"{RESULTS}/tables/{experiment['table']}.{ending}" for ending in ("csv", "md", "tex")
    ]
    for figure in experiment["figures"]:
        ITEM_FILES[figure] = [f"{RESULTS}/figures/{figure}.{ending}" for ending in ("pdf", "png")]

# table or figure -> the experiment it shows
EXPERIMENT_OF = {
    item: name for name, experiment in EXPERIMENTS.items() for item in [experiment["table"], *experiment["figures"]]
}


def items(experiment):
    """All files of an experiment's tables and figures."""
    return [file for item, files in ITEM_FILES.items() if EXPERIMENT_OF[item] == experiment for file in files]


def metrics_of_item(kind):
    """Input function: a metrics file of the experiment that a table or figure shows."""

    def file(wildcards):
        return f"{RESULTS}/metrics/{EXPERIMENT_OF[wildcards.item]}.{kind}.csv"

    return file


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
