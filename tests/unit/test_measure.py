"""Measuring an experiment: numbers of small hand-made pools against plain arithmetic on them."""

import itertools

import numpy as np
import pandas as pd
import pytest

from compute_aligned.analysis.measuring import measure, pool_curve
from compute_aligned.config.settings.measuring import MeasuringSettings
from compute_aligned.provenance.artifacts import read_artifact, write_artifact

REPORTED = pd.DataFrame(
    [
        ("e", "Table 9", "Base", "pass", 1, 20.0),
        ("e", "Table 9", "Base", "maj", 2, 30.0),
        ("e", "Table 9", "Theirs", "pass", 1, 22.5),
        ("e", "Table 9", "Theirs", "maj", 2, 31.0),
        ("e", "Table 9", "Theirs", "gain", 2, 8.5),
        ("e", "Table 9", "Base", "gain", 2, 10.0),
        ("other", "Table 9", "Base", "pass", 1, 99.0),
        ("p", "Table 8", "Base", "bon", 1, 5.25),
        ("d", "Fig 9", "Ours", "maj_delta", 2, -0.5),
    ],
    columns=["experiment", "paper_item", "model", "metric", "k", "value"],
)
EXPERIMENT = MeasuringSettings(
    name="e",
    trainer="sft",
    labels={"ce": "Base", "new": "Ours"},
    beyond_paper=["new"],
    reported_as={"new": "Theirs"},
    reported_from="e",
    gain=True,
    ks=[1, 2],
    baseline="ce",
    metric="maj",
    paper_item="Table 9",
)


def scores(pools):
    """A ``scores`` artifact of problem -> answers, right where they are "r"."""
    rows = [
        (problem, i, answer, answer == "r", answer == "r", float(answer == "r"), "right" if answer == "r" else "wrong")
        for problem, answers in pools.items()
        for i, answer in enumerate(answers)
    ]
    columns = ["problem_id", "sample", "answer", "correct", "correct_paper_grader", "reward", "outcome"]
    return pd.DataFrame(rows, columns=columns)


def training(weights):
    n = len(weights)
    return pd.DataFrame({"step": range(1, n + 1), "log_p": -1.0, "weight": weights, "success_rate": np.nan})


def measured(tmp_path, experiment, pools, records, kinds=("scores", "training")):
    """metrics, summary and weights of runs given as (arm, recipe, seed) -> its pools and record."""
    runs = []
    for i, ((name, recipe, seed), pool) in enumerate(pools.items()):
        paths = {"scores": tmp_path / f"s{i}.parquet", "record": tmp_path / f"r{i}.parquet"}
        write_artifact(pool, kinds[0], paths["scores"])
        write_artifact(records[name], kinds[1], paths["record"])
        runs.append({"name": name, "recipe": recipe, "objective": name, "seed": seed, **paths})
    files = {kind: tmp_path / f"{kind}.csv" for kind in ("metrics", "summary", "weights")}
    starts = [run | {"name": "start"} for run in runs if run["name"] == experiment.baseline]
    paths = (files["metrics"], tmp_path / "p.parquet", tmp_path / "start.parquet", files["summary"], files["weights"])
    facts = measure(experiment, runs, starts, REPORTED, *paths)
    return facts, *(read_artifact(kind, path) for kind, path in files.items())


@pytest.fixture
def votes(tmp_path):
    """Two arms of two seeds on two problems, pools of three."""
    pools = {
        ("ce", "recipe", 1): scores({"a": "rrw", "b": "www"}),
        ("ce", "recipe", 2): scores({"a": "rww", "b": "rww"}),
        ("new", "recipe", 1): scores({"a": "rrr", "b": "rww"}),
        ("new", "recipe", 2): scores({"a": "rrw", "b": "rrw"}),
    }
    records = {"ce": training([1.0, 1.0]), "new": training([0.0, 3.0])}
    return measured(tmp_path, EXPERIMENT, pools, records)


def majority(answers, k):
    """Maj@k by all ordered draws; ties to the first drawn."""
    wins = []
    for draw in itertools.permutations(answers, k):
        best = max(draw.count(answer) for answer in draw)
        wins.append(next(answer for answer in draw if draw.count(answer) == best) == "r")
    return np.mean(wins)


def test_of_the_start_stands_the_value_of_each_problem_at_one_sample(votes, tmp_path):
    start = read_artifact("problem_metrics", tmp_path / "start.parquet")
    assert set(start["arm"]) == {"start"} and set(start["k"]) == {1}
    found = start.set_index(["seed", "problem_id"])["value"]
    assert found.to_dict() == pytest.approx({(1, "a"): 2 / 3, (1, "b"): 0, (2, "a"): 1 / 3, (2, "b"): 1 / 3})


def test_values_and_differences_are_means_over_seeds_and_problems(tmp_path):
    # Of two draws the first wins, so that Maj@2 is Maj@1: k = 3 tells the budgets apart.
    answers = {
        ("ce", "recipe", 1): {"a": "rrw", "b": "wwww"},
        ("ce", "recipe", 2): {"a": "rww", "b": "rwww"},
        ("new", "recipe", 1): {"a": "rrr", "b": "rwrw"},
        ("new", "recipe", 2): {"a": "rrw", "b": "rrrw"},
    }
    pools = {run: scores(problems) for run, problems in answers.items()}
    records = {"ce": training([1.0]), "new": training([1.0])}
    facts, metrics, summary, _ = measured(tmp_path, EXPERIMENT | {"ks": [1, 3], "gain": False}, pools, records)
    assert facts == {"n_runs": 4, "n_problems": 2, "n_samples": 3}
    rows, by_arm = metrics.set_index(["arm", "seed", "k"]), summary.set_index(["arm", "metric", "k"])
    for k in (1, 3):
        found = {run: [majority(pool, k) for pool in problems.values()] for run, problems in answers.items()}
        for (arm, _, seed), values in found.items():
            assert rows.loc[(arm, seed, k), "value"] == pytest.approx(np.mean(values))
            se = abs(values[0] - values[1]) / 2 or np.nan  # sd / sqrt(2); none without any spread
            assert rows.loc[(arm, seed, k), "se"] == pytest.approx(se, nan_ok=True)
        ce, new = (np.mean([found[arm, "recipe", seed] for seed in (1, 2)]) for arm in ("ce", "new"))
        assert by_arm.loc[("ce", "maj", k), ["value", "difference"]].tolist() == pytest.approx([ce, 0])
        assert by_arm.loc[("new", "maj", k), ["value", "difference"]].tolist() == pytest.approx([new, new - ce])
    assert len(rows) == 8 and len(by_arm) == 4


def test_the_gain_is_the_difference_between_the_largest_and_the_smallest_budget(tmp_path):
    # Pools of three. Maj@1 is the share of right answers, Maj@3 whether most are right; of two draws the first wins, so
    # that Maj@2 is Maj@1. Over seeds and problems ce has Maj@1 4/12 and Maj@3 1/4, new 8/12 and 3/4.
    pools = {
        ("ce", "recipe", 1): scores({"a": "rrw", "b": "www"}),
        ("ce", "recipe", 2): scores({"a": "rww", "b": "rww"}),
        ("new", "recipe", 1): scores({"a": "rrr", "b": "rww"}),
        ("new", "recipe", 2): scores({"a": "rrw", "b": "rrw"}),
    }
    records = {"ce": training([1.0]), "new": training([1.0])}
    _, _, summary, _ = measured(tmp_path, EXPERIMENT | {"ks": [2, 3, 1]}, pools, records)
    gains = summary[summary["metric"] == "gain"].set_index(["arm", "k"])
    assert list(gains.index) == [("ce", 3), ("new", 3)]
    assert gains["value"].tolist() == pytest.approx([1 / 4 - 4 / 12, 3 / 4 - 8 / 12])
    assert gains["difference"].tolist() == pytest.approx([0, 1 / 6])


def test_the_papers_values_stand_beside_under_their_own_names_and_a_vote_of_one_is_one_sample(votes):
    _, _, summary, _ = votes
    by_arm = summary.set_index(["arm", "metric", "k"])
    assert by_arm.loc[("ce", "maj", 1), "reported"] == pytest.approx(0.2)
    assert by_arm.loc[("new", "maj", 1), "reported_difference"] == pytest.approx(0.025)
    assert by_arm.loc[("new", "maj", 2), "reported"] == pytest.approx(0.31)
    assert by_arm.loc[("new", "gain", 2), "reported_difference"] == pytest.approx(-0.015)
    assert by_arm["beyond_paper"].groupby("arm").all().to_dict() == {"ce": False, "new": True}


def test_a_difference_that_alone_is_known_stands_without_a_value(tmp_path):
    experiment = EXPERIMENT | {"reported_from": "d", "paper_item": "Fig 9", "reported_as": {}, "gain": False}
    pools = {(arm, "recipe", 1): scores({"a": "rrw", "b": "rww"}) for arm in ("ce", "new")}
    _, _, summary, _ = measured(tmp_path, experiment, pools, {"ce": training([1.0]), "new": training([1.0])})
    row = summary.set_index(["arm", "k"]).loc[("new", 2)]
    assert np.isnan(row["reported"]) and row["reported_difference"] == pytest.approx(-0.005)


def test_weights_are_described_over_all_sequences(votes):
    _, _, _, weights = votes
    by_arm = weights.set_index("arm")
    assert by_arm.loc["ce", ["weight_p05", "weight_p50", "weight_p95", "effective_share"]].tolist() == [1, 1, 1, 1]
    assert by_arm.loc["new", "weight_p50"] == 1.5 and by_arm.loc["new", "effective_share"] == pytest.approx(0.5)
    assert by_arm["success_rate_p50"].isna().all() and by_arm["reward_last"].isna().all()


def test_several_recipes_are_compared_by_reward_with_the_record_of_their_steps(tmp_path):
    experiment = EXPERIMENT | {
        **{"name": "p", "trainer": "grpo", "labels": {"one": "Base", "two": "Two"}, "beyond_paper": []},
        **{"reported_as": {}, "reported_from": "p", "gain": False, "baseline": "one", "metric": "bon"},
        "paper_item": "Table 8",
    }

    def rewards(values):
        return pd.DataFrame(
            {
                "problem_id": "only",
                "sample": range(len(values)),
                "sequence": "ACDEF",
                "hydrophobic_fraction": 0.4,
                "input_fraction": np.nan,
                "reward": values,
            }
        )

    steps = pd.DataFrame(
        {
            "step": range(1, 21),
            "reward": np.arange(20.0),
            "jackpot_share": np.nan,
            "no_signal_share": 0.25,
            "weight_p05": 0.5,
            "weight_p50": 1.0,
            "weight_p95": 2.0,
            "effective_share": 0.8,
            "log_p_p50": np.nan,
            "kl": np.nan,
            "entropy": 1.0,
        }
    )
    pools = {("one", "one", s): rewards([1.0, 2.0, 6.0]) for s in (1, 2)}
    pools |= {("two", "two", s): rewards([3.0, 3.0, 9.0 + s]) for s in (1, 2)}
    _, _, summary, weights = measured(
        tmp_path, experiment, pools, {"one": steps, "two": steps}, ("protein_scores", "rl_training")
    )
    by_arm = summary.set_index(["arm", "k"])
    assert by_arm.loc[("one", 1), "value"] == pytest.approx(3) and by_arm.loc[("one", 2), "value"] == pytest.approx(
        14 / 3
    )
    assert by_arm.loc[("one", 1), "reported"] == 5.25  # a reward, not a share
    assert by_arm.loc[("two", 1), "difference"] == pytest.approx((16 + 17) / 6 - 3)
    assert set(summary["recipe"]) == {"one", "two"} and set(summary["population"]) == {"seeds only"}
    row = weights.set_index("arm").loc["one"]
    assert (row["reward_first"], row["reward_last"], row["no_signal_share"]) == (0.5, 18.5, 0.25)
    assert np.isnan(row["kl_last"]) and row["n_rows"] == 40


def test_the_curve_of_a_pool_is_that_of_its_metric():
    pool = scores({"a": "rrww"})
    assert pool_curve(pool, "pass", [1, 2]).tolist() == pytest.approx([1 / 2, 5 / 6])
    assert pool_curve(pool, "bon", [1, 4]).tolist() == pytest.approx([1 / 2, 1])
    assert pool_curve(pool, "maj", [1, 3]).tolist() == pytest.approx([1 / 2, majority("rrww", 3)])
