"""Artifacts: checked against their schema, whole or not there. Tables and figures: they show the numbers given."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import squeezed

from compute_aligned.presentation.figures.curves import difference, difference_figure
from compute_aligned.presentation.figures.style import save_figure
from compute_aligned.presentation.rows import long_rows
from compute_aligned.presentation.tables.comparison import comparison, latex, markdown
from compute_aligned.presentation.tables.forms import write_table
from compute_aligned.presentation.wording import against_the_paper, what_was_run
from compute_aligned.provenance.artifacts import SCHEMAS, read_artifact, whole, write_artifact

SAMPLES = pd.DataFrame(
    {
        "problem_id": ["a", "a"],
        "sample": [0, 1],
        "completion": ["46", ""],
        "finish_reason": ["stop", "length"],
        "n_tokens": [2, 0],
        "mean_logprob": [-0.5, -1.0],
    }
)


# --- schema ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["samples", "summary"])
def test_an_artifact_is_read_as_it_was_written(tmp_path, kind):
    frame, ending = {"samples": (SAMPLES, "parquet"), "summary": (SUMMARY, "csv")}[kind]
    write_artifact(frame, kind, tmp_path / f"a.{ending}")
    pd.testing.assert_frame_equal(read_artifact(kind, tmp_path / f"a.{ending}"), frame, check_dtype=False)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda f: f.drop(columns="n_tokens"), ["columns of a 'samples' artifact", "'n_tokens'"]),
        (lambda f: f.assign(mood="good"), ["columns of a 'samples' artifact", "'mood'"]),
        (lambda f: f[["sample", "problem_id", *f.columns[2:]]], ["columns of a 'samples' artifact"]),
        (lambda f: f.assign(problem_id=["a", None]), ["row 1", "no 'problem_id'"]),
        (lambda f: f.assign(mean_logprob=[np.nan, -1]), ["row 0", "no 'mean_logprob'"]),
        (lambda f: f.assign(sample=[0.5, 1]), ["column 'sample'", "0.5", "wanted integer"]),
        (lambda f: f.assign(mean_logprob=["low", "high"]), ["column 'mean_logprob'", "'low'", "wanted number"]),
        (lambda f: f.assign(completion=[4, 6]), ["column 'completion'", "4", "wanted string"]),
        (lambda f: f.assign(finish_reason=["stop", "bored"]), ["'finish_reason'", "'bored'", "['stop', 'length']"]),
    ],
)
def test_what_breaks_the_schema_is_named_and_not_written(tmp_path, change, named):
    path = tmp_path / "samples.parquet"
    with pytest.raises(ValueError) as error:
        write_artifact(change(SAMPLES), "samples", path)
    sentence = str(error.value)
    assert "\n" not in sentence and str(path) in sentence
    assert [word for word in named if word not in sentence] == [], sentence
    assert not path.exists()


def test_a_file_that_breaks_the_schema_is_refused_when_it_is_read(tmp_path):
    SAMPLES.drop(columns="sample").to_parquet(tmp_path / "samples.parquet")
    with pytest.raises(ValueError, match="columns of a 'samples' artifact"):
        read_artifact("samples", tmp_path / "samples.parquet")


def test_an_optional_cell_may_be_empty(tmp_path):
    scores = pd.DataFrame(
        {
            "problem_id": ["a", "a"],
            "sample": [0, 1],
            "answer": ["46", None],
            "correct": [True, False],
            "correct_paper_grader": [True, False],
            "reward": [1.0, 0.0],
            "outcome": ["right", "invalid"],
        }
    )
    write_artifact(scores, "scores", tmp_path / "scores.parquet")
    assert pd.isna(read_artifact("scores", tmp_path / "scores.parquet")["answer"]).tolist() == [False, True]


def test_the_published_values_fit_their_schema():
    assert len(read_artifact("reported", SCHEMAS.parents[2] / "config" / "reported.csv")) > 100


def test_every_schema_says_what_it_is_and_uses_known_types():
    for kind, schema in yaml.safe_load(SCHEMAS.read_text()).items():
        assert schema["description"], kind
        assert {column["type"] for column in schema["columns"].values()} <= {"string", "integer", "number", "boolean"}


# --- whole or not at all ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_interrupted_write_leaves_nothing(tmp_path, kind):
    for error in (RuntimeError, KeyboardInterrupt):
        with pytest.raises(error):
            with whole(tmp_path / "result") as partial:
                if kind == "folder":
                    partial.mkdir()
                    (partial / "half").write_text("1")
                else:
                    partial.write_text("1")
                raise error
        assert list(tmp_path.iterdir()) == []


def test_what_a_killed_job_left_is_not_taken_into_the_next_result(tmp_path):
    with whole(tmp_path / "result") as partial:
        left_over = partial
        partial.mkdir()
        (partial / "weights").write_text("whole")
    left_over.mkdir()
    (left_over / "old").write_text("half")  # as a kill -9 leaves it
    (tmp_path / "result" / "weights").unlink()
    (tmp_path / "result").rmdir()
    with whole(tmp_path / "result") as partial:
        partial.mkdir()
        (partial / "weights").write_text("whole")
    assert [file.name for file in (tmp_path / "result").iterdir()] == ["weights"]


def test_a_failed_write_keeps_the_older_result(tmp_path):
    with whole(tmp_path / "deep" / "result") as partial:
        partial.write_text("older")
    with pytest.raises(OSError, match="disk full"), whole(tmp_path / "deep" / "result") as partial:
        partial.write_text("half of the newer")
        raise OSError("disk full")
    assert (tmp_path / "deep" / "result").read_text() == "older"
    assert len(list((tmp_path / "deep").iterdir())) == 1


# --- tables and figures ----------------------------------------------------------------------------------------------


def row(objective, label, k, value, difference, **changes):
    return {
        "experiment": "e",
        "recipe": "r",
        "arm": objective,
        "label": label,
        "beyond_paper": False,
        "baseline": "ce",
        "metric": "pass",
        "k": k,
        "value": value,
        "low": value - 0.02,
        "high": value + 0.02,
        "difference": difference,
        "difference_low": difference - 0.01,
        "difference_high": difference + 0.01,
        "difference_p": 0.04,
        "population": "problems and seeds",
        "reported": 0.158,
        "reported_difference": 0.0,
        "n_seeds": 5,
        "n_problems": 300,
        "n_samples": 128,
    } | changes


SUMMARY = pd.DataFrame(
    [
        row("ce", "CE", 1, 0.251, 0.0),
        row("pass_n16", "Pass@16", 1, 0.203, -0.048, reported=0.117, reported_difference=-0.041),
        row("ce", "CE", 16, 0.412, 0.0, reported=0.463),
        row("pass_n16", "Pass@16", 16, 0.534, 0.122, reported=np.nan, reported_difference=np.nan),
    ]
)
WEIGHTS = pd.DataFrame(
    {
        "arm": ["ce", "pass_n16"],
        "label": ["CE", "Pass@16"],
        "weight_p05": [1.0, 0.00123],
        "weight_p50": [1.0, 0.456],
        "weight_p95": [1.0, 0.987],
        "effective_share": [1.0, 0.62],
        "log_p_p50": [-2.4, -3.7],
        "success_rate_p50": [np.nan, np.nan],
        "no_signal_share": [np.nan, np.nan],
        "reward_first": [np.nan, np.nan],
        "reward_last": [np.nan, np.nan],
        "kl_last": [np.nan, np.nan],
        "n_rows": [100, 100],
        "n_seeds": [5, 5],
    }
)
NO_INTERVALS = SUMMARY.assign(low=np.nan, high=np.nan, difference_low=np.nan, difference_high=np.nan)


def test_the_rows_have_one_value_each_in_percent_and_those_of_the_training_have_no_k():
    rows = long_rows(SUMMARY, WEIGHTS)
    assert rows["arm"].unique().tolist() == ["ce", "pass_n16"]
    of_budgets = rows[rows["k"].notna()].set_index(["arm", "metric", "k"])
    assert len(of_budgets) == 4 and of_budgets.index.is_unique
    at_16, at_1 = (of_budgets.loc[("pass_n16", "pass", k)] for k in (16, 1))
    assert at_16["unit"] == "%" and at_16[["value", "low", "high"]].tolist() == pytest.approx([53.4, 51.4, 55.4])
    columns = ["difference", "difference_low", "difference_high"]
    assert at_16[columns].tolist() == pytest.approx([12.2, 11.2, 13.2])
    assert at_1[["reported", "reported_difference"]].tolist() == pytest.approx([11.7, -4.1])
    assert np.isnan(at_16["reported"])
    of_training = rows[rows["k"].isna()].set_index(["arm", "metric"])["value"]
    assert len(of_training) == 2 * 5  # and none for what no arm has
    assert of_training["pass_n16", "effective_share"] == 0.62 and of_training["pass_n16", "weight_p50"] == 0.456


def test_the_markdown_table_shows_values_intervals_differences_reported_values_and_weights():
    text = markdown(SUMMARY, WEIGHTS, "What this is.")
    assert text.startswith("What this is.\n")
    lines = squeezed(text)
    assert "| | Pass@1 | Pass@16 |" in lines
    assert "| Pass@16 | 20.3 [18.3, 22.3] | 53.4 [51.4, 55.4] |" in lines
    assert "| CE | – | – |" in lines  # the baseline does not differ from itself
    assert "| Pass@16 | -4.8 [-5.8, -3.8] | +12.2 [+11.2, +13.2] |" in lines
    assert "| Pass@16 | 11.7 (-4.1) | – |" in lines
    assert "| Pass@16 | 0.00123 | 0.456 | 0.987 | 0.62 | -3.7 |" in lines


def test_what_the_paper_does_not_have_stands_below_a_heading():
    summary = SUMMARY.assign(beyond_paper=SUMMARY["arm"] == "ce")  # which comes first
    lines = squeezed(markdown(summary, WEIGHTS, "x"))
    place = lines.index("| *not in the paper* | | |")
    assert lines[place - 1] == "| Pass@16 | 20.3 [18.3, 22.3] | 53.4 [51.4, 55.4] |"
    assert lines[place + 1] == "| CE | 25.1 [23.1, 27.1] | 41.2 [39.2, 43.2] |"
    assert r"\emph{not in the paper} &  &  \\" in latex(summary, "x")


def test_the_latex_table_shows_values_half_widths_and_both_differences():
    text = latex(SUMMARY, "100 % of it.")
    assert r"\caption{100 \% of it." in text
    assert r" & Pass@1 & Pass@16 \\" in text
    assert r"Pass@16 & 20.3$\,\pm\,$2.0 & 53.4$\,\pm\,$2.0 \\" in text
    assert r"\scriptsize $-4.8$ (-4.1) & \scriptsize $+12.2$" in text
    assert text.count("{") == text.count("}")


def test_tables_without_intervals_show_plain_values():
    assert "| Pass@16 | 20.3 | 53.4 |" in squeezed(markdown(NO_INTERVALS, WEIGHTS, "x"))
    assert r"\pm" not in latex(NO_INTERVALS, "x")


def test_the_caption_says_what_was_run():
    text = what_was_run(SUMMARY, "tiny", "test")
    assert text == (
        "Preset tiny: 5 seeds, 300 test problems, pools of 128 samples; 95 % intervals over problems and seeds."
    )
    assert "1 seed," in what_was_run(SUMMARY.assign(n_seeds=1), "tiny", "test")


def test_tables_and_captions_say_where_a_difference_has_the_other_sign_than_the_papers():
    """(reported, low, high) of Pass@16: only an interval wholly on the other side of 0 goes against the paper."""
    at_16 = (SUMMARY["arm"] == "pass_n16") & (SUMMARY["k"] == 16)
    columns = ["reported_difference", "difference_low", "difference_high"]

    def sentence(*values):
        changed = SUMMARY.copy()
        changed[columns] = np.nan
        changed.loc[at_16, columns] = values
        return changed, against_the_paper(changed)

    named = "Against the paper's sign (95 % interval beyond 0): Pass@16 in Pass@16."
    for values in [(0.02, -0.05, -0.01), (-0.02, 0.01, 0.05)]:
        contradicting, text = sentence(*values)
        assert text == named
    for values in [
        (0.02, -0.05, 0.01),
        (0.02, 0.01, 0.05),
        (-0.02, -0.05, -0.01),
        (0.0, 0.01, 0.05),
        (0.02, np.nan, np.nan),
    ]:
        assert sentence(*values)[1] == ""
    assert sentence(np.nan, 0.01, 0.05)[1] == ""

    table = comparison([contradicting], [WEIGHTS], ["Title."], "tiny", "test")
    assert named in table.markdown and named.replace("%", r"\%") in table.latex
    assert difference(contradicting, "Title.", "tiny", "test")[1].endswith(named)
    plt.close("all")


def test_a_table_is_written_in_three_forms_of_the_same_numbers(tmp_path):
    paths = {form: tmp_path / "tables" / f"t.{form}" for form in ("csv", "md", "tex")}
    write_table(comparison([SUMMARY], [WEIGHTS], ["Pass@k after SFT."], "tiny", "test"), *paths.values())
    rows = read_artifact("table", paths["csv"])
    assert rows.loc[rows["k"] == 16, "value"].tolist() == [41.2, 53.4]
    for form in ("md", "tex"):
        text = paths[form].read_text()
        assert "Pass@k after SFT. Preset tiny" in text and "53.4" in text and "+12.2" in text


def test_two_experiments_share_a_table_one_below_the_other():
    other = SUMMARY.assign(experiment="f", metric="bon")
    table = comparison([SUMMARY, other], [WEIGHTS, WEIGHTS], ["One.", "Two."], "tiny", "test")
    assert table.rows["experiment"].unique().tolist() == ["e", "f"]
    assert table.rows.query("experiment == 'f' and k == 1")["unit"].unique().tolist() == ["reward units"]
    assert table.markdown.index("One. Preset") < table.markdown.index("Two. Preset")
    assert table.latex.count(r"\begin{table}") == 2


@pytest.mark.parametrize("summary", [SUMMARY, NO_INTERVALS, SUMMARY.assign(reported_difference=np.nan)])
def test_the_figure_shows_differences_and_bands_without_a_warning(summary):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = difference_figure(summary)
        figure.canvas.draw()
    axes = figure.axes[0]
    curve = next(line for line in axes.lines if line.get_label() == "Pass@16")
    assert curve.get_xdata().tolist() == [1, 16]
    assert curve.get_ydata().tolist() == pytest.approx([-4.8, 12.2])
    assert axes.get_ylabel() == "Pass@k minus CE (points)"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "16"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["Pass@16", *["paper's values"] * bool(summary["reported_difference"].notna().any())]
    plt.close(figure)


def test_the_same_summary_is_drawn_to_the_same_bytes_with_its_caption_beside(tmp_path):
    for name in ("one", "two"):
        paths = [tmp_path / f"{name}.{ending}" for ending in ("pdf", "png", "caption.md")]
        save_figure(*difference(SUMMARY, "Title.", "tiny", "test"), *paths)
    for ending in ("pdf", "png", "caption.md"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()
    caption = (tmp_path / "one.caption.md").read_text()
    assert caption.startswith(
        "Title. The metric at each test budget k minus the baseline's, paired by problem and seed."
    )
    assert what_was_run(SUMMARY, "tiny", "test") in caption and caption.count("\n") == 1
    plt.close("all")
