"""What the other files share: what a job covers, its code hash, and input functions. What a preset comes to is in PLAN."""

# `priority` in these files: where several jobs could run, what the most work waits for goes first, so that no long job
# is left over at the end. Reinforcement learning comes before fine-tuning, whose runs are shorter. What only reads
# finished runs has none.

from compute_aligned.config.resolving import (
    START,
    closed_form_settings,
    diagonal_settings,
    rl_settings,
    sampling_settings,
    scorer_settings,
    training_settings,
)
from compute_aligned.planning.command_line import command_of, stop_unless_writable, values_of
from compute_aligned.planning.jobs import jobs_now, keep_what_is_there, tell_progress
from compute_aligned.planning.plan import flattened
from compute_aligned.provenance.hashing import code_hash

SCRIPTS = REPOSITORY / "workflow" / "scripts"
RESOURCES = PRESET["resources"]
COMPARISONS, CLOSED_FORMS, DIAGONALS = (PLAN.of_kind(kind) for kind in ("comparison", "closed_form", "diagonal"))
# Relative, so that a moved or cloned folder does not look like another input.
REPORTED = os.path.relpath(REPOSITORY / "config/reported.csv")
TEMPLATE = os.path.relpath(REPOSITORY / "workflow/report/report.html.j2")

# What a job of training, sampling or grading covers: one seed, a wildcard, or all of them.
SEED = "seeds" if PRESET["seeds_in_one_job"] else "seed{seed}"
SEED_MESSAGE = "all seeds" if PRESET["seeds_in_one_job"] else "seed {wildcards.seed}"


if workflow.is_main_process:
    stop_unless_writable(".snakemake")


def one_of(names):
    """Constraint of a wildcard: one of these names. No name at all matches nothing, where "" would match everything."""
    return "|".join(map(str, names)) or "(?!)"


def of_each_seed(pattern):
    """The files of a job, a list: that of its seed, or that of each seed where one job covers them all."""
    return [pattern.replace("{seed}", str(seed)) for seed in PRESET["seeds"]] if SEED == "seeds" else [pattern]


def of_runs(stage):
    """The tables of a job's runs, at a stage."""
    return of_each_seed(LAYOUT.of_run(stage, "{recipe}", "{objective}", "{seed}"))


def seeds_of_job(wildcards):
    """The seeds that a job covers."""
    return PRESET["seeds"] if SEED == "seeds" else [int(wildcards.seed)]


def names_of_runs(wildcards):
    """The runs that a job covers: recipe/objective/seed."""
    return [f"{wildcards.recipe}/{wildcards.objective}/seed{seed}" for seed in seeds_of_job(wildcards)]


def settings_of_runs(resolve, *names):
    """Parameter: what each run of a job gets, resolved for some wildcards and a seed."""
    return lambda wildcards: [
        resolve(SETTINGS, *(wildcards[name] for name in names), seed).plain() for seed in seeds_of_job(wildcards)
    ]


def code_of(script, unused=(), used=()):
    """The parameter `code`: hash of the parsed source that a script runs."""
    return code_hash(SCRIPTS / script, unused, used)


def code_of_training(wildcards):
    """The parameter `code` of a training job: a change in sampling or grading retrains just what samples in training."""
    settings = training_settings(SETTINGS, wildcards.recipe, wildcards.objective, PRESET["seeds"][0])
    return code_of("train_sft.py", unused=["training.success_rates"] if settings.success_rate is None else [])


def problems_of(split):
    """Input function: a split of the problems of a job's recipe."""
    return lambda wildcards: LAYOUT.data(PLAN.recipe(wildcards.recipe)["task"], split)


def base_model(wildcards):
    return LAYOUT.base_model(PLAN.recipe(wildcards.recipe)["model"])


def starts_of(wildcards):
    """What each run of a training job starts from."""
    return PLAN.starts_of(wildcards.recipe, wildcards.objective, seeds_of_job(wildcards))


def sampled_models(wildcards):
    """The models that a job samples from; of the objective START, those that the recipe's runs start from."""
    if wildcards.objective == START:
        return starts_of(wildcards)
    return [LAYOUT.model(wildcards.recipe, wildcards.objective, seed) for seed in seeds_of_job(wildcards)]


def read_for_item(wildcards):
    """Input function, unpacked: the artifacts that a table or figure is made from, by their kinds."""
    return PLAN.read_for(wildcards.item)


def code_of_item(script):
    """The parameter `code` of a table or figure: what writes all of them, and the module of its own function."""
    return lambda wildcards: code_of(script, used=[PLAN.made_by(wildcards.item).module])


def category_of(wildcards):
    """Where `snakemake --report` puts a table or figure: under its experiment, or the two that share a table."""
    return ", ".join(PLAN.experiments_of[wildcards.item])
