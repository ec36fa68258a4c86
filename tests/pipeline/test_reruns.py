"""What runs again after a change, and what does not: dry runs on copies of a finished run."""

import os

import pytest

# What follows from a change, by the first rule that it touches (2 seeds, 4 objectives and the warm-up).
FROM_FIGURE = {"figure": 1, "all": 1}
FROM_TABLE = {"table": 1, "all": 1}
FROM_TABLE_AND_FIGURE = {"table": 1, "figure": 1, "all": 1}
FROM_WEIGHT_TABLE = {"weight_table": 1, "all": 1}
FROM_WEIGHT_FIGURE = {"weight_figure": 7, "all": 1}
FROM_CLOSED_FORMS = {"closed_forms": 1, **FROM_WEIGHT_TABLE, **FROM_WEIGHT_FIGURE}
FROM_MEASURE = {"measure": 1, **FROM_TABLE_AND_FIGURE}
FROM_GRADE = {"grade": 8, **FROM_MEASURE}
FROM_SAMPLE = {"sample": 8, **FROM_GRADE}
FROM_TRAIN = {"train_sft": 10, **FROM_SAMPLE}
FROM_BASE_MODEL = {"base_model": 1, **FROM_TRAIN}

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
    ("file", "planned"),
    [
        (f"{PACKAGE}/operators.py", FROM_TRAIN | FROM_CLOSED_FORMS),
        (f"{PACKAGE}/scaling_factors.py", FROM_CLOSED_FORMS),
        (f"{PACKAGE}/tokenization.py", FROM_TRAIN),
        (f"{PACKAGE}/models.py", FROM_BASE_MODEL),
        (f"{PACKAGE}/sampling.py", FROM_SAMPLE),
        (f"{PACKAGE}/grading.py", FROM_GRADE),
        (f"{PACKAGE}/metrics.py", FROM_MEASURE),
        (f"{PACKAGE}/statistics.py", FROM_MEASURE),
        (f"{PACKAGE}/tables.py", FROM_TABLE_AND_FIGURE | FROM_WEIGHT_TABLE),  # a figure's title is worded there
        (f"{PACKAGE}/plots.py", FROM_FIGURE | FROM_WEIGHT_FIGURE),
        ("workflow/scripts/make_table.py", FROM_TABLE),
        ("workflow/scripts/draw_weights.py", FROM_WEIGHT_FIGURE),
        ("workflow/scripts/train_sft.py", FROM_TRAIN),
        (f"{PACKAGE}/config.py", {}),  # its outcome counts, as each job's settings
        (f"{PACKAGE}/summary.py", {}),  # prints what is there
    ],
)
def test_a_changed_line_reruns_the_rules_that_use_it(rerun, file, planned):
    add_code(rerun, file)
    assert rerun.plan(preset="seconds") == planned


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
    rerun.change_recipe(learning_rate=1.0e-3)
    assert rerun.plan(preset="seconds") == FROM_TRAIN


def test_more_epochs_leave_the_warm_up(rerun):
    rerun.change_recipe(epochs=3)
    assert rerun.plan(preset="seconds") == FROM_TRAIN | {"train_sft": 8}


def test_more_samples_are_drawn_without_training(rerun):
    rerun.change_recipe(evaluation={"samples": 16})
    assert rerun.plan(preset="seconds") == FROM_SAMPLE


def test_another_budget_is_only_measured(rerun):
    preset = rerun.config("seconds")
    preset["experiments"]["math_sft_pass"]["k"] = [1, 2, 8]
    rerun.write_config("seconds", preset)
    assert rerun.plan(preset="seconds") == FROM_MEASURE


def test_another_seed_trains_itself_alone(rerun):
    preset = rerun.config("seconds")
    preset["seeds"] = [1, 2, 3]
    rerun.write_config("seconds", preset)
    assert rerun.plan(preset="seconds") == {"train_sft": 5, "sample": 4, "grade": 4, **FROM_MEASURE}


def test_another_objective_trains_itself_alone(rerun):
    for name in ("recipes", "experiments"):
        content = rerun.config(name)
        content[name]["math_sft_pass"]["objectives"].append("pass_n8")
        rerun.write_config(name, content)
    assert rerun.plan(preset="seconds") == {"train_sft": 2, "sample": 2, "grade": 2, **FROM_MEASURE}


def test_another_amount_of_memory_reruns_nothing(rerun):
    preset = rerun.config("seconds")
    preset["resources"]["train"] |= {"mem_mb": 4000, "runtime": 60}
    rerun.write_config("seconds", preset)
    assert rerun.plan(preset="seconds") == {}


def test_another_reported_value_is_only_measured_and_drawn(rerun):
    rerun.replace("config/reported.csv", "math_sft_pass,Table 2,CE,pass,1,15.8", "math_sft_pass,Table 2,CE,pass,1,15.9")
    assert rerun.plan(preset="seconds") == FROM_MEASURE | FROM_CLOSED_FORMS  # both stand beside reported values


def test_another_title_redraws_its_own_figure(rerun):
    rerun.replace("config/experiments.yaml", "effort on the highest rewards", "the highest rewards")
    assert rerun.plan(preset="seconds") == {"weight_figure": 1, "all": 1}


def test_another_threshold_of_waste_is_computed_and_drawn_without_a_model(rerun):
    rerun.replace("config/experiments.yaml", "negligible: 0.05", "negligible: 0.01")
    assert rerun.plan(preset="seconds") == FROM_CLOSED_FORMS
