"""What a preset costs: jobs counted in another way, times of schedules that can be told by hand, tokens counted out."""

import csv
import json
import math
import re
import sys

import pytest
import yaml
from conftest import REPO, needs_small_weights
from pipeline.planning import jobs_of as counted_jobs
from pipeline.planning import seed_jobs

from compute_aligned.planning import cost
from compute_aligned.planning.cost import CARDS, GpuJob, Speeds, gpu_jobs, plan_rows, settings_of, wall_seconds
from compute_aligned.planning.layout import Layout
from compute_aligned.planning.plan import Plan

PAPER = REPO / "config" / "paper.yaml"


@pytest.fixture(scope="module")
def plan():
    return Plan(settings_of([PAPER], []), Layout("results/paper"))


@pytest.fixture(scope="module")
def speeds(plan):
    return Speeds(plan.settings, CARDS["V100-16GB"], {})


@pytest.fixture(scope="module")
def rows(plan, speeds):
    return {row["experiment"]: row for row in plan_rows(plan, speeds, 50)}


def test_all_jobs_of_training_and_sampling_are_those_that_snakemake_plans(rows):
    preset = yaml.safe_load(PAPER.read_text())
    experiments, recipes = (yaml.safe_load((REPO / f"config/{n}.yaml").read_text()) for n in ("experiments", "recipes"))
    chosen = [experiments["experiments"][name] for name in preset["experiments"]]
    jobs = counted_jobs(chosen, recipes["recipes"], seed_jobs(preset))
    assert rows["all"]["jobs"] == jobs["train_sft"] + jobs["train_grpo"] + jobs["sample"]


def test_the_readme_shows_the_plan(rows):
    shown = re.search(r"```text\n(experiment .*?)```", (REPO / "README.md").read_text(), flags=re.DOTALL).group(1)
    assert set(shown.splitlines()) - {"..."} <= set(cost.table(list(rows.values()), 50).splitlines())


def test_what_experiments_share_is_counted_in_each_and_in_all_once(rows):
    parts = [row for name, row in rows.items() if name != "all"]
    for key in ("jobs", "gpu_hours"):
        assert max(row[key] for row in parts) < rows["all"][key] < sum(row[key] for row in parts)
    assert rows["math_sft_pass"]["gpu_hours"] < rows["alignment_matrix"]["gpu_hours"]  # the same runs, and three more
    assert rows["all"]["wall_hours"] >= rows["all"]["longest_job_hours"]
    assert rows["all"]["wall_hours"] >= rows["all"]["gpu_hours"] / 50
    assert "scaling_factors" not in rows  # closed forms


def test_an_experiment_with_fewer_seeds_has_fewer_jobs():
    fewer = {"math_rl_pass": {"seeds": [1]}, "weighting_ablation_pass": {"seeds": [1, 2]}}
    settings = settings_of([PAPER], [f"experiments={json.dumps(fewer)}"])
    plan = Plan(settings, Layout("results/paper"))
    rows = {row["experiment"]: row["jobs"] for row in plan_rows(plan, Speeds(settings, CARDS["V100-16GB"], {}), 50)}
    assert rows["math_rl_pass"] == 8  # a warm-up, three arms, and pools of each
    assert rows["weighting_ablation_pass"] == 2 * 12


@needs_small_weights
def test_what_is_left_out_needs_no_estimate():
    """The proteins of `small` start from a model that is made here, of which no memory is estimated."""
    small = REPO / "config" / "small.yaml"
    on_a_card = 'resources={"train": {"gpu": 1}, "sample": {"gpu": 1}}'
    settings = settings_of([small], [on_a_card, 'only=["math_sft_pass", "token_margin"]'])
    rows = plan_rows(Plan(settings, Layout("results/small")), Speeds(settings, CARDS["V100-16GB"], {}), 50)
    assert [(row["experiment"], row["jobs"]) for row in rows] == [
        ("math_sft_pass", 30),  # of three seeds: a warm-up, four arms, and pools of each
        ("token_margin", 8),  # of one: the warm-up of Table 4, three arms, and pools of each
        ("all", 38),
    ]


def test_supervised_time_is_tokens_over_tokens_per_second(plan, speeds):
    job = gpu_jobs(plan, speeds)["math_sft_pass/ce/seed1"]
    tokens = 3 * 5000 * (120 + 8)  # epochs, problems, prompt and answer
    # 7.24 billion weights; forward, backward, and forward again: two operations per weight each.
    seconds = tokens * 3 * 2 * 7.24e9 / (0.2 * 125e12)
    assert job.seconds == pytest.approx(180 + seconds, rel=0.01)
    assert job.needs == ("math_sft_pass/warmup/seed1",)


def test_measured_speeds_take_the_place_of_assumed_ones(plan):
    measured = {("math_sft_pass", "training"): 1000.0, ("math_sft_pass", "sampling"): 500.0}
    jobs = gpu_jobs(plan, Speeds(plan.settings, CARDS["V100-16GB"], measured))
    assert jobs["math_sft_pass/ce/seed1"].seconds == pytest.approx(180 + 3 * 5000 * 128 / 1000)
    assert jobs["math_sft_pass/ce/seed1, pools"].seconds == pytest.approx(180 + 500 * 128 * 512 / 500)


@pytest.mark.parametrize(("at_once", "expected"), [(1, 10), (2, 6), (3, 6), (9, 6)])
def test_wall_time_of_a_schedule_told_by_hand(at_once, expected):
    def job(seconds, *needs):
        return GpuJob("r", "training", seconds, needs, 0, 0)

    # Two at once: a and b, d after b, c after a.
    jobs = {"a": job(3), "b": job(2), "c": job(3, "a"), "d": job(2)}
    assert wall_seconds(jobs, jobs, at_once) == expected


def test_a_faster_card_takes_less_time_and_no_less_memory(plan, rows):
    fast = {row["experiment"]: row for row in plan_rows(plan, Speeds(plan.settings, CARDS["H100-80GB"], {}), 50)}
    for name, row in rows.items():
        assert fast[name]["gpu_hours"] < row["gpu_hours"]
        assert fast[name]["peak_gpu_gib"] == row["peak_gpu_gib"]


def test_a_job_beyond_its_runtime_and_a_card_too_small_are_said(plan, rows, speeds, tmp_path):
    small = Speeds(plan.settings, cost.Card(8, 1, 1, 100), {})
    said = cost.warnings(plan, small, plan_rows(plan, small, 50), tmp_path)
    assert any("GiB of GPU memory, the card has 8" in warning for warning in said)
    assert any("its runtime is 24 h" in warning for warning in said)


def test_the_command_prints_a_table_with_its_assumptions_and_writes_it(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [str(PAPER), "--config", "seeds=[1]", "--jobs", "4", "--csv", "plan.csv"]
    monkeypatch.setattr(sys, "argv", ["plan", *arguments])
    cost.main()
    printed = capsys.readouterr().out
    assert "Speeds: assumed of a V100-16GB. Assumptions: 20% of the card's operations" in printed
    with open("plan.csv", newline="") as file:
        written = list(csv.DictReader(file))
    assert written[-1]["experiment"] == "all"
    assert all(math.isfinite(float(row["gpu_hours"])) for row in written)


def test_a_preset_without_gpu_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["plan", str(REPO / "config/tiny.yaml")])
    cost.main()
    assert capsys.readouterr().out.startswith("Preset tiny needs no GPU")


def test_a_table_that_preflight_did_not_write_is_named(tmp_path):
    (tmp_path / "preflight.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="preflight.csv: not as preflight writes it"):
        cost.read_measured(tmp_path / "preflight.csv")
