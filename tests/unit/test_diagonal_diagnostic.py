"""The experiment on the diagonal approximation: pools, random answer sets, figures; against enumeration and loops."""

import math
import statistics
import warnings
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import REPO
from test_diagonal import enumerated_success, rho_by_words

from compute_aligned.analysis.diagonal import (
    compare_gradients,
    decay_deviation,
    gradients,
    most_frequent_right,
    random_answer_sets,
)
from compute_aligned.analysis.diagonal_diagnostic import measure_diagonal, random_targets
from compute_aligned.config.loading import load_settings
from compute_aligned.config.resolving import diagonal_settings
from compute_aligned.presentation.figures.diagonal import rho, rho_figure, what_was_diagnosed
from compute_aligned.presentation.figures.style import save_figure
from compute_aligned.provenance.artifacts import read_artifact, write_artifact

EXPERIMENT = yaml.safe_load((REPO / "config" / "experiments.yaml").read_text())["experiments"]["diagonal_diagnostic"]
N = 4  # N^4 tuples can be enumerated
RIGHT = {"7", "14/2"}
# problem -> its pool; None is an invalid completion. "certain" has no rival, "none right" no target.
POOLS = {
    "plain": ["7"] * 3 + ["8"] * 4 + ["9"],
    "invalid": ["7"] * 2 + [None] * 4 + ["1", "2"],
    "apart": ["14/2"] * 2 + ["7"] * 3 + ["8"] * 3,
    "tied": ["7", "14/2", "8", "8", None, None, "5", "5"],
    "only invalid beside": ["7"] * 3 + [None] * 5,
    "none right": ["8", None, None, "9", "8", "8", "8", "1"],
    "certain": ["7"] * 8,
}
TARGETS = {"plain": "7", "invalid": "7", "apart": "7", "tied": "14/2", "only invalid beside": "7"}


def scores(pools, rewards=None):
    rows = []
    for problem, pool in pools.items():
        for place, answer in enumerate(pool):
            right = answer in RIGHT
            reward = float(right) if rewards is None else rewards[problem][place]
            outcome = "invalid" if answer is None else "right" if right else "wrong"
            rows.append((problem, place, answer, right, right, reward, outcome))
    columns = ["problem_id", "sample", "answer", "correct", "correct_paper_grader", "reward", "outcome"]
    return pd.DataFrame(rows, columns=columns)


def settings(**changes):
    tiny = yaml.safe_load((REPO / "config" / "tiny.yaml").read_text())
    resolved = diagonal_settings(load_settings(tiny, "tiny.yaml", REPO / "config"), "diagonal_diagnostic")
    return resolved | {"theorem3": resolved.theorem3 | {"cases": 20}, "n": N, "draws": 20_000} | changes


def measured(folder, frames, **changes):
    """ratios, rho and theorem3 of frames of scores, one per seed."""
    resolved = settings(**changes)
    looked_at = dict.fromkeys((figure.recipe, figure.objective) for figure in resolved.figures.values())
    runs = []
    for seed, frame in enumerate(frames, start=1):
        path = folder / f"seed{seed}.parquet"
        write_artifact(frame, "scores", path)
        runs += [
            {"recipe": recipe, "objective": objective, "seed": seed, "scores": path} for recipe, objective in looked_at
        ]
    paths = {
        kind: folder / name
        for kind, name in (
            ("diagonal_ratios", "ratios.parquet"),
            ("diagonal_rho", "rho.csv"),
            ("theorem3", "theorem3.csv"),
        )
    }
    measure_diagonal(resolved, runs, read_artifact("reported", REPO / "config" / "reported.csv"), *paths.values())
    return tuple(read_artifact(kind, path) for kind, path in paths.items())


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    return measured(tmp_path_factory.mktemp("diagonal"), [scores(POOLS)])


@pytest.fixture
def majority(artifacts):
    return artifacts[0].query("strategy == 'majority'").set_index("problem_id")


@pytest.fixture
def best_of_n(artifacts):
    return artifacts[0].query("strategy == 'best_of_n'").set_index("problem_id")


# --- pools -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", TARGETS)
def test_rho_and_cosine_of_a_pool_agree_with_enumeration_of_its_draws(majority, problem):
    votes = Counter(POOLS[problem])
    answers = list(votes)
    p = np.array([votes[answer] for answer in answers]) / len(POOLS[problem])
    target = answers.index(TARGETS[problem])
    invalid = answers.index(None) if None in answers else None
    row = majority.loc[problem]
    assert row["p_target"] == p[target]
    assert row["rho"] == pytest.approx(rho_by_words(p, target, "majority", N, invalid))
    assert row["exact"] and row["se"] == 0
    assert row["rho_drawn"] == pytest.approx(row["rho"], rel=0.1)  # 20,000 draws

    step = 1e-5

    def success(logits):
        weights = np.exp(logits)
        return enumerated_success(weights / weights.sum(), target, "majority", N, invalid)

    slopes = [(success(np.log(p) + d) - success(np.log(p) - d)) / (2 * step) for d in step * np.eye(len(p))]
    diagonal = p[target] * (np.eye(len(p))[target] - p)  # grad p_y; a is a positive factor
    cosine = np.dot(slopes, diagonal) / np.linalg.norm(slopes) / np.linalg.norm(diagonal)
    assert row["cosine"] == pytest.approx(cosine, abs=1e-7)


def test_right_answers_that_are_written_differently_vote_apart_and_the_most_frequent_is_the_target(majority):
    assert majority.loc["apart", ["n_right", "p_target"]].tolist() == [2, 3 / 8]
    assert majority.loc["tied", ["n_right", "p_target"]].tolist() == [2, 1 / 8]
    assert most_frequent_right(["a", "b", "b", "c", None], {"a", "b"}) == "b"
    assert most_frequent_right(["b", "a", None], {"a", "b"}) == "a"
    assert most_frequent_right(["c", None], {"a", "b"}) is None


def test_pools_without_a_right_answer_and_pools_without_another_one_are_undefined_and_counted(artifacts, majority):
    assert majority["rho"].isna().to_dict() == {problem: problem in ("none right", "certain") for problem in POOLS}
    assert majority["p_target"][["none right", "certain"]].tolist() == [0, 1]
    for _, row in artifacts[1].iterrows():
        assert row["n_pools"] == len(POOLS) and row["n_undefined"] == 2
    of_majority = artifacts[1].set_index("strategy").loc["majority"]
    assert of_majority[["n_without_target", "n_without_rival", "n_several_right"]].tolist() == [1, 1, 2]


def test_with_rewards_0_and_1_rho_of_best_of_n_is_a_power_of_the_share_of_wrong_samples(artifacts, best_of_n):
    for problem, pool in POOLS.items():
        wrong = sum(answer not in RIGHT for answer in pool) / len(pool)
        if 0 < wrong < 1:
            assert best_of_n.loc[problem, "rho"] == pytest.approx(wrong ** -(N - 1), rel=1e-12)
    summary = artifacts[1].set_index("strategy")["power_deviation"]
    assert summary["best_of_n"] < 1e-12 and math.isnan(summary["majority"])


def test_real_rewards_are_ranked_and_the_best_is_the_target(tmp_path):
    pools = {"a": ["8"] * 5, "b": ["8"] * 5}
    rewards = {"a": [0.5, -5.0, 12.1, 0.5, 3.0], "b": [2.0] * 5}
    ratios, rho, _ = measured(tmp_path, [scores(pools, rewards)])
    rows = ratios.query("strategy == 'best_of_n'").set_index("problem_id")
    assert rows.loc["a", ["n_answers", "p_target"]].tolist() == [4, 1 / 5]
    assert rows.loc["a", "rho"] == pytest.approx(0.8 ** -(N - 1))
    assert math.isnan(rows.loc["b", "rho"])
    assert rho.set_index("strategy")["mean"].isna().to_dict() == {"majority": True, "best_of_n": False}


def test_the_summary_is_over_all_seeds_and_leaves_the_undefined_out(tmp_path):
    frames = [scores(POOLS), scores({"plain": POOLS["invalid"], "invalid": POOLS["none right"]})]
    ratios, rho, _ = measured(tmp_path, frames)
    row = rho.set_index("strategy").loc["majority"]
    assert row[["n_seeds", "n_problems", "n_pools", "n_undefined"]].tolist() == [2, 7, 9, 3]
    defined = [value for value in ratios.query("strategy == 'majority'")["rho"] if not math.isnan(value)]
    assert row["mean"] == pytest.approx(sum(defined) / len(defined))
    assert (row["min"], row["max"]) == (pytest.approx(min(defined)), pytest.approx(max(defined)))
    assert row["share_at_least_one"] == 1 and row["share_flipped"] == 0


def test_the_papers_values_stand_beside_its_own_budget_alone(tmp_path, artifacts):
    columns = ["reported_mean", "reported_median", "reported_max", "reported_share_at_least_one", "reported_n_problems"]
    assert artifacts[1][columns].isna().all(axis=None)  # N = 4
    rho = measured(tmp_path, [scores(POOLS)], n=8)[1].set_index("figure")
    assert rho.loc["fig9", columns].tolist() == [1.24, 1.13, 2.23, 1.0, 81]
    assert rho.loc["fig10", columns].tolist() == [1.26, 1.25, 2.12, 1.0, 277]


# --- random answer sets ----------------------------------------------------------------------------------------------


def test_random_answer_sets_are_probabilities_of_the_sizes_asked_for():
    sets = list(random_answer_sets(300, [2, 5], [0.01, 3], [3, 7], np.random.default_rng(0)))
    assert len(sets) == 300
    assert {len(p) for p, _ in sets} == {2, 5} and {n for _, n in sets} == {3, 7}
    assert all((p > 0).all() and p.sum() == pytest.approx(1) for p, _ in sets)
    assert len(np.unique([p[0] for p, _ in sets])) > 250


@pytest.mark.parametrize("strategy", ["majority", "best_of_n"])
def test_under_proportional_decay_the_exact_gradient_is_the_diagonal_over_rho(strategy):
    step = 1e-6
    for p, n in random_answer_sets(30, [2, 3, 4], [1, 3], [2, 3, 4], np.random.default_rng(1)):
        assert decay_deviation(p, 0, strategy, n) < 1e-12
        if not 0.05 < p[0] < 0.9:
            continue
        grad_p = np.concatenate([[1.0], -p[1:] / (1 - p[0])])  # of all answers, for a unit of the target's
        up, down = (enumerated_success(p + sign * step * grad_p, 0, strategy, n) for sign in (1, -1))
        alone = step * np.eye(len(p))[0]
        a = (enumerated_success(p + alone, 0, strategy, n) - enumerated_success(p - alone, 0, strategy, n)) / (2 * step)
        assert (up - down) / (2 * step) == pytest.approx(a / rho_by_words(p, 0, strategy, n), rel=1e-5, abs=1e-8)


def test_an_undefined_rho_has_no_deviation():
    assert math.isnan(decay_deviation([1.0, 0.0], 0, "majority", 4))


def test_the_table_of_random_answer_sets_agrees_with_a_loop_over_both_gradients():
    how = {"cases": 200, "answers": [2, 3, 5], "concentrations": [0.3, 3], "n": [2, 8, 32], "seed": 4}
    table = random_targets(**how).set_index(["strategy", "target"])
    last = {"any": 0, "best": 1, "another": 1}
    for (strategy, kind), row in table.iterrows():
        rng = np.random.default_rng(4)
        cosines, short, along = [], 0, 0
        for p, n in random_answer_sets(200, how["answers"], how["concentrations"], how["n"], rng):
            target = len(p) - 1 if kind == "best" else rng.integers(len(p) - last[kind])
            exact, diagonal = gradients(np.log(p), target, strategy, n)
            if not exact.any():
                continue
            lengths = [math.sqrt(sum(x * x for x in g)) for g in (exact, diagonal)]
            if 0 in lengths:
                continue
            cosines.append(sum(x * y for x, y in zip(exact, diagonal, strict=True)) / lengths[0] / lengths[1])
            short += lengths[1] < lengths[0] * (1 - 1e-9)
            along += sum((x - y) * y for x, y in zip(exact, diagonal, strict=True)) > 1e-9 * lengths[1] ** 2
        assert row["cases"] - row["n_vanishing"] == len(cosines)
        assert row["cosine_min"] == pytest.approx(min(cosines))
        assert row["cosine_median"] == pytest.approx(statistics.median(cosines))
        assert row["share_flipped"] == pytest.approx(sum(c < 0 for c in cosines) / len(cosines))
        assert row["share_too_short"] == pytest.approx(short / len(cosines))
        assert row["share_omitted_along"] == pytest.approx(along / len(cosines))
        assert row["decay_deviation"] < 1e-12


def test_what_the_shipped_table_says_of_theorem_3():
    """The text of docs/method.md stands on these."""
    table = random_targets(**EXPERIMENT["theorem3"] | {"cases": 600}).set_index(["strategy", "target"])
    assert table["share_flipped"].map(lambda share: share > 0).to_dict() == {
        ("majority", "any"): False,
        ("best_of_n", "best"): False,
        ("best_of_n", "another"): True,
    }
    assert table.loc[("best_of_n", "best"), "cosine_min"] == pytest.approx(1, abs=1e-9)
    assert 0.05 < table.loc[("majority", "any"), "share_omitted_along"] < 0.2


def test_sharing_the_forced_draws_changes_no_gradient():
    logits = np.log([0.2, 0.5, 0.3])
    exact, diagonal = gradients(logits, 0, "majority", 8)
    comparison = compare_gradients(logits, 0, "majority", 8)
    assert comparison.ratio == pytest.approx(np.linalg.norm(diagonal) / np.linalg.norm(exact), rel=1e-14)


# --- figures ---------------------------------------------------------------------------------------------------------


def drawn(values, **facts):
    """The figure of given values of rho."""
    ratios = pd.DataFrame({"rho": values})
    defined = ratios["rho"].dropna()
    summary = {"n_seeds": 1, "mean": defined.mean(), "median": defined.median(), "reported_mean": 1.24, **facts}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = rho_figure(ratios, pd.Series(summary))
        figure.canvas.draw()
    return figure


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_figure_counts_every_problem_in_15_bins_with_lines_at_1_median_and_mean():
    values = [1.02, 1.05, 1.05, 1.2, 1.3, 1.31, 2.0, 4.0, math.nan]
    figure = drawn(values)
    (axes,) = figure.axes
    heights = [bar.get_height() for bar in axes.patches]
    assert len(heights) == 15 and sum(heights) == 8
    edges = [bar.get_x() for bar in axes.patches]
    for left, right, height in zip(edges, [*edges[1:], 5], heights, strict=True):
        assert height == sum(left <= value < right for value in values)
    vertical = {line.get_label(): line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 2}
    mean = np.nanmean(values)
    assert vertical == {"ρ = 1": 1, "median 1.25": 1.25, f"mean {mean:.3g}": mean, "paper's mean 1.24": 1.24}
    assert axes.get_ylabel() == "problems" and "total derivative" in axes.get_xlabel()
    plt.close(figure)


def test_the_density_encloses_as_much_as_the_bars():
    figure = drawn(np.exp(np.random.default_rng(0).exponential(0.3, 400)).tolist())
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == "density"]
    log_x, bars = np.log(line.get_xdata()), figure.axes[0].patches
    width = np.log(bars[1].get_x() / bars[0].get_x())
    assert np.trapezoid(line.get_ydata(), log_x) / width == pytest.approx(400, rel=0.05)
    plt.close(figure)


def test_the_largest_values_are_cut_off_and_counted_and_a_mean_beyond_the_axis_is_said_not_drawn():
    values = [*np.linspace(1.1, 9, 95), 40, 50, 60, 70, 1e12]
    figure = drawn(values)
    (axes,) = figure.axes
    assert axes.get_xlim()[1] == 10
    assert sum(bar.get_height() for bar in axes.patches) == 95
    assert "5 beyond 10, the largest 1.0e+12" in axes.get_xlabel()
    assert "mean 1.0e+10 (off the axis)" in legend(figure)
    plt.close(figure)


@pytest.mark.parametrize("largest", [1.0, 1.15, 8, 25, 900, 1e9])
def test_an_axis_has_few_labels_whatever_its_length(largest):
    figure = drawn(np.geomspace(1, largest, 50).tolist())
    figure.canvas.draw()
    low, high = figure.axes[0].get_xlim()
    shown = [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high]
    assert 2 <= len(shown) <= 10
    plt.close(figure)


@pytest.mark.parametrize("values", [[], [math.nan] * 3])
def test_a_figure_without_any_rho_says_so(values):
    figure = drawn(values, mean=math.nan, median=math.nan)
    assert [text.get_text() for text in figure.axes[0].texts] == ["ρ is undefined for every problem"]
    plt.close(figure)


def test_the_caption_says_what_was_run_how_much_is_undefined_and_what_rho_is(artifacts):
    of_figures = artifacts[1].set_index("figure")
    said = {name: what_was_diagnosed(row, "tiny", "test") for name, row in of_figures.iterrows()}
    for name, text in said.items():
        recipe = EXPERIMENT["figures"][name]["recipe"]
        assert f"Preset tiny, {recipe} on ce: 1 seed, 7 test problems, pools of 8" in text
        assert "undefined for 2 of 7" in text
    assert "(1−p)^(−3)" in said["fig10"] and "(1−p)" not in said["fig9"]


def test_the_same_artifacts_are_drawn_to_the_same_bytes(artifacts, tmp_path):
    for name, figure in EXPERIMENT["figures"].items():
        for copy in ("one", "two"):
            made = rho(*artifacts[:2], name, figure["title"], "tiny", "test")
            save_figure(*made, *(tmp_path / f"{name}-{copy}.{ending}" for ending in ("pdf", "png", "caption.md")))
        for ending in ("pdf", "png"):
            one, two = (tmp_path / f"{name}-{copy}.{ending}" for copy in ("one", "two"))
            assert one.read_bytes() == two.read_bytes()
        assert made[1].startswith(figure["title"]) and "it is at least 1 by construction" in made[1].lower()
    plt.close("all")
