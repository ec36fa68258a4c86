"""Functions that the other files share: names of files, settings of jobs, and the items of an experiment."""

# `priority` in these files: where several jobs could run, what the most work waits for goes first, so that no long job
# is left over at the end. Reinforcement learning comes before fine-tuning, whose runs are shorter. What only reads
# finished runs has none.

import json
import shlex
import tempfile

from compute_aligned.config.resolving import (
    closed_form_settings,
    compared_arms,
    diagonal_settings,
    recipes_and_objectives,
    rl_settings,
    sampling_settings,
    training_settings,
)
from compute_aligned.advantages import rl_objective
from compute_aligned.objectives import sft_objective
from compute_aligned.provenance.hashing import code_hash

SCRIPTS = Path(workflow.basedir) / "workflow" / "scripts"


def stop_unless_writable(folder):
    """One sentence, and the end, where Snakemake would print a traceback: a read-only or full disk, a file of that name."""
    nearest = next(path for path in (Path(folder), *Path(folder).parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest) as file:
            file.write(bytes(4096))
    except OSError as error:
        print(f"{nearest.absolute()} cannot be written ({error.strerror}), nothing was done", file=sys.stderr)
        sys.exit(1)


if workflow.is_main_process:
    stop_unless_writable(".snakemake")


# Experiments that compare trained runs, those that need none, and those that look at pools of single runs.
COMPARISONS = {name: entry for name, entry in EXPERIMENTS.items() if entry["kind"] == "comparison"}
CLOSED_FORMS = {name: entry for name, entry in EXPERIMENTS.items() if entry["kind"] == "closed_form"}
# Of the comparisons, those over budgets N.
ALIGNED = {name: entry for name, entry in COMPARISONS.items() if "alignment" in entry}
DIAGONALS = {name: entry for name, entry in EXPERIMENTS.items() if entry["kind"] == "diagonal"}


def warmup_recipe(recipe):
    """The recipe whose warm-up the objectives of a recipe start from: its own, another's, or None."""
    content = SETTINGS["recipes"][recipe]
    return recipe if content["warmup"] is not None else content.get("warmup_recipe")


# Objectives of each recipe that the preset's experiments look at, and the warm-ups they start from.
RUNS = {}
for experiment in EXPERIMENTS.values():
    for recipe, objective in recipes_and_objectives(experiment):
        warmup = warmup_recipe(recipe)
        if warmup is not None:
            RUNS.setdefault(warmup, ["warmup"])
        objectives = RUNS.setdefault(recipe, [])
        if objective not in objectives:
            objectives.append(objective)

# What a job of training, sampling or grading covers: one seed, a wildcard, or all of them.
SEED = "seeds" if PRESET["seeds_in_one_job"] else "seed{seed}"
SEED_MESSAGE = "all seeds" if PRESET["seeds_in_one_job"] else "seed {wildcards.seed}"


def of_seeds(pattern):
    """The files of a job, a list: that of its seed, or that of each seed where one job covers them all."""
    return [pattern.replace("{seed}", str(seed)) for seed in PRESET["seeds"]] if SEED == "seeds" else [pattern]


def seeds_of(wildcards):
    """The seeds that a job covers."""
    return PRESET["seeds"] if SEED == "seeds" else [int(wildcards.seed)]


def names_of_runs(wildcards):
    """The runs that a job covers: recipe/objective/seed."""
    return [f"{wildcards.recipe}/{wildcards.objective}/seed{seed}" for seed in seeds_of(wildcards)]


def code_of(script, unused=()):
    """The parameter `code`: hash of the parsed source that a script runs."""
    return code_hash(SCRIPTS / script, unused)


def objectives_trained_by(trainer):
    """Constraint of the wildcard `objective`: the objectives in use whose runs a trainer makes; all warm-ups are SFT."""
    names = [
        name
        for recipe, objectives in RUNS.items()
        for name in objectives
        if ("sft" if name == "warmup" else SETTINGS["recipes"][recipe]["trainer"]) == trainer
    ]
    return one_of(sorted(set(names)))


def code_of_training(wildcards):
    """The parameter `code` of a training job: a change in sampling or grading retrains just what samples in training."""
    settings = training_settings(SETTINGS, wildcards.recipe, wildcards.objective, PRESET["seeds"][0])
    return code_of("train_sft.py", unused=["training.success_rates"] if settings["success_rate"] is None else [])


def task_of(wildcards):
    return SETTINGS["recipes"][wildcards.recipe]["task"]


def base_model(wildcards):
    return f"{RESULTS}/models/base/{SETTINGS['recipes'][wildcards.recipe]['model']}"


def runs_of(experiment):
    """The runs that an experiment compares: name of the arm, recipe, objective and seed."""
    return [arm | {"seed": seed} for arm in compared_arms(EXPERIMENTS[experiment]) for seed in PRESET["seeds"]]


def recipes_with(key, values):
    """The recipes in use whose entry under a key is one of some values."""
    return [recipe for recipe in RUNS if SETTINGS["recipes"][recipe][key] in values]


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


def sampled_models(wildcards):
    """The models that a job samples from; of the objective `start`, those that the recipe's runs start from."""
    if wildcards.objective == "start":
        return starts_of(wildcards)
    return [f"{RESULTS}/models/{run}" for run in names_of_runs(wildcards)]


def baseline_of(experiment):
    """The baseline of an experiment that compares runs: name of the arm, recipe and objective."""
    content = EXPERIMENTS[experiment]
    return next(arm for arm in compared_arms(content) if arm["name"] == content["baseline"])


def start_runs(experiment):
    """The pools of what the baseline's runs start from: name, recipe, objective and seed."""
    recipe = baseline_of(experiment)["recipe"]
    return [{"name": "start", "recipe": recipe, "objective": "start", "seed": seed} for seed in PRESET["seeds"]]


def run_files(stage, runs=runs_of):
    """Input function: the files of a stage of an experiment's runs, in the order of runs_of, or of another function."""

    def files(wildcards):
        return [
            f"{RESULTS}/{stage}/{run['recipe']}/{run['objective']}/seed{run['seed']}.parquet"
            for run in runs(wildcards.experiment)
        ]

    return files


# Kind of experiment -> the files that decide claims about it, by their names in judge_claims.py: ends of their names.
DECISIVE = {
    "comparison": {
        "problems": "problems.parquet",
        "start": "start.parquet",
        "summary": "summary.csv",
        "weights": "weights.csv",
    },
    "diagonal": {"ratios": "ratios.parquet", "rho": "rho.csv", "theorem3": "theorem3.csv"},
    "closed_form": {name: f"{name}.csv" for name in ("alignment", "variance", "normalisation", "within_prompt")},
}


def decisive_files(name):
    """The files that decide claims about an experiment, by their names in judge_claims.py."""
    files = {kind: f"{RESULTS}/metrics/{name}.{end}" for kind, end in DECISIVE[EXPERIMENTS[name]["kind"]].items()}
    arms = compared_arms(EXPERIMENTS[name]) if name in COMPARISONS else []

    def of_each_arm(stage, objective=None):
        return {
            arm["name"]: [
                f"{RESULTS}/{stage}/{arm['recipe']}/{objective or arm['objective']}/seed{seed}.parquet"
                for seed in PRESET["seeds"]
            ]
            for arm in arms
        }

    if arms:
        files["baseline"] = of_each_arm("training")[EXPERIMENTS[name]["baseline"]]
    if len({arm["recipe"] for arm in arms}) > 1:  # under one objective: it is their warm-ups that are compared
        files["warmups"] = of_each_arm("training", "warmup")
    if any(part["kind"] in ("share", "share_below") for claim in claims_about(name) for part in claim["parts"]):
        files["proteins"] = of_each_arm("scores")
    return files


def baseline_record(name):
    """What the training records of an experiment's baseline are: their kind, and completions per row."""
    recipe = baseline_of(name)["recipe"]
    method = SETTINGS["recipes"][recipe]
    if method["trainer"] == "sft":  # a row per sequence
        return {"kind": "training", "completions_per_row": 1}
    per_step = PRESET["recipes"][recipe]["rl"]["prompts_per_step"] * method["rl"]["group_size"]
    return {"kind": "rl_training", "completions_per_row": per_step}


def claims_about(name):
    return [claim for claim in SETTINGS["claims"]["claims"].values() if claim["experiment"] == name]


# Experiments of the preset that claims are about -> what decides these.
DECISIVE_FILES = {name: decisive_files(name) for name in EXPERIMENTS if claims_about(name)}


def flattened(files):
    """All paths of nested dicts and lists."""
    if isinstance(files, str):
        return [files]
    return [path for entry in (files.values() if isinstance(files, dict) else files) for path in flattened(entry)]


# table or figure -> its files, and the experiments that it shows (the two halves of Table 6 are two experiments)
ITEM_FILES, EXPERIMENTS_OF = {}, {}
for name, experiment in EXPERIMENTS.items():
    if "table" in experiment:
        table = experiment["table"]
        ITEM_FILES[table] = [f"{RESULTS}/tables/{table}.{ending}" for ending in ("csv", "md", "tex")]
        EXPERIMENTS_OF.setdefault(table, []).append(name)
    for figure in experiment["figures"]:
        ITEM_FILES[figure] = [f"{RESULTS}/figures/{figure}.{ending}" for ending in ("pdf", "png")]
        EXPERIMENTS_OF[figure] = [name]


def items(experiment):
    """All files of an experiment's table, if it has one, and figures."""
    return [file for item, files in ITEM_FILES.items() if experiment in EXPERIMENTS_OF[item] for file in files]


# kind of experiment -> kind of artifact -> ending of its file under metrics/
METRICS = {
    "comparison": {
        "metrics": "csv",
        "problem_metrics": "problems.parquet",
        "summary": "summary.csv",
        "weights": "weights.csv",
    },
    "closed_form": {
        "curves": "curves.parquet",
        "alignment": "alignment.csv",
        "variance": "variance.csv",
        "normalisation": "normalisation.csv",
        "within_prompt": "within_prompt.csv",
    },
    "diagonal": {"diagonal_ratios": "ratios.parquet", "diagonal_rho": "rho.csv", "theorem3": "theorem3.csv"},
}


def expected_run(recipe, objective, seed):
    """What `check` is to find of a run: its files, their kinds, and the size of its pools."""
    entry, evaluation = SETTINGS["recipes"][recipe], PRESET["recipes"][recipe]["evaluation"]
    file = f"{recipe}/{objective}/seed{seed}.parquet"
    return {
        "recipe": recipe,
        "objective": objective,
        "seed": seed,
        "samples": f"{RESULTS}/samples/{file}",
        "scores": f"{RESULTS}/scores/{file}",
        "scores_kind": "scores" if entry["reward"] == "answer" else "protein_scores",
        "training": f"{RESULTS}/training/{file}",
        "training_kind": "training" if entry["trainer"] == "sft" else "rl_training",
        "problems": f"{RESULTS}/data/{entry['task']}/{PRESET['split']}.parquet",
        "n_problems": evaluation["problems"],
        "n_samples": evaluation["samples"],
        # Where its value at k = 1 stands, which is the mean reward of its pools (of a vote it need not be).
        "measured": [
            {"arm": arm["name"], "metrics": f"{RESULTS}/metrics/{name}.csv"}
            for name, experiment in COMPARISONS.items()
            if experiment["metric"] != "maj" and 1 in experiment["k"]
            for arm in compared_arms(experiment)
            if (arm["recipe"], arm["objective"]) == (recipe, objective)
        ],
    }


def expected_results():
    """What `check` is to find: runs, experiments that compare them, and the kinds of all other artifacts."""
    pairs = dict.fromkeys(pair for experiment in EXPERIMENTS.values() for pair in recipes_and_objectives(experiment))
    runs = [expected_run(recipe, objective, seed) for recipe, objective in pairs for seed in PRESET["seeds"]]
    experiments = [
        {
            "name": name,
            "metric": entry["metric"],
            "ks": entry["k"],
            "seeds": PRESET["seeds"],
            "arms": [arm["name"] for arm in compared_arms(entry)],
            **{kind: f"{RESULTS}/metrics/{name}.{ending}" for kind, ending in METRICS["comparison"].items()},
        }
        for name, entry in COMPARISONS.items()
    ]
    artifacts = {f"{RESULTS}/claims.csv": "claims"}
    for run in runs:
        artifacts |= {run["problems"]: "problems", run["training"]: run["training_kind"]}
    for name, entry in EXPERIMENTS.items():
        artifacts |= {f"{RESULTS}/metrics/{name}.{ending}": kind for kind, ending in METRICS[entry["kind"]].items()}
        if entry["kind"] == "comparison":
            artifacts[f"{RESULTS}/metrics/{name}.start.parquet"] = "problem_metrics"
        if "pass_rates" in entry["figures"].values():
            artifacts[f"{RESULTS}/metrics/{name}.pass_rates.csv"] = "pass_rates"
    return {
        "folders": [RESULTS],
        "runs": runs,
        "experiments": experiments,
        "artifacts": [{"kind": kind, "path": path} for path, kind in artifacts.items()],
    }


def page_of(experiment):
    """What the report page needs to know of an experiment: its entry, and its items, tables first."""
    kinds = [
        ("table", EXPERIMENTS[experiment].get("table")),
        *(("figure", name) for name in EXPERIMENTS[experiment]["figures"]),
    ]
    return EXPERIMENTS[experiment] | {"items": [[kind, item] for kind, item in kinds if item is not None]}


def page_metrics():
    """The metrics files that the report page shows."""
    shown = ("summary", "weights", "diagonal_rho", "theorem3")
    return [
        f"{RESULTS}/metrics/{name}.{ending}"
        for name, entry in EXPERIMENTS.items()
        for kind, ending in METRICS[entry["kind"]].items()
        if kind in shown
    ]


def command_of_this_preset():
    """How this preset is run from the command line, with the values given there."""
    files = [os.path.relpath(file) for file in workflow.configfiles]
    values = [shlex.quote(f"{key}={json.dumps(value)}") for key, value in workflow.config_settings.config.items()]
    # --cores last: the options before it would take a target for one of their values.
    return " ".join(["snakemake --configfile", *files, *(["--config", *values] if values else []), "--cores 2"])


def metrics_of_item(kind):
    """Input function: a metrics file of the one experiment that an item shows, such as summary.csv."""

    def file(wildcards):
        (experiment,) = EXPERIMENTS_OF[wildcards.item]
        return f"{RESULTS}/metrics/{experiment}.{kind}"

    return file


def metrics_of_table(kind):
    """Input function: the metrics files of the experiments that a table shows."""

    def files(wildcards):
        return [f"{RESULTS}/metrics/{experiment}.{kind}" for experiment in EXPERIMENTS_OF[wildcards.item]]

    return files


def files_of_figure(stage):
    """Input function: the files of a stage of all runs of the experiment that a figure shows, in the order of runs_of."""

    def files(wildcards):
        (experiment,) = EXPERIMENTS_OF[wildcards.item]
        return [
            f"{RESULTS}/{stage}/{run['recipe']}/{run['objective']}/seed{run['seed']}.parquet"
            for run in runs_of(experiment)
        ]

    return files


def labelled_runs(experiment):
    """Objective, label and seed of each run of an experiment, in the order of runs_of."""
    labels = labels_of(EXPERIMENTS[experiment])
    return [
        {"objective": run["objective"], "label": labels[run["name"]], "seed": run["seed"]}
        for run in runs_of(experiment)
    ]


def labels_of_figure(wildcards):
    """Label and seed of each run of the experiment that a figure shows, in the order of runs_of."""
    (experiment,) = EXPERIMENTS_OF[wildcards.item]
    return [{key: run[key] for key in ("label", "seed")} for run in labelled_runs(experiment)]


def entry_of(wildcards):
    """The one experiment that an item shows."""
    (experiment,) = EXPERIMENTS_OF[wildcards.item]
    return EXPERIMENTS[experiment]


def reward_of(wildcards):
    """What the recipes of the experiment that a figure shows are rewarded for."""
    (experiment,) = EXPERIMENTS_OF[wildcards.item]
    return SETTINGS["recipes"][baseline_of(experiment)["recipe"]]["reward"]


def baseline_in_black(wildcards):
    """The label of the baseline, where another figure of the experiment draws it as a black line at 0; else None."""
    entry = entry_of(wildcards)
    return labels_of(entry)[entry["baseline"]] if "difference" in entry["figures"].values() else None


def category_of(wildcards):
    """Where `snakemake --report` puts a table or figure: under its experiment, or the two that share a table."""
    return ", ".join(EXPERIMENTS_OF[wildcards.item])


def one_of(names):
    """Constraint of a wildcard: one of these names. No name at all matches nothing, where "" would match everything."""
    return "|".join(map(str, names)) or "(?!)"


def tables_of(experiments):
    """Constraint of the wildcard `item`: the tables of some experiments."""
    return one_of(sorted({entry["table"] for entry in experiments.values() if "table" in entry}))


def alignment_of_item(wildcards):
    """The alignment coefficients that stand beside the gains of the one experiment that an item shows."""
    return f"{RESULTS}/metrics/{entry_of(wildcards)['alignment']}.alignment.csv"


def figures_of(experiments, kinds=None):
    """Constraint of the wildcard `item`: the figures of some experiments, of some kinds or of all."""
    return one_of(
        figure
        for entry in experiments.values()
        for figure, kind in entry["figures"].items()
        if kinds is None or kind in kinds
    )


def data_files(wildcards):
    """Local files that a task is read from, so that a changed file is read again."""
    source = PRESET["data"][wildcards.task].get("source", {})
    return [source[name] for name in ("train_file", "test_file") if name in source]


def held_out_problems(wildcards):
    """The problems that the corpus of a generated base model must not hold: validation first, then test."""
    task = PRESET["models"][wildcards.model]["source"].get("held_out")
    return [] if task is None else [f"{RESULTS}/data/{task}/{split}.parquet" for split in ("validation", "test")]


def starts_of(wildcards):
    """What each run of a training job starts from."""
    warmup = warmup_recipe(wildcards.recipe)
    if wildcards.objective == "warmup" or warmup is None:
        return [base_model(wildcards)] * len(seeds_of(wildcards))
    return [f"{RESULTS}/models/{warmup}/warmup/seed{seed}" for seed in seeds_of(wildcards)]


def labels_of(experiment):
    """Arm of an experiment -> its name in tables and figures."""
    return {
        arm["name"]: experiment.get("labels", {}).get(arm["name"])
        or {"sft": sft_objective, "grpo": rl_objective}[SETTINGS["recipes"][arm["recipe"]]["trainer"]](
            arm["objective"]
        ).label
        for arm in compared_arms(experiment)
    }


def experiment_settings(wildcards):
    """What measuring an experiment that compares runs needs to know."""
    experiment = EXPERIMENTS[wildcards.experiment]
    recipes = {arm["recipe"] for arm in compared_arms(experiment)}
    (trainer,) = {SETTINGS["recipes"][recipe]["trainer"] for recipe in recipes}
    return {
        "name": wildcards.experiment,
        "trainer": trainer,
        "labels": labels_of(experiment),
        "beyond_paper": experiment.get("beyond_paper", []),
        "reported_as": experiment.get("reported_as", {}),
        "reported_from": experiment.get("reported_from", wildcards.experiment),
        "gain": experiment.get("gain", False),
        "ks": experiment["k"],
        **{key: experiment[key] for key in ("baseline", "metric", "paper_item")},
    }
