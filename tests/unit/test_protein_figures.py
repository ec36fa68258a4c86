"""Figures 5 to 8 and those of the training: they draw the numbers given, warn of nothing, and survive what failed."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from compute_aligned.presentation.figures.curves import difference_figure, values_figure
from compute_aligned.presentation.figures.proteins import (
    hydrophobicity,
    hydrophobicity_figure,
    inversion,
    inversion_figure,
)
from compute_aligned.presentation.figures.style import BASELINE, BUDGETS, COLUMN_WIDTH_IN, STYLES, styles_of
from compute_aligned.presentation.figures.training import training, training_figure
from compute_aligned.tasks.protein import JACKPOT, JACKPOT_ZONE, TRAP, VALLEY

MODELS = ["GRPO", "BoN-2", "BoN-4", "BoN-8"]
TITLE = "Protein sequences."


def scores_of(label, fractions, inputs=None):
    """Scores of one model; without inputs 512 samples of one problem, with them one sample of each."""
    n = len(fractions)
    return pd.DataFrame(
        {
            "label": label,
            "problem_id": "protein/unconditional" if inputs is None else [f"protein/{i:05d}" for i in range(n)],
            "sample": range(n) if inputs is None else 0,
            "sequence": "L",
            "hydrophobic_fraction": fractions,
            "input_fraction": np.nan if inputs is None else inputs,
            "reward": 0.0,
        }
    )


@pytest.fixture
def draw():
    """Draw a figure to its end, warnings being errors; returns it."""

    def drawn(function, *arguments):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure = function(*arguments)
            figure.canvas.draw()
        assert figure.get_figwidth() == COLUMN_WIDTH_IN
        return figure

    yield drawn
    plt.close("all")


def curves_of(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def assert_nothing_is_cut_or_overlaps(figure):
    """All texts lie inside the figure, and no two of them on each other."""
    renderer = figure.canvas.get_renderer()
    outer = figure.bbox
    legend = figure.legends[0].get_window_extent(renderer)
    boxes = [legend]
    for axes in figure.axes:
        texts = [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        boxes += [text.get_window_extent(renderer) for text in texts if text.get_text()]
    for box in boxes:
        assert box.x0 >= outer.x0 - 1 and box.x1 <= outer.x1 + 1 and box.y0 >= outer.y0 - 1 and box.y1 <= outer.y1 + 1
    for i, one in enumerate(boxes):
        assert not any(one.shrunk(0.98, 0.98).overlaps(other.shrunk(0.98, 0.98)) for other in boxes[i + 1 :])


# --- Figure 5 --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unconditional():
    rng = np.random.default_rng(1)
    means = {"GRPO": 0.36, "BoN-2": 0.68, "BoN-4": 0.74, "BoN-8": 0.72}
    frames = []
    for label in MODELS:
        fractions = rng.binomial(64, means[label], size=512) / 64
        fractions[:64] = np.nan
        frames.append(scores_of(label, fractions))
    return pd.concat(frames)


def test_densities_have_mass_1_their_samples_mean_and_the_share_of_valid_samples_in_the_legend(draw, unconditional):
    figure = draw(hydrophobicity_figure, unconditional, "GRPO")
    curves = curves_of(figure.axes[0])
    assert list(curves) == [f"{label} (88 % valid)" for label in MODELS]
    for (_, rows), line in zip(unconditional.groupby("label", sort=False), curves.values(), strict=True):
        x, density = line.get_data()
        assert np.trapezoid(density, x) == pytest.approx(1, abs=0.005)
        assert np.trapezoid(x * density, x) == pytest.approx(rows["hydrophobic_fraction"].mean(), abs=0.005)
    assert_nothing_is_cut_or_overlaps(figure)


def test_trap_valley_and_jackpot_are_named_at_their_places_above_the_curves(draw, unconditional):
    (axes,) = draw(hydrophobicity_figure, unconditional, "GRPO").axes
    names = {text.get_text(): text for text in axes.texts}
    assert {name: text.xy[0] for name, text in names.items()} == {
        "trap": TRAP,
        "valley": pytest.approx(sum(VALLEY) / 2),
        "jackpot": JACKPOT,
    }
    highest = max(line.get_ydata().max() for line in curves_of(axes).values())
    lowest = min(text.get_window_extent().y0 for text in names.values())
    assert axes.transData.inverted().transform((0, lowest))[1] > highest
    (band,) = axes.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx(VALLEY)


def test_models_whose_samples_all_agree_or_are_all_invalid_are_shown_as_such(draw):
    frames = [scores_of("GRPO", [0.75] * 100), scores_of("BoN-2", [np.nan] * 100)]
    curves = curves_of(draw(hydrophobicity_figure, pd.concat(frames), "GRPO").axes[0])
    assert list(curves) == ["GRPO (100 % valid)", "BoN-2 (0 % valid)"]
    x, density = curves["GRPO (100 % valid)"].get_data()
    assert x[density.argmax()] == pytest.approx(0.75, abs=0.002)
    assert len(curves["BoN-2 (0 % valid)"].get_xdata()) == 0
    draw(hydrophobicity_figure, frames[1], "GRPO")


# --- Figure 6 --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def conditional():
    rng = np.random.default_rng(2)
    inputs = rng.binomial(15, 0.4, size=150) / 15
    slopes = dict(zip(MODELS, (0, -0.3, -0.9, 0.1), strict=True))
    frames = []
    for label in MODELS:
        outputs = np.clip(rng.normal(0.6 + slopes[label] * (inputs - 0.4), 0.12), 0, 1)
        outputs[:4] = np.nan
        first = scores_of(label, outputs, inputs)
        frames += [first, first.assign(sample=1, hydrophobic_fraction=0.0)]
    return pd.concat(frames)


def test_a_panel_shows_the_valid_first_samples_and_their_correlation(draw, conditional):
    figure = draw(inversion_figure, conditional)
    assert len(figure.axes) == len(MODELS)
    for label, axes in zip(MODELS, figure.axes, strict=True):
        rows = conditional[(conditional["label"] == label) & (conditional["sample"] == 0)].dropna()
        curves = curves_of(axes)
        x, y = curves["first sample of a prompt"].get_data()
        np.testing.assert_array_equal(x, rows["input_fraction"])
        np.testing.assert_array_equal(y, rows["hydrophobic_fraction"])
        correlation = f"{rows['input_fraction'].corr(rows['hydrophobic_fraction']):.2f}".replace("-", "−")
        assert axes.get_title("left") == f"{label}\nr = {correlation}, n = 146"
        line_x, line_y = curves["y = 1 − x"].get_data()
        np.testing.assert_allclose(np.add(line_x, line_y), 1)
    assert_nothing_is_cut_or_overlaps(figure)


@pytest.mark.parametrize("n_models", [1, 2, 3])
def test_any_number_of_models_has_its_panels(draw, conditional, n_models):
    figure = draw(inversion_figure, conditional[conditional["label"].isin(MODELS[:n_models])])
    assert len(figure.axes) == n_models
    assert_nothing_is_cut_or_overlaps(figure)


def test_a_correlation_that_does_not_exist_is_not_printed(draw, conditional):
    inputs = conditional["input_fraction"][:150]
    frames = [scores_of("GRPO", [0.5] * 150, inputs), scores_of("BoN-2", [np.nan] * 150, inputs)]
    figure = draw(inversion_figure, pd.concat(frames))
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["GRPO\nr undefined, n = 150", "BoN-2\nr undefined, n = 0"]


# --- Figures 7 and 8 -------------------------------------------------------------------------------------------------


def summary_of(ks, width=0.4, reported=True):
    rows = []
    for place, label in enumerate(MODELS):
        for k in ks:
            value = 12.1 - (9 - 2 * place) * np.exp(-np.log2(k) / 2.5)
            known = value - 1 if reported else np.nan
            rows.append((label, "bon", k, value, value - width, value + width, known))
    frame = pd.DataFrame(rows, columns=["label", "metric", "k", "value", "low", "high", "reported"])
    of_grpo = np.tile(frame["value"].iloc[: len(ks)], len(MODELS))
    difference = (frame["value"] - of_grpo).where(frame["label"] != "GRPO")
    reported = difference + 0.5 if reported else np.nan
    paired = {"difference_low": difference - width, "difference_high": difference + width}
    return whole_summary(frame.assign(difference=difference, **paired, reported_difference=reported))


def whole_summary(frame):
    """A summary whose other cells are empty."""
    frame = frame.assign(experiment="e", arm=frame["label"], baseline="GRPO", beyond_paper=False)
    empty = ["value", "low", "high", "difference", "difference_low", "difference_high", "reported"]
    return frame.reindex(columns=list(dict.fromkeys([*frame, *empty, "reported_difference"])))


@pytest.mark.parametrize("ks", [[1, 2, 4, 8, 16, 32, 64], [1, 2, 4, 8, 16, 32]], ids=["figure 7", "figure 8"])
def test_the_rewards_figure_shows_values_above_and_paired_differences_below_over_a_log2_axis(draw, ks):
    summary = summary_of(ks)
    figure = draw(values_figure, summary)
    above, below = figure.axes
    values, differences = curves_of(above), curves_of(below)
    assert list(values) == MODELS and list(differences) == [*MODELS[1:], "paper's values"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*MODELS, "paper's values"]
    assert [tick.get_text() for tick in below.get_xticklabels()] == [str(k) for k in ks]
    assert below.get_xscale() == "log"
    (band,), bands = above.collections, iter(below.collections)
    assert extent(band) == (summary["low"].iloc[: len(ks)].min(), summary["high"].iloc[: len(ks)].max())  # GRPO's
    for label, rows in summary.groupby("label", sort=False):
        np.testing.assert_array_equal(values[label].get_ydata(), rows["value"])
        if label != "GRPO":
            np.testing.assert_array_equal(differences[label].get_ydata(), rows["difference"])
            assert extent(next(bands)) == (rows["difference_low"].min(), rows["difference_high"].max())
            assert any(np.array_equal(line.get_ydata(), rows["reported_difference"]) for line in below.lines)
            assert values[label].get_color() == differences[label].get_color()
    assert_nothing_is_cut_or_overlaps(figure)


def extent(band):
    corners = band.get_paths()[0].vertices[:, 1]
    return corners.min(), corners.max()


@pytest.mark.parametrize("function", [values_figure, difference_figure])
def test_papers_differences_far_from_ours_are_told_and_leave_the_axis_to_ours(draw, function):
    summary = summary_of([1, 4])
    summary.loc[summary["label"] == "BoN-8", "reported_difference"] = [70.0, 40.0]
    figure = draw(function, summary)
    axes = figure.axes[-1]
    assert axes.get_ylim()[1] < 1.2 * summary["difference_high"].max()
    (papers,) = summary.loc[summary["label"] == "BoN-2", "reported_difference"].agg(["min"])
    assert list(curves_of(axes))[-1] == f"paper: {papers:+.2f} to +70.00 (off the axis)"
    assert_nothing_is_cut_or_overlaps(figure)


def test_without_reported_values_and_intervals_the_figure_promises_none(draw):
    summary = summary_of([1, 2, 4], width=np.nan, reported=False)
    figure = draw(values_figure, summary)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == MODELS


def test_lines_differ_in_dash_and_marker_so_that_grey_loses_nothing(draw, unconditional):
    for function, *data in ((values_figure, summary_of([1, 2, 4])), (hydrophobicity_figure, unconditional, "GRPO")):
        lines = curves_of(draw(function, *data).axes[0]).values()
        assert (
            len({str(line._dash_pattern) for line in lines})
            == len({line.get_marker() for line in lines})
            == len(MODELS)
        )


# --- over the steps of training --------------------------------------------------------------------------------------


def record_of(label, seed, steps=40, jackpots=True, kl=True):
    """The record of one run whose numbers say which run it is."""
    step = np.arange(1, steps + 1)
    place = MODELS.index(label) if label in MODELS else 0
    progress = (1 - np.exp(-step / 15)) * (1 + 0.1 * place) + 0.02 * seed * np.cos(step)
    return pd.DataFrame(
        {
            "step": step,
            "reward": 5 + 5 * progress,
            "jackpot_share": 0.04 + 0.6 * progress.clip(0) if jackpots else np.nan,
            "no_signal_share": 0.0,
            **dict.fromkeys(("weight_p05", "weight_p50", "weight_p95", "effective_share"), 1.0),
            "log_p_p50": np.nan,
            "kl": 0.3 * progress.clip(0) if kl else np.nan,
            "entropy": 3 - progress,
        }
    ).assign(label=label, seed=seed)


def records_of(labels=MODELS, seeds=(1, 2, 3, 4, 5), **recorded):
    return pd.concat([record_of(label, seed, **recorded) for label in labels for seed in seeds], ignore_index=True)


@pytest.mark.parametrize(
    ("recorded", "panels"),
    [
        ({}, {"reward": 1, "jackpot_share": 100, "kl": 1, "entropy": 1}),
        ({"jackpots": False}, {"reward": 1, "kl": 1}),
        ({"jackpots": False, "kl": False}, {"reward": 1, "entropy": 1}),
        ({"kl": False}, {"reward": 1, "jackpot_share": 100}),
    ],
    ids=["all", "no jackpots", "no jackpots, no KL", "no KL"],
)
def test_a_panel_per_recorded_number_shows_mean_and_range_of_the_seeds(draw, recorded, panels):
    records = records_of(**recorded)
    figure = draw(training_figure, records, "GRPO")
    assert len(figure.axes) == len(panels)
    for axes, (column, factor) in zip(figure.axes, panels.items(), strict=True):
        curves = curves_of(axes)
        assert list(curves) == MODELS
        for (label, line), band in zip(curves.items(), axes.collections, strict=True):
            of_steps = factor * records[records["label"] == label].groupby("step")[column].agg(["mean", "min", "max"])
            np.testing.assert_array_equal(line.get_xdata(), of_steps.index)
            np.testing.assert_allclose(line.get_ydata(), of_steps["mean"])
            corners = band.get_paths()[0].vertices[:, 1]
            assert corners.min() == pytest.approx(of_steps["min"].min())
            assert corners.max() == pytest.approx(of_steps["max"].max())
    assert_nothing_is_cut_or_overlaps(figure)


def test_an_arm_looks_the_same_whatever_is_drawn_beside_it_and_no_two_look_alike():
    together = styles_of(["CE", "Pass@2", "Pass@4", "Pass@8", "Pass@16", "Pass@32", "Pass@64"], "CE")
    assert together["CE"] == BASELINE and len({str(style) for style in together.values()}) == 7
    for labels in (["Pass@16"], ["Pass@64", "Pass@16", "CE"], ["Pass@16 log", "Pass@16 raw", "Pass@4 raw"]):
        assert styles_of(labels, "CE")[labels[0]] == together[labels[0].removesuffix(" log")]
    forms = styles_of(["Maj@4 log", "Maj@8 log", "Maj@4 raw", "Maj@8 raw"])
    for n in (4, 8):
        log, raw = forms[f"Maj@{n} log"], forms[f"Maj@{n} raw"]
        assert log["color"] == raw["color"] and log["marker"] != raw["marker"] and raw["linestyle"] == ":"
        assert styles_of([f"Maj@{n} raw"])[f"Maj@{n} raw"] == raw
    thresholds = styles_of(["Maj@64 k=16", "Maj@64 k=22", "Maj@64 k=26", "CAT warmup"])
    assert thresholds["Maj@64 k=26"] == together["Pass@64"]
    assert len({style["color"] for style in thresholds.values()}) == 4
    assert len(styles_of([f"arm {place}" for place in range(9)])) == 9  # more than there are styles


@pytest.mark.parametrize("steps", [1, 2, 300])
def test_any_number_of_steps_and_a_single_seed_are_drawn(draw, steps):
    figure = draw(training_figure, records_of(seeds=[1], steps=steps), "GRPO")
    assert len(curves_of(figure.axes[0])["GRPO"].get_xdata()) == steps
    assert_nothing_is_cut_or_overlaps(figure)


def test_models_have_the_colours_that_the_other_figures_of_their_experiment_give_them(draw, unconditional):
    def colours(figure, labels):
        curves = {name.split(" (")[0]: line for name, line in curves_of(figure.axes[0]).items()}
        return {label: curves[label].get_color() for label in labels}

    trained = draw(training_figure, records_of(), "GRPO")
    assert colours(trained, MODELS) == colours(draw(hydrophobicity_figure, unconditional, "GRPO"), MODELS)
    assert colours(trained, MODELS) == colours(draw(values_figure, summary_of([1, 2, 4])), MODELS)
    labels = ["GRPO", "Pass@4", "Pass@16"]
    trained = draw(training_figure, records_of(labels), "GRPO")
    columns = ["difference", "difference_low", "difference_high", "reported_difference"]
    summary = pd.DataFrame([{"label": label, "k": k, "metric": "pass"} for label in labels for k in (1, 4)])
    differences = draw(difference_figure, whole_summary(summary.assign(**dict.fromkeys(columns, 0.1))))
    assert colours(trained, labels[1:]) == colours(differences, labels[1:])
    assert differences.axes[0].lines[0].get_color() == colours(trained, labels)["GRPO"] == "black"
    assert colours(trained, labels)["Pass@4"] == STYLES[BUDGETS.index(4)]["color"]


def test_lines_of_a_training_differ_in_dash_and_marker_too(draw):
    lines = curves_of(draw(training_figure, records_of(), "GRPO").axes[0]).values()
    assert len({str(line._dash_pattern) for line in lines}) == len({line.get_marker() for line in lines}) == 4


@pytest.mark.parametrize(
    ("seeds", "reward", "said"),
    [
        ([1, 2], "inversion", ["mean of 2 seeds, bands from the lowest to the highest.", "The reward is a synthetic"]),
        ([1], "answer", ["1 seed, no band.", "The mean reward is the share of right completions"]),
        ([1], "hydrophobicity", [f"h from {JACKPOT_ZONE[0]} to {JACKPOT_ZONE[1]}."]),
    ],
)
def test_the_caption_of_a_training_says_what_was_run(seeds, reward, said):
    runs = [{"label": label, "seed": seed} for label in MODELS[:2] for seed in seeds]
    records = [record_of(**run).drop(columns=["label", "seed"]) for run in runs]
    figure, caption = training(records, runs, reward, "GRPO", TITLE, "tiny")
    assert caption.startswith(TITLE) and "Preset tiny, in training: " in caption
    assert [words for words in said if words not in caption] == []
    assert list(curves_of(figure.axes[0])) == MODELS[:2]
    plt.close("all")


def test_the_captions_of_proteins_say_what_was_run(unconditional, conditional):
    for function, scores, baseline, said in (
        (hydrophobicity, unconditional, ["GRPO"], ["2 seeds together, one prompt, pools of 512 samples."]),
        (inversion, conditional, [], ["seed 1, 150 test prompts, pools of 2 samples."]),
    ):
        runs = [{"label": label, "seed": seed} for label in MODELS for seed in (1, 2)]
        tables = [scores[scores["label"] == run["label"]].drop(columns="label") for run in runs]
        _, caption = function(tables, runs, *baseline, TITLE, "tiny", "test")
        assert caption.startswith(TITLE)
        assert [words for words in [*said, "has no biological meaning"] if words not in caption] == []
    plt.close("all")
