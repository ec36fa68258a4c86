"""Train budgets beside test budgets: gains, alignment and pass rates, their figures and their table."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from compute_pass_rates import compute_pass_rates
from conftest import squeezed

from compute_aligned.analysis.gains import beside_alignment, gains, rank_correlation
from compute_aligned.presentation.figures import curves, matrix
from compute_aligned.presentation.figures.curves import pass_rate_figure
from compute_aligned.presentation.figures.matrix import alignment_figure, matrix_figure
from compute_aligned.presentation.figures.style import COLUMN_WIDTH_IN
from compute_aligned.presentation.tables.alignment import alignment as alignment_table
from compute_aligned.presentation.tables.forms import write_table
from compute_aligned.provenance.artifacts import read_artifact, write_artifact

LABELS = {"ce": "CE", "pass_n16": "Pass@16", "pass_n4": "Pass@4"}  # not in the order of N
KS = [1, 4, 16]
# Difference from cross-entropy by objective and k, as a fraction, and half its interval.
DIFFERENCES = {"ce": [0, 0, 0], "pass_n4": [-0.01, 0.03, 0.02], "pass_n16": [-0.04, -0.01, 0.08]}
HALF = 0.025
CE = [0.1, 0.3, 0.6]


@pytest.fixture
def summary():
    rows = [
        {
            "experiment": "alignment_matrix",
            "recipe": "math_sft_pass",
            "arm": objective,
            "label": label,
            "beyond_paper": False,
            "baseline": "ce",
            "metric": "pass",
            "k": k,
            "value": CE[i] + DIFFERENCES[objective][i],
            "low": 0.0,
            "high": 1.0,
            "difference": DIFFERENCES[objective][i],
            "difference_low": DIFFERENCES[objective][i] - HALF * (objective != "ce"),
            "difference_high": DIFFERENCES[objective][i] + HALF * (objective != "ce"),
            "difference_p": 0.5,
            "population": "seeds x problems",
            "reported": np.nan,
            "reported_difference": np.nan,
            "n_seeds": 5,
            "n_problems": 300,
            "n_samples": 128,
        }
        for objective, label in LABELS.items()
        for i, k in enumerate(KS)
    ]
    return pd.DataFrame(rows)


def coefficient(n, k):
    """Alignment of two Pass@N weights by a plain sum over p."""
    p = (np.arange(200_000) + 0.5) / 200_000
    train, test = (m * p * (1 - p) ** (m - 1) / (1 - (1 - p) ** m) for m in (n, k))
    return (train * test).sum() / np.sqrt((train**2).sum() * (test**2).sum())


@pytest.fixture(scope="module")
def alignment():
    pairs = [(n, k) for n in (1, 4, 16) for k in KS]
    columns = {
        "train": [f"pass_n{n}" for n, _ in pairs],
        "train_label": [f"Pass@{n}" for n, _ in pairs],
        "test": [f"pass_n{k}" for _, k in pairs],
        "test_label": [f"Pass@{k}" for _, k in pairs],
        "alignment": [coefficient(n, k) for n, k in pairs],
    }
    rest = ("negligible", "train_negligible_from", "test_negligible_from", "wasted_share", "starved_share")
    return pd.DataFrame(columns).assign(reported=np.nan, **dict.fromkeys(rest, 0.05))


@pytest.fixture
def draw():
    """Draw a figure to its end, warnings being errors; returns its axes."""

    def drawn(function, *arguments):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure = function(*arguments)
            figure.canvas.draw()
        assert figure.get_figwidth() == COLUMN_WIDTH_IN
        return figure.axes[0]

    yield drawn
    plt.close("all")


# --- gains and alignment ---------------------------------------------------------------------------------------------


def test_gains_are_the_differences_in_points_in_the_order_of_both_budgets(summary):
    frame = gains(summary)
    assert list(frame[["n", "k"]].itertuples(index=False, name=None)) == [(n, k) for n in (1, 4, 16) for k in KS]
    assert frame["gain"].tolist() == pytest.approx([0, 0, 0, -1, 3, 2, -4, -1, 8])


def test_the_best_budget_of_a_k_has_its_largest_value_and_a_clear_gain_an_interval_without_0(summary):
    frame = gains(summary).set_index(["n", "k"])
    assert [n for n, k in frame.index[frame["best"]]] == [1, 4, 16]
    assert list(frame.index[frame["clear"]]) == [(4, 4), (16, 1), (16, 16)]


def test_alignment_stands_beside_the_gain_of_its_own_pair(summary, alignment):
    frame = beside_alignment(summary, alignment).set_index(["n", "k"])
    assert frame.loc[(16, 16), "alignment"] == pytest.approx(1)
    assert frame.loc[(16, 4), "alignment"] == pytest.approx(0.776, abs=5e-4)  # the paper's
    assert frame.loc[(4, 16), "alignment_gain"] == pytest.approx(0.776 - 0.418, abs=1e-3)
    assert (frame.loc[1, "alignment_gain"] == 0).all()


def test_the_rank_correlation_is_that_of_ranks_over_all_trained_budgets(summary, alignment):
    frame = beside_alignment(summary, alignment)
    trained = frame[frame["n"] > 1]
    by_ranks = np.corrcoef(trained["alignment_gain"].rank(), trained["gain"].rank())[0, 1]
    assert rank_correlation(frame) == pytest.approx(by_ranks)
    assert by_ranks < 0.95  # otherwise the test would not tell it from an order that agrees
    two = frame[frame["n"] > 1].iloc[:2].assign(alignment_gain=[0.1, 0.2])
    assert rank_correlation(two.assign(gain=[3.0, 7.0])) == pytest.approx(1)
    assert rank_correlation(two.assign(gain=[7.0, 3.0])) == pytest.approx(-1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(rank_correlation(frame.assign(gain=1.0)))
        assert np.isnan(rank_correlation(frame.assign(alignment_gain=1.0)))


# --- pass rates ------------------------------------------------------------------------------------------------------

RUNS = [{"arm": name, "label": LABELS[name], "seed": seed} for name in ("ce", "pass_n4") for seed in (1, 2)]


def scores(n_correct, m):
    """Pools of m samples, so many of them right."""
    right = np.concatenate([np.arange(m) < c for c in n_correct])
    return pd.DataFrame(
        {
            "problem_id": np.repeat([f"p{i}" for i in range(len(n_correct))], m),
            "sample": np.tile(np.arange(m), len(n_correct)),
            "answer": "1",
            "correct": right,
            "correct_paper_grader": right,
            "reward": right.astype(float),
            "outcome": np.where(right, "right", "wrong"),
        }
    )


@pytest.fixture
def pass_rates(tmp_path):
    """Of two objectives and seeds, pools of 8; the counts, too."""
    counts = np.random.default_rng(1).integers(0, 9, size=(len(RUNS), 12))
    paths = [tmp_path / f"{i}.parquet" for i in range(len(RUNS))]
    for path, row in zip(paths, counts, strict=True):
        write_artifact(scores(row, 8), "scores", path)
    compute_pass_rates(paths, RUNS, tmp_path / "rates.csv")
    return read_artifact("pass_rates", tmp_path / "rates.csv"), counts


def test_a_share_counts_the_problems_with_more_right_samples(pass_rates):
    frame, counts = pass_rates
    assert len(frame) == len(RUNS) * 8 and (frame["n_problems"] == 12).all()
    for (_, rows), row in zip(frame.groupby(["arm", "seed"], sort=False), counts, strict=True):
        for c, share in zip(rows["n_correct"], rows["share"], strict=True):
            assert share == sum(n > c for n in row) / 12


def test_the_area_below_the_profile_is_the_mean_pass_rate(pass_rates):
    frame, counts = pass_rates
    areas = frame.groupby(["arm", "seed"], sort=False)["share"].mean()
    assert areas.to_numpy() == pytest.approx(counts.mean(axis=1) / 8)


def test_pools_of_different_sizes_are_refused(tmp_path):
    write_artifact(pd.concat([scores([1], 4), scores([1], 3).assign(problem_id="q")]), "scores", tmp_path / "s.parquet")
    with pytest.raises(ValueError, match="pools of 3 and of 4 samples"):
        compute_pass_rates([tmp_path / "s.parquet"], RUNS[:1], tmp_path / "rates.csv")
    assert not (tmp_path / "rates.csv").exists()


# --- figures and table -----------------------------------------------------------------------------------------------


def test_every_cell_of_the_matrix_has_its_gain_a_star_if_clear_and_the_best_a_box(draw, summary):
    axes = draw(matrix_figure, summary)
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts == {
        (0, 0): "0", (1, 0): "0", (2, 0): "0",
        (0, 1): "−1.0", (1, 1): "+3.0*", (2, 1): "+2.0",
        (0, 2): "−4.0*", (1, 2): "−1.0", (2, 2): "+8.0*",
    }  # fmt: skip
    boxes = {(round(box.get_x() + 0.46), round(box.get_y() + 0.46)) for box in axes.patches}
    assert boxes == {(0, 0), (1, 1), (2, 2)}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1\n10 %", "4\n30 %", "16\n60 %"]


def test_points_of_the_alignment_figure_are_the_pairs_of_trained_budgets(draw, summary, alignment):
    axes = draw(alignment_figure, beside_alignment(summary, alignment))
    points = {line.get_label(): line.get_xydata() for line in axes.lines if line.get_label().startswith("k = ")}
    assert list(points) == ["k = 1", "k = 4", "k = 16"]
    assert points["k = 16"][:, 1] == pytest.approx([2, 8])
    assert points["k = 16"][:, 0] == pytest.approx([0.358, 0.582], abs=1e-3)


def test_figures_and_table_of_one_seed_or_one_problem_have_no_intervals_and_no_warning(
    draw, summary, alignment, pass_rates
):
    alone = summary.assign(difference_low=np.nan, difference_high=np.nan, n_seeds=1, n_problems=1)
    assert not any("*" in text.get_text() for text in draw(matrix_figure, alone).texts)
    draw(alignment_figure, beside_alignment(alone, alignment))
    one_seed = pass_rates[0].query("seed == 1").assign(n_problems=1)
    draw(pass_rate_figure, one_seed, LABELS["ce"])
    _, caption = curves.pass_rates(one_seed, LABELS["ce"], "Title.", "tiny", "test")
    assert caption.endswith("Preset tiny: 1 test problem, pools of 8 samples; 1 seed, no band.")


def test_the_caption_beside_the_alignment_has_the_rank_correlation(summary, alignment):
    _, caption = matrix.alignment(summary, alignment, "Title.", "tiny", "test")
    found = rank_correlation(beside_alignment(summary, alignment))
    assert f"A point per k and N = 4, 16; rank correlation {found:.2f}." in caption


def test_a_profile_falls_from_the_solved_share_to_0(draw, pass_rates):
    frame, counts = pass_rates
    for label, of_seeds in ((LABELS["ce"], counts[:2]), (LABELS["pass_n4"], counts[2:])):
        axes = draw(pass_rate_figure, frame, label)
        (line,) = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
        assert line.get_ydata()[0] == pytest.approx(100 * (of_seeds > 0).mean())
        assert (np.diff(line.get_ydata()) <= 0).all()
        assert line.get_xdata().tolist() == pytest.approx([1 / 16, *(c / 8 for c in range(1, 9))])


def test_the_table_has_gains_alignment_and_both_best_budgets(summary, alignment, tmp_path):
    files = [tmp_path / f"table.{ending}" for ending in ("csv", "md", "tex")]
    write_table(alignment_table(summary, alignment, "Budgets.", "tiny", "test"), *files)
    rows = read_artifact("table", files[0]).set_index(["arm", "metric", "k"])
    ends = ["difference", "difference_low", "difference_high"]
    assert rows.loc[("pass_n16", "pass", 16), ends].tolist() == pytest.approx([8, 5.5, 10.5])
    coefficient = rows.loc[("pass_n4", "alignment", 16), ["value", "difference"]]
    assert coefficient.tolist() == pytest.approx([0.776, 0.358], abs=1e-3)
    text = files[1].read_text()
    assert text.startswith("Budgets. Preset tiny: 5 seeds")
    lines = squeezed(text)
    assert "| Pass@16 | -4.0 [-6.5, -1.5] | -1.0 [-3.5, +1.5] | +8.0 [+5.5, +10.5], best |" in lines
    assert "| Pass@4 | 0.741 | 1.000 | 0.776 |" in lines
    best = lines.index("| measured | CE | Pass@4 | Pass@16 |")
    assert lines[best + 1] == "| by A | CE | Pass@4 | Pass@16 |"
    assert r"Pass@16 & $-4.0$ & $-1.0$ & $+8.0$ \\" in files[2].read_text()
