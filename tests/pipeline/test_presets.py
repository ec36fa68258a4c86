"""The shipped presets and profiles, named targets, and configurations that cannot be run."""

import os
import re
import resource

import pytest
from planning import jobs_of

FROM_NOTHING = {"problems": 1, "base_model": 1}
# Preset `paper`, thirteen experiments with five seeds, counted by hand.
PAPER = {
    "problems": 3,  # MATH, and the two protein tasks
    "base_model": 2,  # Mistral and ProtGPT2
    # Table 2: 4, and 3 more of the alignment matrix; Table 3 and Figure 18: 6 and 2 marginal ones; Table 7: 3.
    # Warm-ups: Tables 2, 3, 4 (also 7's), 5, 8 (two), conditional proteins
    "train_sft": 5 * (7 + 8 + 3 + 7),
    # Tables 4 and 5 with Figures 19 and 20: 5 each; Table 8: 2; Table 6: 4 and 4
    "train_grpo": 5 * (5 + 5 + 2 + 4 + 4),
    # And what the eight baselines start from, six of them on answers
    "sample": 5 * (18 + 20 + 8),
    "grade": 5 * (18 + 12 + 6),
    "score_proteins": 5 * (8 + 2),
    "measure": 12,
    "token_costs": 12,
    "table": 9,  # Tables 1 to 8, and that of gains
    # 1 to 20; over tokens 1 to 4, 7, 8, 18 to 20; three of the gains; over the steps of training Tables 4, 5, 8 and the
    # halves of Table 6
    "figure": 20 + 9 + 3 + 5,
    "pass_rates": 1,
    "closed_forms": 1,
    "measure_diagonal": 1,
    "claims": 1,
    "report": 1,
    "all": 1,
}
# All that Snakemake asks of conda before it makes an environment.
CONDA = """#!/bin/sh
case "$*" in
  "info --json") echo '{"conda_prefix": "/nowhere", "platform": "linux-64"}' ;;
  --version) echo "conda 26.1.0" ;;
  "config --get channel_priority --json") echo '{"get": {"channel_priority": "strict"}}' ;;
  *) exit 1 ;;
esac
"""


# --- presets and profiles ---


def test_tiny_is_the_default(pristine):
    assert pristine.plan() == pristine.expected_jobs("tiny")


@pytest.mark.parametrize("profile", [[], ["--profile", "slurm"]], ids=["default", "slurm"])
@pytest.mark.parametrize("preset", ["tiny", "small", "paper"])
def test_a_preset_plans_every_run_once_under_both_profiles(pristine, preset, profile):
    assert pristine.plan(preset=preset, options=profile) == pristine.expected_jobs(preset)


def test_the_cluster_profile_runs_the_paper_preset_and_plans_it_within_20_seconds(pristine):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code, output = pristine.start(options=["--profile", "slurm", "--dry-run"]).finish()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert code == 0, output
    assert "config/paper.yaml" in output
    assert "profiles slurm and workflow specific profile profiles/default" in output
    counts = re.findall(r"^(\w+) +(\d+)$", output, flags=re.MULTILINE)
    assert {rule: int(count) for rule, count in counts} == PAPER | {"total": sum(PAPER.values())}
    # Of processor time, which other work on the machine does not stretch.
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < 20


@pytest.mark.parametrize("preset", ["tiny", "paper"])
def test_lint_finds_nothing(pristine, preset):
    assert "your workflow is in a good condition" in pristine.run(options=["--lint"], preset=preset)


@pytest.mark.parametrize(
    ("backend", "environments"),
    [("transformers", {"compute_aligned.yaml"}), ("vllm", {"compute_aligned.yaml", "vllm.yaml"})],
)
def test_a_cluster_with_conda_plans_each_job_in_the_environment_of_its_backend(
    pristine, backend, environments, tmp_path, monkeypatch
):
    """A dry run asks conda for no more than a stand-in can say: where it is, which version, which channels go first."""
    (tmp_path / "conda").write_text(CONDA)
    (tmp_path / "conda").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    options = ["--profile", "slurm", "--software-deployment-method", "conda", "--dry-run"]
    output = pristine.run(options=[*options, "--config", f"sampling_backend={backend}"], preset="paper")
    made = re.findall(r"Conda environment (?:\S*/)?envs/(\S+) will be created", output)
    assert set(made) == environments
    counts = re.findall(r"^(\w+) +(\d+)$", output, flags=re.MULTILINE)
    assert {rule: int(count) for rule, count in counts} == PAPER | {"total": sum(PAPER.values())}


def test_pinning_is_one_job_that_no_other_target_needs(pristine):
    assert pristine.plan("pin", preset="paper") == {"pin": 1}


def test_what_comes_before_a_run_needs_base_models_at_most(pristine):
    assert pristine.plan("plan", preset="paper") == {"plan": 1}
    assert pristine.plan("preflight", preset="paper", options=["--profile", "slurm"]) == {
        "base_model": 2,
        "preflight": 1,
    }
    assert pristine.plan("prefetch", preset="paper", options=["--profile", "slurm"]) == {
        "base_model": 2,
        "prefetch": 1,
        "problems": 3,
    }


# --- named targets ---


@pytest.mark.parametrize(
    ("target", "experiment", "items"),
    [
        ("table2", "math_sft_pass", {"table": 1}),
        ("fig1", "math_sft_pass", {"figure": 1}),
        ("math_sft_pass", "math_sft_pass", {"table": 1, "figure": 2, "token_costs": 1}),
        ("sft_pass_tokens", "math_sft_pass", {"figure": 1, "token_costs": 1}),
        ("results/tiny/figures/fig1.pdf", "math_sft_pass", {"figure": 1}),
        ("table3", "math_sft_majority", {"table": 1}),
        ("fig18", "majority_sweep", {"figure": 1}),
        ("majority_sweep", "majority_sweep", {"figure": 2, "token_costs": 1}),
        ("alignment_matrix", "alignment_matrix", {"table": 1, "figure": 3, "pass_rates": 1, "closed_forms": 1}),
        ("gain_matrix", "alignment_matrix", {"figure": 1}),
        ("table7", "token_margin", {"table": 1}),
    ],
)
def test_a_target_plans_what_it_needs(pristine, target, experiment, items):
    entry = pristine.config("experiments")["experiments"][experiment]
    planned = jobs_of([entry], pristine.config("recipes")["recipes"], seed_jobs=1)
    besides = ("all", "claims", "report", "table", "figure", "token_costs", "pass_rates", "closed_forms")
    planned = {rule: n for rule, n in planned.items() if rule not in besides}
    named = {} if "/" in target else {target: 1}
    assert pristine.plan(target) == planned | items | named


@pytest.mark.parametrize(
    ("target", "planned"),
    [
        ("table1", {"closed_forms": 1, "table": 1, "table1": 1}),
        *((f"fig{n}", {"closed_forms": 1, "figure": 1, f"fig{n}": 1}) for n in range(11, 18)),
        ("scaling_factors", {"closed_forms": 1, "table": 1, "figure": 7, "scaling_factors": 1}),
        ("results/tiny/figures/fig17.png", {"closed_forms": 1, "figure": 1}),
    ],
)
def test_closed_forms_plan_no_data_model_or_training(pristine, target, planned):
    assert pristine.plan(target) == planned


@pytest.mark.parametrize(
    ("target", "figures"), [("diagonal_diagnostic", 2), ("fig9", 1), ("fig10", 1), ("results/tiny/figures/fig9.png", 1)]
)
def test_the_diagonal_diagnostic_plans_the_runs_of_its_pools_and_no_others(pristine, target, figures):
    entry = pristine.config("experiments")["experiments"]["diagonal_diagnostic"]
    wanted = jobs_of([entry], pristine.config("recipes")["recipes"], seed_jobs=1)
    del wanted["all"], wanted["claims"], wanted["report"]
    named = {} if "/" in target else {target: 1}
    assert pristine.plan(target) == wanted | {"figure": figures} | named


def test_a_preset_may_hold_the_diagonal_diagnostic_alone(fresh):
    content = fresh.config("tiny") | {"preset": "seconds", "experiments": {"diagonal_diagnostic": {}}}
    fresh.write_config("seconds", content)
    assert fresh.plan(preset="seconds") == fresh.expected_jobs("seconds")
    assert "measure" not in fresh.expected_jobs("seconds")


def test_a_preset_may_hold_closed_forms_alone(fresh):
    content = fresh.config("tiny") | {"recipes": {}, "models": {}, "data": {}, "experiments": {"scaling_factors": {}}}
    fresh.write_config("seconds", content)
    assert fresh.plan(preset="seconds") == {
        "closed_forms": 1,
        "table": 1,
        "figure": 7,
        "claims": 1,
        "report": 1,
        "all": 1,
    }


def test_some_experiments_of_a_preset_are_run_judged_and_shown_alone(pristine):
    experiments, chosen = pristine.config("experiments")["experiments"], ("math_sft_pass", "scaling_factors")
    planned = jobs_of([experiments[name] for name in chosen], pristine.config("recipes")["recipes"], seed_jobs=1)
    assert pristine.plan(options=["--config", f"only=[{','.join(chosen)}]"]) == planned


def test_the_claims_plan_all_experiments_and_neither_tables_nor_figures(pristine):
    experiments = pristine.config("experiments")["experiments"]
    entries = [entry for name, entry in experiments.items() if name != "alignment_matrix"]  # not in the paper
    planned = jobs_of(entries, pristine.config("recipes")["recipes"], seed_jobs=1)
    drawn = [rule for rule in planned if rule in ("all", "report", "table", "figure", "token_costs")]
    assert pristine.plan("claims") == {rule: n for rule, n in planned.items() if rule not in drawn}


def test_a_model_plans_its_own_training_and_its_warm_up(pristine):
    planned = pristine.plan("results/tiny/models/math_sft_pass/pass_n16/seed3")
    assert planned == FROM_NOTHING | {"train_sft": 2}


@pytest.mark.parametrize(
    "target",
    [
        "results/tiny/models/math_sft_pass/pass_n17/seed1",
        "results/tiny/models/math_sft_pass/pass_n16/seed6",
        "results/tiny/tables/table0.csv",
        "results/tiny/metrics/math_sft_pass.curves.parquet",
        "results/tiny/metrics/scaling_factors.summary.csv",
        "results/tiny/metrics/diagonal_diagnostic.summary.csv",
        "results/tiny/metrics/math_sft_pass.rho.csv",
        "tabel2",
    ],
)
def test_a_misspelt_target_is_an_error(pristine, target):
    code, output = pristine.try_to_run(target, options=["--dry-run"])
    assert code != 0
    assert f"No rule to produce {target}" in output
    assert "Traceback" not in output


# --- configurations that cannot be run ---


def complaint(repository, **how):
    """The one line that a configuration is refused with."""
    code, output = repository.try_to_run(options=["--dry-run"], **how)
    assert code != 0
    assert "Traceback" not in output
    (line,) = [line for line in output.splitlines() if not line.startswith("Using workflow specific profile")]
    return line


@pytest.mark.parametrize("keys", [["seeds"], ["recipes", "math_sft_pass", "learning_rate"], ["resources", "train"]])
def test_a_missing_key_is_not_filled_from_tiny(fresh, keys):
    preset = fresh.config("small")
    *parents, key = keys
    holder = preset
    for parent in parents:
        holder = holder[parent]
    del holder[key]
    fresh.write_config("small", preset)
    line = complaint(fresh, preset="small")
    assert "config/small.yaml: " in line
    assert ".".join(parents) in line
    assert f"the key {key!r} is missing" in line


def test_an_unknown_key_is_refused(fresh):
    fresh.change_recipe(lerning_rate=1e-3)
    line = complaint(fresh, preset="seconds")
    assert "config/seconds.yaml: recipes.math_sft_pass: unknown key 'lerning_rate'" in line
    assert "learning_rate" in line  # among what is allowed


def test_a_key_that_stands_twice_in_a_preset_is_refused_though_snakemake_takes_the_last(fresh):
    fresh.write_config("seconds", fresh.config("seconds"))
    with open(fresh / "config/seconds.yaml", "a") as file:
        file.write("seeds: [9]\n")
    line = complaint(fresh, preset="seconds")
    assert "seconds.yaml: seeds: the key stands twice, in lines " in line


def test_a_budget_larger_than_the_pool_is_refused(fresh):
    preset = fresh.config("seconds")
    preset["experiments"]["math_sft_pass"]["k"] = [1, 9]
    fresh.write_config("seconds", preset)
    line = complaint(fresh, preset="seconds")
    assert "config/seconds.yaml: experiments.math_sft_pass.k: found 9" in line
    assert "8 samples" in line


def test_more_problems_than_there_are_of_a_recipes_levels_are_refused_before_the_first_job(fresh):
    preset = fresh.config("seconds")
    preset["recipes"]["math_sft_majority"]["train_problems"] = preset["data"]["math"]["sizes"]["train"]  # of all levels
    fresh.write_config("seconds", preset)
    line = complaint(fresh, preset="seconds")
    assert "config/seconds.yaml: recipes.math_sft_majority.train_problems: found 80, wanted no more than" in line


def test_a_model_whose_folder_is_missing_is_refused_before_the_first_job_unless_it_was_made_before(fresh):
    preset = fresh.config("seconds")
    preset["models"]["math"]["source"] = {"kind": "folder", "path": "my-model"}
    fresh.write_config("seconds", preset)
    line = complaint(fresh, preset="seconds")
    assert "config/seconds.yaml: models.math.source.path: found my-model, which is no folder here" in line
    (fresh / "results/seconds/models/base/math").mkdir(parents=True)
    code, _ = fresh.try_to_run("fig11", preset="seconds", options=["--dry-run"])  # a closed form
    assert code == 0


def test_an_unknown_objective_is_refused(fresh):
    fresh.replace("config/recipes.yaml", "objectives: [ce, pass_n4, ", "objectives: [ce, pas_n4, ")
    line = complaint(fresh)
    assert "config/recipes.yaml: recipes.math_sft_pass.objectives: " in line
    assert "'pas_n4'" in line


def test_a_claim_about_an_unknown_objective_is_refused(fresh):
    rest = "\n        over: [ce]\n        k: [4]"
    fresh.replace("config/claims.yaml", f"objectives: [pass_n4]{rest}", f"objectives: [pas_n4]{rest}")
    line = complaint(fresh)
    assert "config/claims.yaml: claims.C01.parts.0.objectives: found 'pas_n4'" in line


def test_a_value_of_the_command_line_is_checked_too(fresh):
    code, output = fresh.try_to_run(options=["--dry-run", "--config", "seeds=[one]"])
    assert code != 0
    assert "Traceback" not in output
    assert "seeds.0: found 'one', wanted a value of type integer" in output
