"""What runs again after a change, and what does not: dry runs on copies of a finished run."""

import os
import shutil
from pathlib import Path

import pytest
import yaml
from planning import drawn_of, jobs_of, seed_jobs, shrink, starts_of

from compute_aligned.provenance.hashing import describe

CONFIG = {
    name: yaml.safe_load((Path(__file__).parents[2] / "config" / f"{name}.yaml").read_text())
    for name in ("tiny", "recipes", "experiments")
}
SECONDS = shrink(CONFIG["tiny"])
CHOSEN = {name: CONFIG["experiments"]["experiments"][name] for name in SECONDS["experiments"]}
RECIPES = CONFIG["recipes"]["recipes"]
JOBS = jobs_of(CHOSEN.values(), RECIPES, seed_jobs(SECONDS))


def planned(*rules):
    """All jobs of some rules and, as after every change, the report and `all`."""
    return {rule: JOBS[rule] for rule in (*rules, "report", "all")}


def trained_by(trainer, entry):
    """Whether an experiment compares runs of a trainer."""
    recipes = entry.get("recipe", [])
    recipes = [recipes] if isinstance(recipes, str) else recipes
    return any(RECIPES[recipe]["trainer"] == trainer for recipe in recipes)


DRAWN = drawn_of(CHOSEN.values())
CURVES, WEIGHTS = ("difference", "values", "pass_rates"), ("weights", "waste")
BUDGETS, PROTEINS = ("matrix", "alignment"), ("hydrophobicity", "inversion")
MEASURED = (*CURVES, "tokens", *BUDGETS)  # drawn from what was measured
CLOSED_FORM_TABLES = len({entry["table"] for entry in CHOSEN.values() if entry["kind"] == "closed_form"})


def figures(*kinds):
    """All figures of some kinds, and the report."""
    return planned() | {"figure": sum(DRAWN[kind] for kind in kinds)}


def together(*plans):
    """The jobs of several plans that share no item: tables and figures add up."""
    total = {}
    for plan in plans:
        for rule, n in plan.items():
            total[rule] = total.get(rule, 0) + n if rule in ("table", "figure") else n
    return total


# What follows from a change, by the first rule that it touches.
FROM_TABLE = planned() | {"table": JOBS["table"] - CLOSED_FORM_TABLES}
FROM_CLAIMS = planned("claims")
FROM_CLOSED_FORMS = planned("closed_forms") | {"table": CLOSED_FORM_TABLES} | figures(*WEIGHTS) | FROM_CLAIMS
FROM_MEASURE_DIAGONAL = planned("measure_diagonal") | figures("rho") | FROM_CLAIMS
FROM_MEASURE = planned("measure", "token_costs") | FROM_TABLE | figures(*MEASURED) | FROM_CLAIMS
FROM_SAMPLE = planned("sample", "grade", "score_proteins")
FROM_SAMPLE |= together(FROM_MEASURE, FROM_MEASURE_DIAGONAL, figures(*PROTEINS))
FROM_TRAIN = planned("train_sft", "train_grpo") | together(FROM_SAMPLE, figures("training"))
FROM_BASE_MODEL = planned("base_model") | FROM_TRAIN
SAMPLED_AGAIN = together(FROM_SAMPLE, figures("training"))  # reinforcement learning samples, too

# The same for the runs of one recipe, for reinforcement learning, and for the objectives that sample in training.
PASS = jobs_of([CHOSEN["math_sft_pass"]], RECIPES, seed_jobs(SECONDS))
PASS_FROM_MEASURE = {
    rule: PASS[rule] for rule in ("measure", "token_costs", "table", "figure", "claims", "report", "all")
}
PASS_FROM_SAMPLE = {rule: PASS[rule] for rule in ("sample", "grade")}
PASS_FROM_SAMPLE |= together(PASS_FROM_MEASURE, FROM_MEASURE_DIAGONAL)
PASS_FROM_TRAIN = {"train_sft": PASS["train_sft"]} | PASS_FROM_SAMPLE
N_MARGINAL = len(CHOSEN["math_sft_majority"]["beyond_paper"])
FROM_SUCCESS_RATES = {"train_sft": N_MARGINAL, "sample": N_MARGINAL, "grade": N_MARGINAL, **PASS_FROM_MEASURE}
WITH_RL = [entry for entry in CHOSEN.values() if trained_by("grpo", entry)]
RL = jobs_of(WITH_RL, RECIPES, seed_jobs(SECONDS))
for recipe in starts_of(WITH_RL):  # sampled, too, but not trained by it
    for rule in ("sample", "grade" if RECIPES[recipe]["reward"] == "answer" else "score_proteins"):
        RL[rule] -= seed_jobs(SECONDS)
FROM_RL = {rule: RL[rule] for rule in RL if rule not in ("problems", "base_model", "train_sft")}
# Graded are all answers; rewards in training are, too, and the marginal objectives' success rates.
FROM_GRADING = planned("grade")
FROM_GRADING |= together(FROM_MEASURE, FROM_MEASURE_DIAGONAL, figures(*PROTEINS), figures("training"))
FROM_GRADING |= {"score_proteins": RL["score_proteins"]}
FROM_GRADING |= {"train_sft": N_MARGINAL, "train_grpo": RL["train_grpo"], "sample": N_MARGINAL + RL["sample"]}

PACKAGE = "workflow/compute_aligned"


@pytest.fixture
def python_files(rerun):
    return sorted((rerun / "workflow").rglob("*.py"))


def add_code(repository, file):
    """Add a line of code that changes nothing of what the file does."""
    with open(repository / file, "a") as source:
        source.write("\n\nADDED = None\n")


# --- code ---


@pytest.mark.parametrize(
    ("file", "plan"),
    [
        (f"{PACKAGE}/operators.py", together(FROM_TRAIN, FROM_CLOSED_FORMS)),
        (f"{PACKAGE}/analysis/scaling_factors.py", FROM_CLOSED_FORMS),
        (f"{PACKAGE}/models/tokenization.py", FROM_BASE_MODEL),  # a base model may be pre-trained
        (f"{PACKAGE}/models/making.py", FROM_BASE_MODEL),
        (f"{PACKAGE}/models/loading.py", FROM_BASE_MODEL),  # whose tokenizer is checked
        (f"{PACKAGE}/advantages.py", together(FROM_RL, FROM_CLOSED_FORMS)),  # which normalise weights as training does
        (f"{PACKAGE}/training/grpo.py", FROM_RL),
        (f"{PACKAGE}/training/checkpoints.py", FROM_TRAIN),
        (f"{PACKAGE}/training/success_rates.py", FROM_SUCCESS_RATES),
        (f"{PACKAGE}/sampling/transformers_backend.py", FROM_SUCCESS_RATES | FROM_RL | SAMPLED_AGAIN),
        (f"{PACKAGE}/sampling/pools.py", FROM_SUCCESS_RATES | FROM_RL | SAMPLED_AGAIN),
        (f"{PACKAGE}/sampling/vllm_backend.py", {}),  # not the backend in use
        (f"{PACKAGE}/grading.py", FROM_GRADING),
        (f"{PACKAGE}/metrics.py", FROM_MEASURE),
        (f"{PACKAGE}/statistics.py", FROM_MEASURE),
        (f"{PACKAGE}/analysis/effective_share.py", FROM_TRAIN),  # that a training logs
        (f"{PACKAGE}/analysis/claims.py", FROM_CLAIMS),
        (f"{PACKAGE}/analysis/token_costs.py", planned("token_costs") | figures("tokens")),
        (f"{PACKAGE}/analysis/gains.py", {}),  # of an experiment that is left out
        (f"{PACKAGE}/analysis/diagonal.py", FROM_MEASURE_DIAGONAL),
        (f"{PACKAGE}/presentation/registry.py", {}),  # an item's entry counts, as its settings
        (f"{PACKAGE}/presentation/numbers.py", planned("table") | figures(*MEASURED, *WEIGHTS, *PROTEINS)),
        (f"{PACKAGE}/presentation/tables/comparison.py", FROM_TABLE),
        (f"{PACKAGE}/presentation/tables/closed_form.py", planned() | {"table": CLOSED_FORM_TABLES}),
        (f"{PACKAGE}/units.py", FROM_MEASURE | planned("figure")),  # which wording imports
        (f"{PACKAGE}/presentation/wording.py", planned("figure") | FROM_TABLE),
        (f"{PACKAGE}/presentation/figures/style.py", planned("figure")),
        (f"{PACKAGE}/presentation/figures/curves.py", figures(*CURVES)),
        (f"{PACKAGE}/presentation/figures/weights.py", figures(*WEIGHTS)),
        (f"{PACKAGE}/presentation/figures/training.py", figures("training")),
        (f"{PACKAGE}/presentation/report.py", planned("report")),
        (f"{PACKAGE}/presentation/terminal.py", {}),  # prints what is there
        (f"{PACKAGE}/config/resolving.py", {}),  # its outcome counts, as each job's settings
        (f"{PACKAGE}/provenance/job.py", {}),  # records and refuses
        (f"{PACKAGE}/provenance/artifacts.py", {}),
        ("workflow/scripts/make_report.py", planned("report")),
        ("workflow/scripts/check_results.py", {}),
        ("workflow/scripts/make_table.py", planned("table")),
        ("workflow/scripts/draw_figure.py", planned("figure")),
        ("workflow/scripts/judge_claims.py", FROM_CLAIMS),
        ("workflow/scripts/train_sft.py", FROM_TRAIN),
    ],
)
def test_a_changed_line_reruns_the_rules_that_use_it(rerun, file, plan):
    add_code(rerun, file)
    assert rerun.plan(preset="seconds") == plan


def test_comments_docstrings_and_blank_lines_rerun_nothing(rerun, python_files):
    for file in python_files:
        text = file.read_text()
        assert text.startswith('"""'), f"{file} has no docstring"
        file.write_text(text.replace('"""', '"""Reworded. ', 1) + "\n\n\n# A comment.\n")
    assert rerun.plan(preset="seconds") == {}


def test_a_touch_of_every_source_and_configuration_file_reruns_nothing(rerun):
    for file in rerun.folder.rglob("*"):
        if file.is_file() and not {"results", ".snakemake", ".git"} & set(file.relative_to(rerun.folder).parts):
            os.utime(file)
    assert rerun.plan(preset="seconds") == {}


def test_a_moved_folder_reruns_nothing(rerun):
    assert rerun.plan(preset="seconds") == {}


def test_a_fresh_clone_with_the_results_carried_over_reruns_nothing(finished, tmp_path):
    assert finished.clone(tmp_path / "clone").plan(preset="seconds") == {}


# --- settings ---


def test_another_learning_rate_retrains(rerun):
    rerun.change_recipe(learning_rate=3.0e-3)
    assert rerun.plan(preset="seconds") == PASS_FROM_TRAIN


def test_an_override_retrains_its_objective_alone_and_is_said_wherever_its_arm_is_shown(rerun):
    rerun.change_recipe(overrides={"pass_n16": {"learning_rate": 3.0e-3}})
    of_an_objective = dict.fromkeys(("train_sft", "sample", "grade"), 1)
    assert rerun.plan(preset="seconds") == PASS_FROM_MEASURE | of_an_objective


def test_more_epochs_leave_the_warm_up(rerun):
    rerun.change_recipe(epochs=3)
    n = len(CHOSEN["math_sft_pass"]["objectives"])  # and not what they start from
    assert rerun.plan(preset="seconds") == PASS_FROM_TRAIN | dict.fromkeys(("train_sft", "sample", "grade"), n)


def test_more_samples_are_drawn_without_training(rerun):
    rerun.change_recipe(evaluation={"samples": 16})
    assert rerun.plan(preset="seconds") == PASS_FROM_SAMPLE


def test_another_budget_is_only_measured(rerun):
    preset = rerun.config("seconds")
    preset["experiments"]["math_sft_pass"]["k"] = [1, 2, 8]
    rerun.write_config("seconds", preset)
    assert rerun.plan(preset="seconds") == PASS_FROM_MEASURE


def test_where_each_seed_has_its_own_job_another_seed_trains_itself_alone(rerun):
    root = rerun / "results/seconds"
    for stage in ("models", "samples", "scores", "training"):
        for made in (root / stage / "math_sft_pass").glob("*/seed2*"):
            shutil.rmtree(made) if made.is_dir() else made.unlink()
    for made in (*root.glob("metrics/math_sft_pass.*"), *root.glob("figures/fig1.*")):
        made.unlink()
    preset = rerun.config("seconds") | {"seeds": [1], "seeds_in_one_job": False}
    rerun.write_config("seconds", preset)
    # The first seed's runs are there; to Snakemake they are now what a job each has made.
    scores = [str(file.relative_to(rerun.folder)) for file in (root / "scores/math_sft_pass").glob("*/seed1.parquet")]
    rerun.run(*scores, preset="seconds", options=["--touch"])
    rerun.run("fig1", preset="seconds", options=["--quiet", "rules", "reason"])
    assert rerun.plan("fig1", preset="seconds") == {}
    rerun.write_config("seconds", preset | {"seeds": [1, 2]})
    of_a_seed = {rule: PASS[rule] for rule in ("train_sft", "sample", "grade")}
    assert rerun.plan("fig1", preset="seconds") == of_a_seed | {"measure": 1, "figure": 1, "fig1": 1}


def test_where_one_job_goes_through_all_seeds_another_seed_is_trained_alone(rerun):
    preset = rerun.config("seconds")
    rerun.write_config("seconds", preset | {"seeds": [1, 2, 3]})
    assert rerun.plan(preset="seconds") == FROM_TRAIN  # a job of each, which takes what is there
    root = rerun / "results/seconds"
    warmups = [root / f"models/math_sft_pass/warmup/seed{seed}" for seed in (1, 2, 3)]
    manifest = root / "provenance/train_sft/math_sft_pass_warmup.json"
    was = [describe(warmups[0]), describe(warmups[1]), manifest.read_text()]
    target = str(warmups[2].relative_to(rerun.folder))
    rerun.run(target, preset="seconds", options=["--quiet", "rules", "reason"])
    assert [describe(warmups[0]), describe(warmups[1]), manifest.read_text()] == was
    made = rerun.manifest("train_sft", "math_sft_pass_warmup_3")
    assert made["params"]["runs"] == ["math_sft_pass/warmup/seed3"] and len(made["facts"]["runs"]) == 1
    assert [Path(entry["path"]).stem for entry in made["outputs"]] == ["seed3", "seed3"]
    assert list((root / "checkpoints").iterdir()) == []
    # Without that seed again: a job that trains nothing.
    rerun.write_config("seconds", preset)
    target = str(warmups[0].relative_to(rerun.folder))
    assert rerun.plan(target, preset="seconds") == {"train_sft": 1}
    rerun.run(target, preset="seconds", options=["--quiet", "rules", "reason"])
    assert [describe(warmups[0]), describe(warmups[1]), manifest.read_text()] == was
    assert rerun.plan(target, preset="seconds") == {}


def test_another_objective_trains_itself_alone(rerun):
    for name in ("recipes", "experiments"):
        content = rerun.config(name)
        content[name]["math_sft_pass"]["objectives"].append("pass_n3")
        rerun.write_config(name, content)
    of_an_objective = dict.fromkeys(("train_sft", "sample", "grade"), 1)
    assert rerun.plan(preset="seconds") == PASS_FROM_MEASURE | of_an_objective


def test_another_amount_of_memory_reruns_nothing(rerun):
    preset = rerun.config("seconds")
    preset["resources"]["train"] |= {"mem_mb": 4000, "runtime": 60}
    rerun.write_config("seconds", preset)
    assert rerun.plan(preset="seconds") == {}


def test_another_reported_value_is_only_measured_and_drawn(rerun):
    rerun.replace("config/reported.csv", "math_sft_pass,Table 2,CE,pass,1,15.8", "math_sft_pass,Table 2,CE,pass,1,15.9")
    # All of them stand beside reported values.
    assert rerun.plan(preset="seconds") == together(FROM_MEASURE, FROM_CLOSED_FORMS, FROM_MEASURE_DIAGONAL)


def test_another_title_redraws_its_own_figure(rerun):
    rerun.replace("config/experiments.yaml", "effort on the highest rewards", "the highest rewards")
    assert rerun.plan(preset="seconds") == planned("report") | {"figure": 1}


def test_another_claim_is_only_judged(rerun):
    rerun.replace("config/claims.yaml", "least_weight_variation: 0.01", "least_weight_variation: 0.02")
    assert rerun.plan(preset="seconds") == FROM_CLAIMS


def test_another_threshold_of_waste_is_computed_and_drawn_without_a_model(rerun):
    rerun.replace("config/experiments.yaml", "negligible: 0.05", "negligible: 0.01")
    assert rerun.plan(preset="seconds") == FROM_CLOSED_FORMS


def test_another_number_of_random_answer_sets_is_measured_and_drawn_without_a_model(rerun):
    content = rerun.config("experiments")
    content["experiments"]["diagonal_diagnostic"]["theorem3"]["cases"] = 30
    rerun.write_config("experiments", content)
    assert rerun.plan(preset="seconds") == FROM_MEASURE_DIAGONAL
