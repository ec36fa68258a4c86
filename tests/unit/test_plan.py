"""What a preset comes to, and where its files lie, without Snakemake."""

import copy

import pytest
import yaml
from conftest import REPO

from compute_aligned.analysis.metrics_files import METRICS_FILES
from compute_aligned.config.loading import load_settings
from compute_aligned.config.resolving import rl_settings, training_settings
from compute_aligned.planning.layout import Layout
from compute_aligned.planning.plan import Plan, flattened

CONFIG = REPO / "config"


@pytest.fixture(scope="module", params=["tiny", "small", "paper"])
def plan(request):
    preset = yaml.safe_load((CONFIG / f"{request.param}.yaml").read_text())
    return Plan(load_settings(preset, f"{request.param}.yaml", CONFIG), Layout(f"results/{request.param}"))


def test_every_table_and_figure_of_the_paper_belongs_to_an_experiment(plan):
    items = set(plan.experiments_of)
    assert {f"table{n}" for n in range(1, 9)} | {f"fig{n}" for n in range(1, 21)} <= items
    assert plan.experiments_of["table6"] == ["protein_unconditional", "protein_conditional"]
    assert plan.item_files("table2") == [
        f"{plan.layout.root}/tables/table2.{ending}" for ending in ("csv", "md", "tex")
    ]
    assert plan.item_files("fig3") == [
        f"{plan.layout.root}/figures/fig3.{ending}" for ending in ("pdf", "png", "caption.md")
    ]
    assert set(plan.everything()) == {f for item in items for f in plan.item_files(item)} | {plan.layout.claims}


def test_every_compared_run_is_trained_and_starts_from_a_trained_warm_up_or_the_base_model(plan):
    for experiment in plan.of_kind("comparison"):
        for run in plan.runs_of(experiment):
            assert run["objective"] in plan.objectives[run["recipe"]]
            (start,) = plan.starts_of(run["recipe"], run["objective"], [run["seed"]])
            warmup = plan.warmup_recipe(run["recipe"])
            if warmup is None:
                assert start == plan.layout.base_model(plan.recipe(run["recipe"])["model"])
            else:
                assert "warmup" in plan.objectives[warmup]
                assert start == plan.layout.model(warmup, "warmup", run["seed"])
    assert plan.warmup_recipe("token_margin") == "math_rl_pass"


def test_warm_ups_are_supervised_whatever_trains_the_objectives(plan):
    assert "warmup" in plan.trained_by("sft") and "warmup" not in plan.trained_by("grpo")
    assert set(plan.trained_by("sft")) | set(plan.trained_by("grpo")) == {
        name for names in plan.objectives.values() for name in names
    }


def test_the_baseline_of_reinforcement_learning_is_counted_in_completions(plan):
    record = plan.baseline_records()["math_rl_pass"]
    per_step = plan.preset["recipes"]["math_rl_pass"]["rl"]["prompts_per_step"] * 4  # P: groups of 4
    assert record == {"kind": "rl_training", "completions_per_row": per_step}
    assert plan.baseline_records()["math_sft_pass"] == {"kind": "training", "completions_per_row": 1}


def test_claims_are_decided_by_files_that_measuring_writes_or_runs_leave(plan):
    written = {
        plan.layout.metrics(name, ending)
        for name, entry in plan.experiments.items()
        for _, ending, _ in METRICS_FILES[entry["kind"]]
    }
    runs = [run for name in plan.of_kind("comparison") for run in plan.runs_of(name)]
    left = {*plan.files("training", runs), *plan.files("scores", runs)}
    left |= {
        plan.layout.of_run("training", recipe, "warmup", seed)
        for recipe in ("warmup_transfer_ce", "warmup_transfer_pass_n16")
        for seed in plan.seeds
    }
    assert set(flattened(plan.deciding_files)) <= written | left
    assert "proteins" in plan.deciding_files["protein_unconditional"]


def test_tables_and_figures_are_made_from_files_that_measuring_writes_or_runs_leave(plan):
    kinds = {kind: ending for files in METRICS_FILES.values() for _, ending, kind in files}
    runs = [run for name in plan.of_kind("comparison") for run in plan.runs_of(name)]
    left = {*plan.files("training", runs), *plan.files("scores", runs)}
    for item in plan.experiments_of:
        made_by, files = plan.made_by(item), plan.read_for(item)
        assert list(files) == list(made_by.reads) and list(plan.told(item)) == list(made_by.told)
        for kind, paths in files.items():
            ending = kinds.get(kind, f"{kind}.csv")
            assert all(path in left or path.endswith(f".{ending}") for path in flattened(paths)), (item, kind)
        # Snakemake drops what is not plain without a word.
        assert yaml.safe_load(yaml.safe_dump(plan.told(item))) == plan.told(item)
    assert plan.read_for("gain_table")["alignment"].endswith("/scaling_factors.alignment.csv")
    assert [path.split("/")[-1] for path in plan.read_for("table6")["summary"]] == [
        "protein_unconditional.summary.csv",
        "protein_conditional.summary.csv",
    ]


def test_an_experiment_with_fewer_seeds_has_those_runs_alone_and_shares_what_it_starts_from():
    preset = yaml.safe_load((CONFIG / "tiny.yaml").read_text()) | {"seeds": [1, 2, 3], "seeds_in_one_job": False}
    preset["experiments"]["math_rl_pass"]["seeds"] = [2]
    preset["experiments"]["weighting_ablation_pass"]["seeds"] = [3]
    plan = Plan(load_settings(preset, "tiny.yaml", CONFIG), Layout("results/tiny"))
    assert {run["seed"] for run in plan.runs_of("math_rl_pass")} == {2}
    assert {run["seed"] for run in plan.start_runs("math_rl_pass")} == {2}
    assert {run["seed"] for run in plan.runs_of("math_sft_pass")} == {1, 2, 3}
    assert plan.seeds_of_runs("math_rl_pass", "pass_n16_log") == [2, 3]  # both experiments compare them
    assert plan.seeds_of_runs("math_rl_pass", "pass_n16_raw") == [3]  # the second alone
    assert plan.seeds_of_runs("math_rl_pass", "start") == [2, 3]
    assert plan.seeds_of_runs("math_rl_pass", "warmup") == plan.seeds  # Table 7's runs start from it, too
    expected = plan.expected()
    assert {run["seed"] for run in expected["runs"] if run["objective"] == "pass_n16_raw"} == {3}
    assert [entry["seeds"] for entry in expected["experiments"] if entry["name"] == "math_rl_pass"] == [[2]]
    assert all("seed2" in file for file in plan.deciding_files["math_rl_pass"]["baseline"])


def test_a_preset_leaves_out_what_the_paper_does_not_have():
    preset = yaml.safe_load((CONFIG / "tiny.yaml").read_text())
    preset["experiments"]["math_sft_majority"]["beyond_paper"] = []
    plan = Plan(load_settings(preset, "tiny.yaml", CONFIG), Layout("results/tiny"))
    compared = {run["objective"] for run in plan.runs_of("math_sft_majority")}
    assert compared == {"ce", "majority_n8_k3", "majority_n16_k4", "majority_n64_k26"}
    assert not plan.seeds_of_runs("math_sft_majority", "pass_n16_marginal")


def test_no_two_results_that_decide_claims_have_one_name():
    names = [name for files in METRICS_FILES.values() for name, _, _ in files if name is not None]
    assert len(names) == len(set(names))


def test_a_path_may_hold_wildcards():
    assert Layout("results/x").of_run("scores", "{recipe}", "{objective}", "{seed}") == (
        "results/x/scores/{recipe}/{objective}/seed{seed}.parquet"
    )


def test_what_an_objective_has_otherwise_reaches_its_runs_alone_and_is_said():
    preset = yaml.safe_load((CONFIG / "tiny.yaml").read_text())

    def settings_of(preset):
        return load_settings(copy.deepcopy(preset), "tiny.yaml", CONFIG)

    def trained(settings):
        sft = [("math_sft_pass", name) for name in ("warmup", "ce", "pass_n16")]
        made = {pair: training_settings(settings, *pair, 1).plain() for pair in sft}
        return made | {pair: rl_settings(settings, *pair, 1).plain() for pair in [("math_rl_pass", "grpo")]}

    before = Plan(settings_of(preset), Layout("results/tiny"))
    was, titles = trained(before.settings), before.told("table2")["titles"]
    preset["recipes"]["math_sft_pass"]["overrides"] = {"pass_n16": {"learning_rate": 1e-4, "epochs": 2}}
    preset["recipes"]["math_rl_pass"]["overrides"] = {"grpo": {"steps": 12}}
    plan = Plan(settings_of(preset), Layout("results/tiny"))
    of_pass = ("math_sft_pass", "pass_n16")
    assert trained(plan.settings) == was | {
        of_pass: was[of_pass] | {"learning_rate": 1e-4, "epochs": 2},
        ("math_rl_pass", "grpo"): was["math_rl_pass", "grpo"] | {"steps": 12},
    }
    said = (
        "Trained otherwise than the others: Pass@16 with learning_rate 0.0001 instead of 0.001, epochs 2 instead of 3."
    )
    assert plan.told("table2")["titles"] == [f"{titles[0]} {said}"]
    assert plan.told("fig1")["title"] == f"{before.told('fig1')['title']} {said}"
    assert plan.page()["math_sft_pass"]["title"].endswith(said)
    assert plan.overrides_in("math_rl_pass").endswith(": GRPO with steps 12 instead of 24.")
    assert plan.told("table5") == before.told("table5")
