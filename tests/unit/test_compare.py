"""A run beside the reference and beside the paper's values: copies of the reference, changed in one place each."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from math import isnan, nan

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import REPO

from compute_aligned.analysis.gains import beside_alignment
from compute_aligned.presentation import compare
from compute_aligned.presentation.compare import Number, agreement, compare_runs, compare_with_paper, table_numbers
from compute_aligned.presentation.rows import long_rows, rounded
from compute_aligned.presentation.tables.alignment import alignment_rows
from compute_aligned.presentation.tables.closed_form import weight_values

EXPERIMENTS = yaml.safe_load((REPO / "config" / "experiments.yaml").read_text())["experiments"]
REPORTED = pd.read_csv(REPO / "config" / "reported.csv")


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """The reference, with its tables as this code writes them from its metrics: it keeps those of what made it."""
    folder = shutil.copytree(REPO / "results" / "reference" / "tiny", tmp_path_factory.mktemp("reference") / "tiny")
    tables = {}
    for name, entry in EXPERIMENTS.items():
        if entry["kind"] == "comparison" and "table" in entry:
            summary, weights = (pd.read_csv(folder / "metrics" / f"{name}.{end}.csv") for end in ("summary", "weights"))
            rows = long_rows(summary, weights)
            if "alignment" in entry:
                alignment = pd.read_csv(folder / "metrics" / f"{entry['alignment']}.alignment.csv")
                rows = alignment_rows(summary, beside_alignment(summary, alignment))
            tables.setdefault(entry["table"], []).append(rounded(rows))
    for name, parts in tables.items():
        pd.concat(parts).to_csv(folder / "tables" / f"{name}.csv", index=False)
    places = itertools.product(("pass_n16", "majority_n16_k4"), ("sft", "rl"), (0.1, 0.5))
    curves = pd.DataFrame(list(places), columns=["strategy", "form", "p"]).assign(
        label="Name", weight=np.arange(8) + 1.5
    )
    weight_values(curves, curves["strategy"].unique(), [0.1, 0.5]).to_csv(folder / "tables" / "table1.csv", index=False)
    return folder


@pytest.fixture
def copy(tmp_path, reference):
    """A run that gave what the reference holds."""
    return shutil.copytree(reference, tmp_path / "results" / "tiny")


def change(path, row, column, to):
    """Set one cell of a CSV; `row` maps columns to values, `to` the old value to the new one."""
    frame = pd.read_csv(path)
    chosen = (frame[list(row)] == pd.Series(row)).all(axis=1)
    assert chosen.sum() == 1
    frame.loc[chosen, column] = frame.loc[chosen, column].map(to)
    frame.to_csv(path, index=False)


def cells(reference, table, arm, metric, k=None):
    """A row of a table of the reference."""
    rows = pd.read_csv(reference / "tables" / f"{table}.csv")
    of_metric = rows[(rows["arm"] == arm) & (rows["metric"] == metric)]
    (row,) = of_metric[of_metric["k"].isna() if k is None else of_metric["k"] == k].to_dict("records")
    return row


def shown(value, low, high):
    return f"{value:.4g} ± {(high - low) / 2:.2g}"


def verdicts(items):
    return {item.name: item.verdict for item in items}


def other_than(items, verdict):
    return {name: found for name, found in verdicts(items).items() if found != verdict}


def comparison(items, item, name):
    (found,) = [c for entry in items if entry.name == item for c in entry.comparisons if c.name == name]
    return found


def run(monkeypatch, capsys, *arguments):
    """Exit code and output of `python -m compute_aligned compare`."""
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, arguments)])
    code = compare.main()
    return code, capsys.readouterr().out


# --- the rule --------------------------------------------------------------------------------------------------------


def test_two_independent_estimates_of_one_value_are_within_intervals_in_95_of_100_cases():
    rng = np.random.default_rng(1)
    se_a, se_b = 1.0, 3.0
    pairs = zip(rng.normal(0, se_a, 4000), rng.normal(0, se_b, 4000), strict=True)
    found = [agreement(Number(a, 1.959964 * se_a), Number(b, 1.959964 * se_b)) for a, b in pairs]
    assert found.count("within intervals") / len(found) == pytest.approx(0.95, abs=0.01)
    assert set(found) == {"within intervals", "different"}


@pytest.mark.parametrize(
    ("own", "other", "verdict"),
    [
        (Number(5.0, 0.3), Number(5.0, 0.3), "equal"),
        (Number(5.0, 0.3), Number(5.0 + 1e-12, 0.3), "equal"),  # another order of summation
        (Number(5.0, 0.3), Number(5.0, 0.4), "within intervals"),
        (Number(5.0, 0.3), Number(5.499, 0.4), "within intervals"),  # sqrt(0.3^2 + 0.4^2) = 0.5
        (Number(5.0, 0.3), Number(5.501, 0.4), "different"),
        (Number(5.0, 0.3), Number(5.299), "within intervals"),  # a value without interval lies in the other's
        (Number(5.0, 0.3), Number(5.301), "different"),
        (Number(5.299), Number(5.0, 0.3), "within intervals"),
        (Number(5.0), Number(5.1), "not judged"),
        (Number(5.0), Number(5.0), "equal"),
        (Number(5.0, nan, estimate=False), Number(5.1, nan, estimate=False), "different"),
    ],
)
def test_a_verdict(own, other, verdict):
    assert agreement(own, other) == verdict


# --- against a reference ---------------------------------------------------------------------------------------------


def test_a_run_that_gave_the_reference_is_equal_item_by_item(copy, monkeypatch, capsys, reference):
    items = compare_runs(copy, reference)
    files = [*reference.glob("tables/*.csv"), *reference.glob("figures/*.png"), *reference.glob("claims.csv")]
    assert set(verdicts(items)) == {file.stem for file in files} and len(files) >= 28
    assert other_than(items, "equal") == {}
    code, output = run(monkeypatch, capsys, copy, "--reference", reference)
    assert code == 0
    assert output.splitlines()[-1] == f"{len(files)} items: {len(files)} equal"


def test_the_reference_lies_beside_the_run(copy, monkeypatch, capsys, reference):
    shutil.copytree(reference, copy.parent / "reference" / "tiny")
    assert run(monkeypatch, capsys, copy)[0] == 0


def test_every_measured_cell_of_a_table_is_compared(copy, reference):
    objectives, ks = EXPERIMENTS["math_sft_pass"]["objectives"], [1, 4, 8, 16, 32, 64]
    (item,) = [item for item in compare_runs(copy, reference) if item.name == "table2"]
    wanted = {
        f"math_sft_pass {objective} {number}"
        for objective in objectives
        for number in [f"Pass@{k} {column}" for k in ks for column in ("value", "difference")]
        + [f"{name} value" for name in ("weight_p05", "weight_p50", "weight_p95", "effective_share", "log_p_p50")]
    }
    assert {c.name for c in item.comparisons} == wanted


@pytest.mark.parametrize(("moved", "verdict", "code"), [(1.3, "within intervals", 0), (1.5, "different", 1)])
def test_a_moved_cell_is_judged_by_both_intervals(copy, monkeypatch, capsys, moved, verdict, code, reference):
    path, row = copy / "tables" / "table2.csv", {"arm": "pass_n16", "metric": "pass", "k": 16}
    value, low, high = (cells(reference, "table2", *row.values())[column] for column in ("value", "low", "high"))
    half = (high - low) / 2  # of both sides: they differ within sqrt(2) of it
    for column in ("value", "low", "high"):
        change(path, row, column, lambda old: old + moved * half)
    items = compare_runs(copy, reference)
    assert other_than(items, "equal") == {"table2": verdict}
    assert comparison(items, "table2", "math_sft_pass pass_n16 Pass@16 value").verdict == verdict
    found, output = run(monkeypatch, capsys, copy, "--reference", reference)
    assert found == code
    named = f"different: math_sft_pass pass_n16 Pass@16 value: here {shown(value + moved * half, low, high)}, there"
    assert (named in output) == (verdict == "different")


def test_a_figure_is_judged_by_the_data_behind_it_and_not_by_its_looks(copy, reference):
    (copy / "figures" / "fig1.png").write_bytes(b"other colours")
    assert other_than(compare_runs(copy, reference), "equal") == {}
    path, row = copy / "metrics" / "math_sft_pass.summary.csv", {"arm": "ce", "k": 1}
    for column in ("value", "low", "high"):
        change(path, row, column, lambda old: old + 1e-4)
    items = compare_runs(copy, reference)
    assert other_than(items, "equal") == {"fig1": "within intervals"}
    changed = pd.read_csv(path).set_index(["arm", "k"]).loc[("ce", 1)]
    in_percent = 100 * changed[["value", "low", "high"]].astype(float)
    assert comparison(items, "fig1", "ce Pass@1 value").own == shown(*in_percent)
    for column in ("value", "low", "high"):
        change(path, row, column, lambda old: old + 0.1)
    assert other_than(compare_runs(copy, reference), "equal") == {"fig1": "different"}


def test_data_that_the_reference_does_not_hold_are_compared_by_the_hash_in_the_manifests(copy, reference):
    jobs = json.loads((copy / "manifests.json").read_text())
    (figure,) = [job for job in jobs if job["outputs"][0]["path"].endswith("figures/fig5.pdf")]
    (copy / "figures" / "fig5.png").write_bytes(b"other colours")
    assert other_than(compare_runs(copy, reference), "equal") == {}
    figure["inputs"][0]["sha256"] = "0" * 64
    name = figure["inputs"][0]["path"].removeprefix("results/tiny/")
    (copy / "manifests.json").unlink()
    for number, job in enumerate(jobs):  # as a run's own folder has them
        (copy / "provenance" / job["rule"]).mkdir(parents=True, exist_ok=True)
        (copy / "provenance" / job["rule"] / f"{number}.json").write_text(json.dumps(job))
    items = compare_runs(copy, reference)
    assert other_than(items, "equal") == {"fig5": "not judged"}
    assert [c.name for item in items for c in item.comparisons if c.verdict == "not judged"] == [name]


def test_what_answers_cost_is_compared_in_tokens_and_arms_at_equal_tokens_in_points(tmp_path):
    rows = {"arm": ["ce", "new"], "metric": "pass", "k": 4, "tokens": [12.0, 16.0], "crossover": [nan, 9.0]}
    rows |= {"tokens_low": [11.0, 14.0], "tokens_high": [13.0, 18.0]}
    rows |= {"difference": [0.0, 0.03], "difference_low": [nan, 0.01], "difference_high": [nan, 0.05]}
    pd.DataFrame(rows).to_csv(tmp_path / "e.tokens.csv")
    found = compare.metrics_numbers(tmp_path / "e.tokens.csv")
    told = {"ce 4 tokens": "12 ± 1", "new 4 tokens": "16 ± 2", "ce 4 difference": "0", "new 4 difference": "3 ± 2"}
    assert {name: str(number) for name, number in found.items()} == told


def test_a_picture_without_a_manifest_can_be_equal_and_cannot_be_judged(copy, reference):
    (copy / "manifests.json").unlink()
    (copy / "figures" / "fig2.png").write_bytes(b"other colours")
    found = other_than(compare_runs(copy, reference), "equal")
    assert found["fig2"] == "not judged" and "fig3" not in found


def test_training_weights_have_no_interval_and_are_not_judged(copy, monkeypatch, capsys, reference):
    row = {"arm": "pass_n16_log", "metric": "weight_p50"}
    change(copy / "tables" / "table4.csv", row, "value", lambda old: old * 1.1)
    assert other_than(compare_runs(copy, reference), "equal") == {"table4": "not judged"}
    code, output = run(monkeypatch, capsys, copy, "--reference", reference, "--all")
    assert code == 0
    weight = cells(reference, "table4", *row.values())["value"]
    named = "not judged: math_rl_pass pass_n16_log weight_p50 value"
    assert f"{named}: here {weight * 1.1:.4g}, there {weight:.4g}" in output


@pytest.mark.parametrize(
    ("file", "row", "column", "items"),
    [
        ("tables/table1.csv", {"strategy": "pass_n16", "form": "rl", "p": 0.1}, "value", {"table1"}),
        ("metrics/scaling_factors.variance.csv", {"n": 64, "p": 0.01}, "ratio", {"table1"}),
        ("metrics/scaling_factors.alignment.csv", {"train": "pass_n1", "test": "pass_n64"}, "alignment", {"table1"}),
    ],
)
def test_in_closed_form_every_difference_counts(copy, file, row, column, items, reference):
    change(copy / file, row, column, lambda old: old * (1 + 1e-6))
    assert other_than(compare_runs(copy, reference), "equal") == dict.fromkeys(items, "different")


def test_what_one_side_lacks_is_named(copy, monkeypatch, capsys, reference):
    table = pd.read_csv(copy / "tables" / "table2.csv")
    table[table["arm"] != "pass_n64"].to_csv(copy / "tables" / "table2.csv", index=False)
    (copy / "tables" / "table5.csv").unlink()
    (copy / "figures" / "fig7.png").unlink()
    (copy / "figures" / "fig21.png").write_bytes(b"not in the reference")
    missing = {"table2": "missing", "table5": "missing", "fig7": "missing", "fig21": "missing"}
    assert other_than(compare_runs(copy, reference), "equal") == missing
    code, output = run(monkeypatch, capsys, copy, "--reference", reference)
    assert code == 1
    row = cells(reference, "table2", "pass_n64", "pass", 1)
    there = shown(row["value"], row["low"], row["high"])
    assert f"missing: math_sft_pass pass_n64 Pass@1 value: here missing, there {there}" in output
    absent = {line.split()[0]: line for line in output.splitlines() if line.endswith(("present", "missing"))}
    assert absent["table5"].endswith("here missing, there present")
    assert absent["fig21"].endswith("here present, there missing")


def test_claims_are_compared_by_their_verdicts(copy, tmp_path, reference):
    other = shutil.copytree(reference, tmp_path / "other")
    claims = pd.DataFrame({"claim": ["C01", "C02", "C03"], "verdict": ["reproduced", "inconclusive", "contradicted"]})
    (other / "claims.csv").unlink(missing_ok=True)
    claims.to_csv(copy / "claims.csv", index=False)
    assert verdicts(compare_runs(copy, other))["claims"] == "missing"
    claims.to_csv(other / "claims.csv", index=False)
    assert verdicts(compare_runs(copy, other))["claims"] == "equal"
    claims.iloc[1:].replace("inconclusive", "reproduced").to_csv(other / "claims.csv", index=False)
    items = compare_runs(copy, other)
    found = {name: comparison(items, "claims", name).verdict for name in claims["claim"]}
    assert found == {"C01": "missing", "C02": "different", "C03": "equal"}


# --- against the paper -----------------------------------------------------------------------------------------------


def test_a_value_of_the_paper_is_inside_the_runs_interval_or_not(copy):
    path = copy / "metrics" / "math_rl_majority.summary.csv"
    for k, low, high in ((1, 0.0, 1.0), (4, 0.0, 0.01)):  # at least one of either
        change(path, {"arm": "grpo", "k": k}, "low", lambda old, low=low: low)
        change(path, {"arm": "grpo", "k": k}, "high", lambda old, high=high: high)
    frame = pd.read_csv(path)
    frame["value"] = (frame["low"] + frame["high"]) / 2
    frame.to_csv(path, index=False)
    items = compare_with_paper(copy, REPORTED)
    summary = pd.read_csv(path)
    ours = summary.set_index(["arm", "k"])
    tables = REPORTED[(REPORTED["experiment"] == "math_rl_majority") & (REPORTED["paper_item"] == "Table 5")]
    labels = dict(zip(summary["label"], summary["arm"], strict=True))
    inside = {}
    for row in tables.itertuples():
        interval = ours.loc[labels[row.model], row.k]
        inside[f"{labels[row.model]} Maj@{row.k} value"] = interval["low"] <= row.value / 100 <= interval["high"]
    (item,) = [item for item in items if item.name == "math_rl_majority"]
    assert {c.name: c.verdict == "within intervals" for c in item.comparisons} == inside
    assert set(inside.values()) == {True, False}


def test_differences_from_the_baseline_stand_apart_and_the_baselines_own_are_none(monkeypatch, capsys, reference):
    items = compare_with_paper(reference, REPORTED)
    (item,) = [item for item in items if item.name == "math_sft_pass, differences"]
    rows = pd.read_csv(reference / "metrics" / "math_sft_pass.summary.csv")
    assert len(item.comparisons) == (rows["arm"] != "ce").sum()
    assert not any(c.name.startswith("ce ") for c in item.comparisons)
    found = comparison(items, "math_sft_pass, differences", "pass_n64 Pass@64 difference")
    ours = 100 * rows.set_index(["arm", "k"]).loc[("pass_n64", 64)][["difference_low", "difference_high"]]
    inside = ours["difference_low"] <= 67.6 - 59.8 <= ours["difference_high"]
    assert (found.other, found.verdict) == ("7.8", "within intervals" if inside else "different")
    code, output = run(monkeypatch, capsys, reference, "--published")
    assert code == 1 and "different: ce Pass@64 value: here" in output  # arithmetic is not MATH


def test_closed_forms_are_the_papers_to_the_digits_that_it_prints(copy):
    assert verdicts(compare_with_paper(copy, REPORTED))["scaling_factors"] == "equal"
    path = copy / "metrics" / "scaling_factors.alignment.csv"
    change(path, {"train": "pass_n1", "test": "pass_n4"}, "reported", lambda old: old + 0.001)
    assert verdicts(compare_with_paper(copy, REPORTED))["scaling_factors"] == "different"


def test_what_the_paper_does_not_report_is_counted_and_no_failure(reference):
    items = compare_with_paper(reference, REPORTED)
    found = {c.verdict for item in items for c in item.comparisons if "marginal" in c.name}
    assert found == {"not reported"}


def test_an_experiment_that_the_run_lacks_is_named(copy):
    for path in (copy / "metrics").glob("warmup_transfer.*"):
        path.unlink()
    items = compare_with_paper(copy, REPORTED)
    n = (REPORTED["experiment"] == "warmup_transfer").sum()
    assert comparison(items, "warmup_transfer", "all of it").other == f"{n} values"
    assert verdicts(items)["warmup_transfer"] == "missing"


# --- bad input -------------------------------------------------------------------------------------------------------


HEAD = "experiment,arm,metric,k,value,low,high,difference,difference_low,difference_high\n"


def spoil(path, text):
    path.write_text(text)


@pytest.mark.parametrize(
    ("damage", "arguments", "named"),
    [
        (lambda copy: shutil.rmtree(copy), [], ["results/tiny: no such folder", "make reproduce"]),
        (lambda copy: shutil.rmtree(copy), ["--published"], ["results/tiny: no such folder"]),
        (lambda copy: None, ["--reference", "nowhere"], ["nowhere: no such folder", "--reference names another"]),
        (lambda copy: None, [], ["results/reference/tiny: no such folder"]),
        (lambda copy: spoil(copy / "tables/table2.csv", ""), None, ["table2.csv: no CSV file: No columns"]),
        (lambda copy: spoil(copy / "tables/table2.csv", "a,b\n1,2,3\n4\n1,2,3,4\n"), None, ["table2.csv: no CSV file"]),
        (lambda copy: spoil(copy / "tables/table2.csv", "arm\nce\n"), None, ["table2.csv", "'experiment'"]),
        (
            lambda copy: spoil(copy / "tables/table2.csv", f"{HEAD}e,ce,pass,1,high,,,,,\n"),
            None,
            ["table2.csv: e ce Pass@1: column 'value' holds 'high', wanted a number"],
        ),
        (
            lambda copy: spoil(copy / "tables/table2.csv", f"{HEAD}e,ce,pass,1,1,,,,,\ne,ce,pass,1,2,,,,,\n"),
            None,
            ["table2.csv: two rows are 'e ce Pass@1'"],
        ),
        (lambda copy: spoil(copy / "manifests.json", "{"), None, ["manifests.json: a manifest is no JSON"]),
        (
            lambda copy: spoil(copy / "metrics/math_sft_pass.summary.csv", "arm\nce\n"),
            ["--published"],
            ["math_sft_pass.summary.csv: the column 'baseline' is missing"],
        ),
    ],
)
def test_bad_input_is_named_in_one_sentence(copy, monkeypatch, damage, arguments, named, reference):
    damage(copy)
    arguments = ["--reference", str(reference)] if arguments is None else arguments
    monkeypatch.chdir(copy.parents[1])
    monkeypatch.setattr(sys, "argv", ["compare", "results/tiny", *arguments])
    with pytest.raises(ValueError) as error:
        compare.main()
    sentence = str(error.value)
    assert "\n" not in sentence
    assert [word for word in named if word not in sentence] == [], sentence


def test_claims_without_verdicts_are_refused(copy, tmp_path):
    spoil(copy / "claims.csv", "claim\nC01\n")
    with pytest.raises(ValueError, match="claims.csv: the column 'verdict' is missing"):
        compare_runs(copy, copy)


def test_a_wrong_folder_ends_the_command_with_a_sentence_and_code_1(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "compute_aligned", "compare", "results/tiny"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPO / "workflow")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("compare: results/tiny: no such folder") and done.stderr.count("\n") == 1


def test_make_compare_names_the_folder_of_the_preset():
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    options = [f"VENV={sys.prefix}", "CONFIG=config/small.yaml", "PUBLISHED=1"]  # make refuses where there is none
    command = ["make", "--no-print-directory", "-n", "compare", *options]
    planned = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout
    assert planned.splitlines()[-1].endswith("python -m compute_aligned compare results/small --published")


def test_the_paper_and_a_reference_cannot_be_asked_for_at_once(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["compare", "results/tiny", "--published", "--reference", "x"])
    with pytest.raises(SystemExit) as stopped:
        compare.main()
    assert stopped.value.code == 2 and "not allowed with" in capsys.readouterr().err


def test_the_gains_of_the_alignment_matrix_are_compared_with_their_intervals(reference):
    path = reference / "tables" / "gain_table.csv"
    numbers, rows = table_numbers(path), pd.read_csv(path)
    assert len(numbers) == 2 * len(rows)  # values and differences, of Pass@k and of the alignment
    name, row = "alignment_matrix pass_n64", cells(reference, "gain_table", "pass_n64", "pass", 4)
    number, half = numbers[f"{name} Pass@4 difference"], (row["difference_high"] - row["difference_low"]) / 2
    assert (number.value, number.half) == (row["difference"], pytest.approx(half, abs=1e-4))  # four digits are written
    assert isnan(numbers[f"{name} alignment@4 value"].half)
