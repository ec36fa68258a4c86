"""Every figure, drawn from what the reference holds: what a journal asks of it, whatever its numbers are."""

import itertools
import re
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import REPO
from matplotlib.text import Text

from compute_aligned.config.loading import load_settings
from compute_aligned.planning.layout import Layout
from compute_aligned.planning.plan import Plan
from compute_aligned.presentation import making
from compute_aligned.presentation.figures.curves import pass_rate_figure
from compute_aligned.presentation.figures.matrix import matrix
from compute_aligned.presentation.figures.style import COLUMN_WIDTH_IN, LAYOUT
from compute_aligned.presentation.registry import FIGURES

PRESET = yaml.safe_load((REPO / "config" / "tiny.yaml").read_text())
PLAN = Plan(load_settings(PRESET, "tiny.yaml", REPO / "config"), Layout(str(REPO / "results" / "reference" / "tiny")))
SMALLEST_PT = 7
LONGEST_CAPTION = 900
LONGEST = 60  # characters of a text in a picture: no sentence


def proteins(seed):
    """Scores of one run of either protein task."""
    rng = np.random.default_rng(seed)
    fractions = pd.DataFrame({"hydrophobic_fraction": rng.normal(0.6, 0.1, 80), "input_fraction": rng.random(80)})
    return fractions.assign(problem_id=[f"p{i}" for i in range(80)], sample=0, sequence="L", reward=0.0)


def training(seed):
    """The record of one run of reinforcement learning."""
    columns = ("reward", "jackpot_share", "kl", "entropy")
    step = np.arange(1, 41)
    return pd.DataFrame({name: np.log(step + seed) for name in columns}).assign(step=step)


def tokens(summary):
    """What answers of some arms cost, not the right tokens, and a crossover of each but the baseline."""
    columns = (
        "experiment recipe arm label beyond_paper baseline metric k value difference difference_low difference_high"
    )
    rows = summary[summary["metric"] == summary["metric"].iloc[0]][columns.split()]
    length = 20.0 + rows.groupby("arm", sort=False).ngroup()
    rows = rows.assign(tokens=length * rows["k"], compared_at=length * rows["k"])
    of_others = rows["arm"] != rows["baseline"]
    return rows.assign(
        crossover=(1.5 * length).where(of_others),
        crossover_to="behind",
        crossover_clear=(length % 2 > 0).where(of_others),
    )


def curves():
    """Weights of all strategies that figures show, not the right ones."""
    entry = PLAN.experiments["scaling_factors"]
    names = {name for figure in entry["figures"].values() for name in (*figure["strategies"], figure.get("train"))}
    p = np.linspace(0, 1, 101)
    places = itertools.product(sorted(names - {None}), ("sft", "rl"))
    frames = [
        pd.DataFrame({"strategy": name, "label": "Maj@64 k=33", "form": form, "p": p, "weight": 2 - p})
        for name, form in places
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module", params=PLAN.figures)
def drawn(request):
    """The figure of an item, drawn without a warning, and its caption."""
    item, made_by = request.param, PLAN.made_by(request.param)
    made, read = {"protein_scores": proteins, "rl_training": training}, making._read

    def artifact(kind, paths):
        if isinstance(paths, list):
            return [made[kind](seed) for seed in range(len(paths))]
        if kind == "tokens":
            return tokens(read("summary", paths.replace(".tokens.", ".summary.")))
        return curves() if kind == "curves" else read(kind, paths)

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(making, "_read", artifact)
        warnings.simplefilter("error")
        figure, caption = making.make_item(made_by.function, PLAN.read_for(item), PLAN.told(item))
        figure.canvas.draw()
    yield figure, caption
    plt.close("all")


def texts(figure):
    """All text that is to be seen, and where it lies."""
    beyond = set()  # labels of ticks beyond their axis, which are not drawn
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        beyond |= {tick.label1 for tick in ticks if not low <= tick.get_loc() <= high}
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    renderer = figure.canvas.get_renderer()
    return [(text, text.get_window_extent(renderer)) for text in shown if text not in beyond]


def test_all_kinds_of_the_registry_are_drawn():
    assert {PLAN.made_by(item).function for item in PLAN.figures} == {item.function for item in FIGURES.values()}


def test_a_figure_is_a_column_wide_its_text_legible_whole_and_apart_and_no_sentence(drawn):
    figure, _ = drawn
    assert figure.get_figwidth() == COLUMN_WIDTH_IN
    shown = texts(figure)
    for text, box in shown:
        words = text.get_text()
        assert text.get_fontsize() >= SMALLEST_PT and text.get_fontfamily() == [LAYOUT["font.family"]], words
        assert max(map(len, words.splitlines())) <= LONGEST and not re.search(r"[−-]0(\.0*)?(?![.\d])", words), words
        outer = figure.bbox
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= outer.x1 + 1 and box.y1 <= outer.y1 + 1
        assert inside, words
    for (one, box), (other, another) in itertools.combinations(shown, 2):
        assert not box.shrunk(0.9, 0.9).overlaps(another.shrunk(0.9, 0.9)), (one.get_text(), other.get_text())


def test_the_matrix_of_gains_has_one_white_at_0_and_a_loss_as_far_from_it_as_an_equal_gain():
    summary = pd.read_csv(REPO / "results/reference/tiny/metrics/alignment_matrix.summary.csv")
    figure, _ = matrix(summary, "", "tiny", "test")
    (image,) = figure.axes[0].images
    largest = 100 * summary["difference"].abs().max()
    assert image.get_clim() == (pytest.approx(-largest), pytest.approx(largest))
    loss, nothing, gain = (image.cmap(image.norm(value))[:3] for value in (-largest, 0, largest))
    assert min(nothing) > 0.95 and loss[0] > loss[2] and gain[0] < gain[2]
    plt.close(figure)


def test_pass_rates_are_the_baselines_and_below_the_others_minus_it_paired_by_seed():
    m, seeds = 4, (1, 2)
    shares = {"CE": np.array([0.9, 0.6, 0.4, 0.1]), "Pass@4": np.array([0.95, 0.7, 0.2, 0.0])}
    rows = [
        {"label": label, "seed": seed, "n_correct": c, "n_samples": m, "share": share[c] + 0.01 * seed}
        for (label, share), seed, c in itertools.product(shares.items(), seeds, range(m))
    ]
    figure = pass_rate_figure(pd.DataFrame(rows), "CE")
    above, below = figure.axes
    curve, difference = above.lines[0], below.lines[1]  # after the line at 0
    np.testing.assert_allclose(curve.get_ydata()[:m], 100 * (shares["CE"] + 0.015))
    np.testing.assert_allclose(difference.get_ydata()[:m], 100 * (shares["Pass@4"] - shares["CE"]))
    np.testing.assert_allclose(curve.get_xdata(), [0.5 / m, *np.arange(1, m + 1) / m])
    (band,) = below.collections  # the seeds differ alike in both arms, so that the paired difference has no width
    assert np.ptp(band.get_paths()[0].vertices[:, 1]) == pytest.approx(np.ptp(difference.get_ydata()))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["CE", "Pass@4"]
    plt.close(figure)


def test_a_legend_lies_beside_the_panels_and_not_over_curves(drawn):
    figure, _ = drawn
    renderer = figure.canvas.get_renderer()
    for legend in figure.legends:
        box = legend.get_window_extent(renderer)
        assert not any(box.shrunk(0.98, 0.98).overlaps(axes.get_window_extent(renderer)) for axes in figure.axes)
    assert not any(axes.get_legend() for axes in figure.axes)


def test_a_caption_says_what_is_shown_and_of_what_run_in_one_line_without_markup(drawn):
    _, caption = drawn
    nothing_run = caption.startswith("Closed form: no model is trained or tested. ")
    assert nothing_run or re.match(r"Trained [^.]+, tested by ", caption) and "Preset tiny" in caption
    assert caption.endswith(".") and len(caption) < LONGEST_CAPTION
    # It stands in Markdown, in HTML as it is, and in the report of Snakemake.
    assert not set("<>&*`|\n") & set(caption)
