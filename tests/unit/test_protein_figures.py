"""Figures 5 to 8: they draw the numbers given, warn of nothing, and survive models that collapsed or failed."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from compute_aligned.plots import COLUMN_WIDTH_IN, FIGURES, hydrophobicity_figure, inversion_figure, values_figure
from compute_aligned.tasks.protein import JACKPOT, TRAP, VALLEY

MODELS = ["GRPO", "BoN-2", "BoN-4", "BoN-8"]
TITLE = "Protein sequences, tiny preset, test split, 5 seeds."


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
    figure = draw(hydrophobicity_figure, unconditional, TITLE)
    curves = curves_of(figure.axes[0])
    assert list(curves) == [f"{label} (88 % valid)" for label in MODELS]
    for (_, rows), line in zip(unconditional.groupby("label", sort=False), curves.values(), strict=True):
        x, density = line.get_data()
        assert np.trapezoid(density, x) == pytest.approx(1, abs=0.005)
        assert np.trapezoid(x * density, x) == pytest.approx(rows["hydrophobic_fraction"].mean(), abs=0.005)
    assert_nothing_is_cut_or_overlaps(figure)


def test_trap_valley_and_jackpot_are_named_at_their_places_above_the_curves(draw, unconditional):
    (axes,) = draw(hydrophobicity_figure, unconditional, TITLE).axes
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
    curves = curves_of(draw(hydrophobicity_figure, pd.concat(frames), TITLE).axes[0])
    assert list(curves) == ["GRPO (100 % valid)", "BoN-2 (0 % valid)"]
    x, density = curves["GRPO (100 % valid)"].get_data()
    assert x[density.argmax()] == pytest.approx(0.75, abs=0.002)
    assert len(curves["BoN-2 (0 % valid)"].get_xdata()) == 0
    draw(hydrophobicity_figure, frames[1], TITLE)


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
    figure = draw(inversion_figure, conditional, TITLE)
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
    figure = draw(inversion_figure, conditional[conditional["label"].isin(MODELS[:n_models])], TITLE)
    assert len(figure.axes) == n_models
    assert_nothing_is_cut_or_overlaps(figure)


def test_a_correlation_that_does_not_exist_is_not_printed(draw, conditional):
    inputs = conditional["input_fraction"][:150]
    frames = [scores_of("GRPO", [0.5] * 150, inputs), scores_of("BoN-2", [np.nan] * 150, inputs)]
    figure = draw(inversion_figure, pd.concat(frames), TITLE)
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
    return pd.DataFrame(rows, columns=["label", "metric", "k", "value", "low", "high", "reported"])


@pytest.mark.parametrize("ks", [[1, 2, 4, 8, 16, 32, 64], [1, 2, 4, 8, 16, 32]], ids=["figure 7", "figure 8"])
def test_the_rewards_figure_shows_values_bands_and_reported_values_over_a_log2_axis(draw, ks):
    summary = summary_of(ks)
    figure = draw(values_figure, summary, TITLE)
    (axes,) = figure.axes
    curves = curves_of(axes)
    assert list(curves) == [*MODELS, "paper's values"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [str(k) for k in ks]
    assert axes.get_xscale() == "log"
    for (label, rows), band in zip(summary.groupby("label", sort=False), axes.collections, strict=True):
        np.testing.assert_array_equal(curves[label].get_ydata(), rows["value"])
        corners = band.get_paths()[0].vertices
        assert corners[:, 1].min() == rows["low"].min() and corners[:, 1].max() == rows["high"].max()
        assert any(np.array_equal(line.get_ydata(), rows["reported"]) for line in axes.lines)
    assert_nothing_is_cut_or_overlaps(figure)


def test_without_reported_values_and_intervals_the_figure_promises_none(draw):
    summary = summary_of([1, 2, 4], width=np.nan, reported=False)
    assert list(curves_of(draw(values_figure, summary, TITLE).axes[0])) == MODELS


def test_lines_differ_in_dash_and_marker_so_that_grey_loses_nothing(draw, unconditional):
    for function, data in ((values_figure, summary_of([1, 2, 4])), (hydrophobicity_figure, unconditional)):
        lines = [line for name, line in curves_of(draw(function, data, TITLE).axes[0]).items() if "paper" not in name]
        assert (
            len({str(line._dash_pattern) for line in lines})
            == len({line.get_marker() for line in lines})
            == len(MODELS)
        )


def test_the_rewards_figure_is_registered_for_summaries():
    assert FIGURES["values"] is values_figure
