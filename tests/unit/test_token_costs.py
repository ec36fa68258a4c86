"""Tokens per problem and arms at equal tokens: against enumeration, closed forms and a dense grid of these."""

import itertools

import numpy as np
import pandas as pd
import pytest
from compute_token_costs import compute_token_costs

from compute_aligned.analysis.token_costs import completion_tokens, crossings, crossover, token_costs
from compute_aligned.provenance.artifacts import read_artifact, write_artifact
from compute_aligned.statistics import crossed_interval, paired_difference


def pool(lengths, cut=()):
    """Samples of one problem; those in `cut` have no end token."""
    n = len(lengths)
    finish = ["length" if i in cut else "stop" for i in range(n)]
    columns = {"completion": "x", "finish_reason": finish, "n_tokens": lengths, "mean_logprob": -1.0}
    return pd.DataFrame({"problem_id": "a", "sample": range(n), **columns})


def solved(p, k):
    """Mean of pass@k over problems with chances p, for any real k."""
    return np.mean([1 - (1 - chance) ** k for chance in p], axis=0)


# --- tokens ---


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_tokens_are_those_of_all_k_samples_on_average_with_end_tokens_and_without_those_of_a_cut_one(k):
    drawn = [4, 8, 2, 9]  # 3 + 1, 7 + 1, 1 + 1; the last is cut
    all_draws = [sum(draw) for draw in itertools.combinations(drawn, k)]
    assert k * completion_tokens(pool([3, 7, 1, 9], cut=[3]))["a"] == pytest.approx(np.mean(all_draws))


ARMS = {"ce": ("CE", 4), "new": ("New", 8)}  # label, tokens of a completion
LENGTHS = {"ce": [[3, 5], [4, 4]], "new": [[8, 8], [6, 10]]}  # (seeds, problems)


def made(ks=(1, 2, 4), lengths=LENGTHS, chances=None):
    """Summary, problem metrics and samples of two arms, two seeds and two problems."""
    chances = chances or {"ce": [[0.1, 0.5], [0.2, 0.4]], "new": [[0.3, 0.4], [0.2, 0.7]]}
    rows, samples = [], {}
    for arm, seed in itertools.product(ARMS, (1, 2)):
        of_problems = [pool([n - 1] * 4).assign(problem_id=f"p{i}") for i, n in enumerate(lengths[arm][seed - 1])]
        samples[arm, seed] = pd.concat(of_problems, ignore_index=True)
        for k, (i, p) in itertools.product(ks, enumerate(chances[arm][seed - 1])):
            rows.append(("r", arm, seed, "pass", k, f"p{i}", 1 - (1 - p) ** k))
    per_problem = pd.DataFrame(rows, columns=["recipe", "arm", "seed", "metric", "k", "problem_id", "value"])
    summary = per_problem.groupby(["arm", "metric", "k"], as_index=False)["value"].mean()
    names = {"experiment": "e", "recipe": "r", "label": "x", "beyond_paper": False, "baseline": "ce"}
    summary = pd.concat([summary, summary.tail(1).assign(metric="gain")], ignore_index=True).assign(**names)
    return summary, per_problem, samples


def test_an_arm_with_answers_twice_as_long_is_held_against_twice_as_many_samples_of_the_baseline():
    summary, per_problem, samples = made()
    found = token_costs(summary, per_problem, samples).set_index(["arm", "k"])
    assert len(found) == 6  # the gain has no budget
    values = per_problem.pivot(index=["arm", "k", "seed"], columns="problem_id", values="value")
    for k in (1, 2):  # the baseline was measured at 2 and 4
        row = found.loc["new", k]
        by_hand = paired_difference(values.loc["new", k].to_numpy(), values.loc["ce", 2 * k].to_numpy(), within=(0, 1))
        assert row[["difference", "difference_low", "difference_high"]].to_list() == pytest.approx(
            [by_hand.mean, by_hand.low, by_hand.high]
        )
        assert (row["tokens"], row["compared_at"]) == (8 * k, 8 * k)
    cost = crossed_interval(3 * np.array(LENGTHS["new"]))
    assert (cost.low / 3 * 2, cost.high / 3 * 2) == pytest.approx(
        tuple(found.loc[("new", 2), ["tokens_low", "tokens_high"]])
    )
    # At k = 4 it costs 32 tokens, and the baseline was measured up to 16: both are taken there.
    assert found.loc[("new", 4), "compared_at"] == 16
    at_16 = values.loc["new", 2].to_numpy().mean() - values.loc["ce", 4].to_numpy().mean()
    assert found.loc[("new", 4), "difference"] == pytest.approx(at_16)
    of_baseline = found.loc["ce"]
    assert (of_baseline["difference"] == 0).all() and of_baseline["difference_low"].isna().all()


def test_arms_without_tokens_in_common_are_not_compared():
    lengths = {"ce": [[4, 4], [4, 4]], "new": [[17, 17], [17, 17]]}
    found = token_costs(*made(lengths=lengths)).set_index("arm").loc["new"]
    assert found[["compared_at", "difference", "crossover"]].isna().all(axis=None)
    one_budget = token_costs(*made(ks=[2])).set_index("arm").loc["new"]
    assert np.isnan(one_budget["difference"]) and one_budget["n_crossings"] == 0


def test_the_job_writes_a_row_per_arm_and_k_that_reads_as_it_was_written(tmp_path):
    summary, per_problem, samples = made()
    rest = ("low", "high", "difference", "difference_low", "difference_high", "difference_p")
    rest = dict.fromkeys((*rest, "reported", "reported_difference"), 0.0)
    summary = summary.assign(**rest, population="seeds x problems", n_seeds=2, n_problems=2, n_samples=4)
    order = "experiment recipe arm label beyond_paper baseline metric k value low high difference difference_low "
    order += "difference_high difference_p population reported reported_difference n_seeds n_problems n_samples"
    paths = {run: tmp_path / f"{'-'.join(map(str, run))}.parquet" for run in samples}
    for run, frame in samples.items():
        write_artifact(frame, "samples", paths[run])
    write_artifact(summary[order.split()], "summary", tmp_path / "summary.csv")
    write_artifact(per_problem, "problem_metrics", tmp_path / "problems.parquet")
    facts = compute_token_costs(
        list(paths.values()),
        [{"name": arm, "seed": seed} for arm, seed in paths],
        tmp_path / "problems.parquet",
        tmp_path / "summary.csv",
        tmp_path / "tokens.csv",
    )
    assert facts == {"n_runs": 4, "n_completions": 32}
    written = read_artifact("tokens", tmp_path / "tokens.csv")
    pd.testing.assert_frame_equal(written, token_costs(summary, per_problem, samples), check_dtype=False)


def test_a_vote_of_two_is_no_point_of_its_curve():
    """Maj@2 is Maj@1: a curve through both would fall between them, and an arm that is a little cheaper with it."""
    summary, per_problem, samples = made(ks=(1, 2, 4, 8), lengths={"ce": [[10, 10]] * 2, "new": [[9, 9]] * 2})
    vote = {1: 0.3, 2: 0.3, 4: 0.45, 8: 0.6}
    per_problem = per_problem.assign(metric="maj", value=per_problem["k"].map(vote))
    summary = summary[summary["metric"] == "pass"].assign(metric="maj", value=summary["k"].map(vote))
    found = token_costs(summary, per_problem, samples).set_index(["arm", "k"])["difference"]
    assert 0 < found["new", 1] < 0.03  # with a ninth more tokens than one sample
    assert found["new", 8] == pytest.approx(0.6 - np.interp(0.9, [0.5, 1], [0.45, 0.6]), abs=0.01)


# --- crossovers ---


@pytest.mark.parametrize(
    ("p", "length"),
    [([0.02, 0.4, 0.6], 9), ([0.05, 0.1, 0.8], 12), ([0.1, 0.15, 0.2], 8), ([0.06, 0.06, 0.75], 11)],
)
def test_a_crossover_is_where_a_dense_grid_of_the_true_curves_changes_its_sign(p, length):
    baseline, ks = [0.01, 0.3, 0.9], (1, 2, 4, 8, 16, 32, 64)
    tokens = np.geomspace(max(length, 10), 64 * min(length, 10), 100_001)
    apart = solved(p, tokens / length) - solved(baseline, tokens / 10)
    changes = np.flatnonzero(np.diff(np.sign(apart)) != 0)
    wanted = tokens[changes[-1]], "ahead" if apart[changes[-1] + 1] > 0 else "behind", len(changes)
    lengths = {"ce": [[10] * 3] * 2, "new": [[length] * 3] * 2}
    found = token_costs(*made(ks, lengths, {"ce": [baseline] * 2, "new": [p] * 2})).set_index("arm").loc["new"].iloc[0]
    # Exact but for what lies between the measured k.
    assert found["crossover"] == pytest.approx(wanted[0], rel=0.05)
    assert (found["crossover_to"], found["n_crossings"]) == wanted[1:]


@pytest.mark.parametrize(
    ("differences", "wanted"),
    [
        ([-1, 3], [(0.25, "ahead")]),
        ([3, -1], [(0.75, "behind")]),
        ([1, 2], []),
        ([0, 0], []),  # one curve
        ([0, 1], []),  # begins on the other
        ([1, 0, 1], []),  # touches it
        ([-1, 0, 0, 1], [(2, "ahead")]),  # is one with it for a while
        ([1, 1e-15, -1], [(1, "behind")]),  # up to rounding
        ([1, -1, 1], [(0.5, "behind"), (1.5, "ahead")]),
        ([], []),
    ],
)
def test_what_crosses_the_baseline_and_what_does_not(differences, wanted):
    found = crossings(np.exp(np.arange(len(differences))), np.array(differences, dtype=float))
    assert [side for _, side in found] == [side for _, side in wanted]
    assert [np.log(at) for at, _ in found] == pytest.approx([place for place, _ in wanted])


@pytest.mark.parametrize(("below", "above", "clear"), [(-0.1, 0.1, True), (0.1, 0.1, False), (-0.1, -0.1, False)])
def test_of_several_crossings_the_last_counts_and_is_clear_where_intervals_lie_beyond_0_on_both_sides(
    below, above, clear
):
    rows = [(1, 1.0, 0.5, 1.5), (2, -1.0, -2.0, below), (4, 1.0, above, 2.0), (8, np.nan, np.nan, np.nan)]
    columns = ["compared_at", "difference", "difference_low", "difference_high"]
    assert crossover(pd.DataFrame(rows, columns=columns)) == {
        "crossover": pytest.approx(8**0.5),
        "crossover_to": "ahead",
        "crossover_clear": clear,
        "n_crossings": 2,
    }
