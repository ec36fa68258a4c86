"""The scripts of the closed forms: artifacts against independent sums, the table's formulas against its numbers."""

import math
import re
import shutil
import statistics
import warnings
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import REPO, squeezed
from scipy.stats import binom

from compute_aligned.analysis.closed_forms import (
    alignments,
    batch_normalisations,
    compute_closed_forms,
    weight_curves,
)
from compute_aligned.config.files import ConfigError
from compute_aligned.config.loading import load_settings
from compute_aligned.config.resolving import closed_form_settings
from compute_aligned.config.settings.closed_forms import Beta, Normalisation
from compute_aligned.presentation.figures import weights as of_weights
from compute_aligned.presentation.figures.style import save_figure, styles_of
from compute_aligned.presentation.tables.closed_form import FORMULAS, closed_form, weight_values
from compute_aligned.presentation.tables.forms import write_table
from compute_aligned.provenance.artifacts import read_artifact

EXPERIMENT = yaml.safe_load((REPO / "config" / "experiments.yaml").read_text())["experiments"]["scaling_factors"]
FIGURES = EXPERIMENT["figures"]
WEIGHTS = {name: {k: v for k, v in f.items() if k != "draw"} for name, f in FIGURES.items() if f["draw"] == "weights"}
WASTE = {name: {k: v for k, v in f.items() if k != "draw"} for name, f in FIGURES.items() if f["draw"] == "waste"}


@pytest.fixture(scope="module")
def settings():
    tiny = yaml.safe_load((REPO / "config" / "tiny.yaml").read_text())
    resolved = closed_form_settings(load_settings(tiny, "tiny.yaml", REPO / "config"), "scaling_factors")
    smaller = {"variance": 200_000, "normalisation": 4_000}
    return resolved | {key: getattr(resolved, key) | {"draws": draws} for key, draws in smaller.items()}


@pytest.fixture(scope="module")
def folder(settings, tmp_path_factory):
    """Everything that the shipped experiment makes, with smaller simulations."""
    folder = tmp_path_factory.mktemp("closed_forms")
    names = ("curves.parquet", "alignment.csv", "variance.csv", "normalisation.csv", "within_prompt.csv")
    paths = [str(folder / name) for name in names]
    compute_closed_forms(settings, read_artifact("reported", REPO / "config" / "reported.csv"), *paths)
    kinds = [name.split(".")[0] for name in names]
    artifacts = {kind: read_artifact(kind, path) for kind, path in zip(kinds, paths, strict=True)}
    table = closed_form(**artifacts, title=EXPERIMENT["title"], values=EXPERIMENT["values"])
    write_table(table, *(folder / f"table1.{ending}" for ending in ("csv", "md", "tex")))
    return folder


@pytest.fixture(scope="module")
def curves(folder):
    return read_artifact("curves", folder / "curves.parquet")


@pytest.fixture(scope="module")
def normalisation(folder):
    return read_artifact("normalisation", folder / "normalisation.csv")


@pytest.fixture(scope="module")
def within_prompt(folder):
    return read_artifact("within_prompt", folder / "within_prompt.csv")


@pytest.fixture(scope="module")
def pairs(folder):
    return read_artifact("alignment", folder / "alignment.csv")


# --- artifacts -------------------------------------------------------------------------------------------------------


def test_curves_cover_the_grid_and_the_table_for_every_strategy_and_both_forms(settings, curves):
    wanted = sorted({*(i / settings.points for i in range(1, settings.points + 1)), *settings.p})
    for _, rows in curves.groupby(["strategy", "form"]):
        assert rows["p"].tolist() == wanted
        assert np.isfinite(rows["weight"]).all()
    assert set(curves["strategy"]) == set(settings.strategies)


@pytest.mark.parametrize("strategy", ["pass_n64", "majority_n4_k3", "majority_n64_k33", "majority_n64_k6"])
def test_an_rl_weight_averages_to_one_over_uniform_p_because_success_goes_from_zero_to_one(settings, strategy):
    fine = weight_curves(settings | {"points": 20_000, "strategies": [strategy]})
    rl = fine[fine["form"] == "rl"]
    assert np.trapezoid(rl["weight"], rl["p"]) == pytest.approx(1, abs=0.004)


def test_every_pair_of_strategies_is_there_with_the_papers_value_where_it_has_one(settings, pairs):
    names = settings.alignment.strategies
    assert len(pairs) == len(names) ** 2
    reported = pairs.dropna(subset="reported")
    assert len(reported) == 6
    assert np.array_equal(reported["alignment"].round(3), reported["reported"])


def test_a_value_reported_for_another_experiment_is_not_shown(settings):
    reported = pd.DataFrame(
        [
            ("another", "App. G", "Pass@1", "alignment", 2, 0.5),
            ("scaling_factors", "App. Z", "Pass@1", "alignment", 2, 0.5),
        ],
        columns=["experiment", "paper_item", "model", "metric", "k", "value"],
    )
    few = settings | {"alignment": {"strategies": ["pass_n1", "pass_n2"], "negligible": 0.05}}
    assert alignments(few, reported)["reported"].isna().all()


def test_the_variance_of_cat_is_never_larger_and_the_simulation_agrees(folder):
    variance = read_artifact("variance", folder / "variance.csv")
    assert (variance[["ratio", "ratio_summed"]] <= 1).all(axis=None)
    for name in ("ratio", "ratio_summed"):
        seen = variance.dropna(subset=f"{name}_simulated")
        assert len(seen) > 20
        assert ((seen[f"{name}_simulated"] - seen[name]).abs() < 5 * seen[f"{name}_se"]).all()


def test_normalised_weights_have_mean_one_in_every_batch_whatever_the_prompts(normalisation):
    assert normalisation["mean_deviation"].max() < 1e-14


def gradient_lengths(n, k, a, b, batch, draws):
    """Lengths of the gradient over GRPO's, raw and normalised, and how much one batch spreads about each.

    From formulas written here and seeds of its own: S'(p) = N C(N-1,k-1) p^(k-1) (1-p)^(N-k).
    """
    p = np.random.default_rng(77).beta(a, b, size=(draws, batch))
    raw = n * math.comb(n - 1, k - 1) * p ** (k - 1) * (1 - p) ** (n - k)
    grpo = np.sqrt((p * (1 - p)).sum(axis=1))
    for weights in (raw, batch * raw / raw.sum(axis=1, keepdims=True)):
        lengths = np.sqrt((weights**2 * p * (1 - p)).sum(axis=1))
        ratio = lengths.sum() / grpo.sum()
        yield ratio, np.std(lengths - ratio * grpo) / grpo.mean()


def test_the_lengths_of_the_gradients_agree_with_another_simulation_and_so_do_their_standard_errors(normalisation):
    assert len(normalisation) == 7 * 2 * 2
    for row in normalisation.itertuples():
        n, k = ([int(number) for number in re.findall(r"\d+", row.strategy)] + [1])[:2]
        here = gradient_lengths(n, k, row.a, row.b, row.batch, draws=10_000)
        found = [(row.raw, row.raw_se), (row.normalised, row.normalised_se)]
        for (ratio, spread), (length, se) in zip(here, found, strict=True):
            error = spread * math.sqrt(1 / 10_000 + 1 / row.draws)  # of both simulations, known from this one alone
            assert error < 0.06 * ratio
            assert length == pytest.approx(ratio, abs=4 * error, rel=1e-12), row
            assert se == pytest.approx(spread / math.sqrt(row.draws), rel=0.15, abs=1e-15), row


def test_the_lengths_of_a_batch_given_by_hand(monkeypatch):
    """Pass@2 at p = 1/2, 3/4, 7/8: S' = 1, 1/2, 1/4, their mean 7/12; p (1-p) = 1/4, 3/16, 7/64."""
    p = np.tile([1 / 2, 3 / 4, 7 / 8], (2, 1))
    monkeypatch.setattr(np.random, "default_rng", lambda seed: SimpleNamespace(beta=lambda a, b, size: p))
    prompts = {"by hand": Beta(a=1, b=1)}
    by_hand = Normalisation.model_construct(strategies=["pass_n2"], prompts=prompts, batches=[3], draws=2, seed=0)
    (row,) = batch_normalisations(by_hand).itertuples()
    length = math.sqrt((1 * 1 / 4 + 1 / 4 * 3 / 16 + 1 / 16 * 7 / 64) / (1 / 4 + 3 / 16 + 7 / 64))
    assert row.raw == pytest.approx(length, rel=1e-12) and row.normalised == pytest.approx(12 / 7 * length, rel=1e-12)
    assert row.raw_se == pytest.approx(0, abs=1e-15) and row.mean_deviation < 1e-15


def test_normalising_takes_the_factor_n_of_hard_prompts_away_and_does_not_make_the_step_free_of_n(normalisation):
    """What the paper claims, and what is left of it: the text of docs/method.md stands on these."""
    rows = normalisation[(normalisation["prompts"] == "hard") & (normalisation["batch"] == 64)].set_index("strategy")
    assert rows.loc["pass_n64", "raw"] > 5 and rows.loc["pass_n64", "mean_weight"] > 15
    assert rows.loc["pass_n4", "normalised"] > rows.loc["pass_n16", "normalised"] > rows.loc["pass_n64", "normalised"]
    assert rows.loc["pass_n64", "normalised"] < 0.5
    assert rows.loc["majority_n64_k33", "normalised"] > 5 * rows.loc["majority_n64_k33", "raw"]


def test_within_one_prompt_a_shared_weight_cancels_and_best_of_n_weights_do_not(within_prompt):
    shared = within_prompt[~within_prompt["strategy"].str.startswith("best_of")]
    assert len(shared) == 4 * 4
    assert (shared.loc[shared["group"].isin([4, 8]), ["weight_deviation", "advantage_deviation"]] == 0).all(axis=None)
    assert shared["weight_deviation"].max() <= 2**-51 and shared["advantage_deviation"].max() < 1e-14
    assert (within_prompt.drop(shared.index)["weight_deviation"] > 1).all()


def test_an_objective_that_weighs_by_log_p_has_no_weight_of_a_prompts_rewards(tmp_path):
    config = shutil.copytree(REPO / "config", tmp_path / "config")
    text = (config / "experiments.yaml").read_text()
    (config / "experiments.yaml").write_text(text.replace("majority_n8_log, best_of_n8]", "pass_n4_raw, best_of_n8]"))
    tiny = yaml.safe_load((config / "tiny.yaml").read_text())
    with pytest.raises(ConfigError, match=r"within_prompt.strategies: 'pass_n4_raw' weights by log p, wanted"):
        load_settings(tiny, "tiny.yaml", config)


@pytest.mark.parametrize("size", [4, 8])
def test_best_of_n_within_one_prompt_agrees_with_plain_loops(within_prompt, size):
    weights = [8 * ((rank + 1) / (size + 1)) ** 7 for rank in range(size)]
    distances = [abs(w * size / sum(weights) - 1) for w in weights]
    (row,) = within_prompt.query(f"strategy == 'best_of_n8' and group == {size}").itertuples()
    assert row.weight_deviation == pytest.approx(max(distances))
    mean, sd = statistics.mean(range(size)), statistics.stdev(range(size))
    moved = [distance * abs(rank - mean) / (sd + 1e-4) for rank, distance in enumerate(distances)]
    assert row.advantage_deviation == pytest.approx(max(moved))


# --- table -----------------------------------------------------------------------------------------------------------


def evaluated(formula, **symbols):
    """The value of a LaTeX formula of the table."""
    code = re.sub(r"\\binom\{(.+?)\}\{(.+?)\}", r"comb(\1,\2)", formula)
    code = re.sub(r"\^\{(.+?)\}", r"**(\1)", code).replace("^", "**").replace("S(p)", "S")
    code = re.sub(r"(?<=[\w)]) (?=[\w(])", "*", code)
    return eval(code, {"comb": math.comb, **symbols})


def test_the_printed_formulas_give_the_printed_numbers(curves):
    strategies = ["pass_n1", "pass_n16", "majority_n16_k4", "majority_n64_k33", "best_of_n16"]
    for _, row in weight_values(curves, strategies, [0.001, 0.1, 0.5, 0.9]).iterrows():
        n, k = ([int(number) for number in re.findall(r"\d+", row["strategy"])] + [1])[:2]
        p = row["p"]
        value = evaluated(row["formula"], N=n, k=k, p=p, q=p, S=binom.sf(k - 1, n, p))
        assert row["value"] == pytest.approx(value, rel=1e-9), row["label"]


def test_the_printed_success_probabilities_are_binomial():
    assert evaluated(FORMULAS["pass"]["success"], N=5, p=0.3) == pytest.approx(binom.sf(0, 5, 0.3))
    head, term = FORMULAS["majority"]["success"].split(" ", 1)
    assert head == r"\sum_{i=k}^{N}"
    terms = [evaluated(term, N=5, p=0.3, i=i) for i in range(2, 6)]
    assert sum(terms) == pytest.approx(binom.sf(1, 5, 0.3))


def test_the_majority_weight_is_printed_with_the_factor_k_that_the_paper_omits(folder):
    for ending in ("csv", "md", "tex"):
        text = (folder / f"table1.{ending}").read_text()
        assert r"k \binom{N}{k} p^k (1-p)^{N-k} / S(p)" in text


def test_the_csv_has_a_row_per_strategy_form_and_p_with_full_precision(folder, curves):
    rows = read_artifact("closed_form_table", folder / "table1.csv").set_index(["strategy", "form", "p"])["value"]
    values = EXPERIMENT["values"]
    assert list(rows.index) == [
        (strategy, form, p) for strategy in values["strategies"] for form in ("sft", "rl") for p in values["p"]
    ]
    weights = curves.set_index(["strategy", "form", "p"])["weight"]
    assert rows.tolist() == pytest.approx(weights[rows.index].tolist(), rel=1e-14)


def test_the_markdown_shows_alignment_with_the_papers_values_waste_variance_and_normalisation(folder, normalisation):
    lines = squeezed((folder / "table1.md").read_text())
    (alignment,) = [line for line in lines if line.startswith("| Pass@1 | 1.000 |")]
    for value in ("0.741 (0.741)", "0.418 (0.418)", "0.216 (0.216)"):
        assert value in alignment
    assert any("test weight (column) is below 0.05" in line for line in lines)
    assert sum(line.startswith("| N=64 |") for line in lines) == 2  # per sample, and at equal cost
    (lengths,) = [line for line in lines if line.startswith("| Pass@64 |") and "→" in line]
    of_pass = normalisation[normalisation["strategy"] == "pass_n64"]
    for raw, over_batch in zip(of_pass["raw"], of_pass["normalised"], strict=True):
        assert f"{raw:.2f} → {over_batch:.2f}" in lengths
    assert "| Maj@4 raw | 0, 0 | 0, 0 |" in "\n".join(lines)
    for block in "\n".join(lines).split("\n\n"):
        assert len({line.count("|") for line in block.splitlines() if line.startswith("|")}) <= 1, block


def test_the_latex_is_balanced_and_free_of_unescaped_text(folder):
    text = (folder / "table1.tex").read_text()
    assert text.count("{") == text.count("}")
    assert text.count("$") % 2 == 0
    assert text.count(r"\begin{") == text.count(r"\end{") == 3
    assert not re.search(r"(?<!\\)%", text)


# --- figures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_figure_of_weights_draws_the_artifacts_curves_and_warns_of_nothing(curves, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure, caption = of_weights.weights(curves, **WEIGHTS[name])
        figure.canvas.draw()
    (axes,) = figure.axes
    for line, strategy in zip(axes.lines, WEIGHTS[name]["strategies"], strict=True):
        rows = curves[(curves["strategy"] == strategy) & (curves["form"] == WEIGHTS[name]["form"])]
        assert np.array_equal(line.get_ydata(), rows["weight"])
        assert line.get_label() == rows["label"].iloc[0]
    assert axes.get_xlabel() and axes.get_ylabel() and not axes.get_title(loc="left")
    assert caption == f"Closed form: no model is trained or tested. {WEIGHTS[name]['title']}"
    plt.close(figure)


def test_best_of_n_in_rl_is_drawn_over_the_quantile_of_the_reward(curves):
    figure, _ = of_weights.weights(curves, **WEIGHTS["fig16"])
    assert "quantile q" in figure.axes[0].get_xlabel()
    plt.close(figure)


def test_lines_of_a_figure_differ_in_dash_and_marker_so_that_grey_loses_nothing(curves):
    figure, _ = of_weights.weights(curves, **WEIGHTS["fig11"])
    lines = figure.axes[0].lines
    dashes = {str(style["linestyle"]) for style in styles_of(line.get_label() for line in lines).values()}
    assert len(dashes) == len({line.get_marker() for line in lines}) == len(lines)
    plt.close(figure)


def test_the_figure_of_waste_shades_what_lies_beyond_the_threshold_and_says_how_much(curves, pairs):
    figure, caption = of_weights.waste(curves, pairs, **WASTE["fig17"])
    figure.canvas.draw()
    assert "the test weight is below 0.05" in caption
    for axes, strategy in zip(figure.axes, WASTE["fig17"]["strategies"], strict=True):
        pair = pairs[(pairs["train"] == "pass_n1") & (pairs["test"] == strategy)].iloc[0]
        (shade,) = axes.collections
        left = shade.get_paths()[0].vertices[:, 0].min()
        assert left == pytest.approx(pair["test_negligible_from"], abs=1 / EXPERIMENT["points"])
        title = axes.get_title(loc="left")
        assert f"waste {100 * pair['wasted_share']:.0f} %" in title and f"A = {pair['alignment']:.2f}" in title
    plt.close(figure)


@pytest.mark.parametrize("name", ["fig11", "fig17"])
def test_the_same_artifacts_are_drawn_to_the_same_bytes(folder, curves, pairs, name):
    for copy in ("one", "two"):
        if name in WASTE:
            made = of_weights.waste(curves, pairs, **WASTE[name])
        else:
            made = of_weights.weights(curves, **WEIGHTS[name])
        save_figure(*made, *(folder / f"{name}-{copy}.{ending}" for ending in ("pdf", "png", "caption.md")))
    for ending in ("pdf", "png"):
        assert (folder / f"{name}-one.{ending}").read_bytes() == (folder / f"{name}-two.{ending}").read_bytes()
    plt.close("all")
