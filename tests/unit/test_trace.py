"""Walking back from a number: it is measured again from the scores, and told with its runs, pools, and one problem's
completions; of a table, of a figure, in a bundle."""

import io
import json
import math
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_by_hand import ROOT, Results

from compute_aligned.analysis.measuring import measure
from compute_aligned.config.settings.measuring import MeasuringSettings
from compute_aligned.presentation.trace import command, problem
from compute_aligned.presentation.trace.jobs import settings_of
from compute_aligned.provenance.bundle import unpack, write_bundle

N, KS, SEEDS, PROBLEMS = 8, [1, 4], [1, 2], [f"test-{i}" for i in range(6)]
EXPERIMENT = {
    "name": "e",
    "trainer": "sft",
    "labels": {"ce": "CE", "pass_n4": "Pass@4"},
    "beyond_paper": [],
    "reported_as": {},
    "reported_from": "e",
    "gain": False,
    "ks": KS,
    "baseline": "ce",
    "metric": "pass",
    "paper_item": "Table 2",
}
RUNS = [{"name": arm, "recipe": "r", "objective": arm, "seed": seed} for arm in ("ce", "pass_n4") for seed in SEEDS]
REPORTED = pd.DataFrame(columns=["paper_item", "experiment", "k", "metric", "model", "value"])


def right(run):
    """Right samples of each problem of a run."""
    return np.random.default_rng([run["seed"], len(run["name"])]).integers(0, N + 1, len(PROBLEMS))


def as_parquet(frame):
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def pools(run):
    """Samples and scores of a run."""
    rows = [
        {"problem_id": problem, "sample": i, "correct": bool(i < count)}
        for problem, count in zip(PROBLEMS, right(run), strict=True)
        for i in range(N)
    ]
    frame = pd.DataFrame(rows)
    samples = frame[["problem_id", "sample"]].assign(
        completion=np.where(frame["correct"], "so 7", "so 8"), finish_reason="stop", n_tokens=2, mean_logprob=-0.1
    )
    scores = frame.assign(
        answer=np.where(frame["correct"], "7", "8"),
        correct_paper_grader=frame["correct"],
        reward=frame["correct"].astype(float),
        outcome=np.where(frame["correct"], "right", "wrong"),
    )
    columns = ["problem_id", "sample", "answer", "correct", "correct_paper_grader", "reward", "outcome"]
    return samples, scores[columns]


def as_table(summary):
    """The numbers of a summary as a table's CSV has them."""
    columns = ["value", "low", "high", "difference", "difference_low", "difference_high"]
    shown = summary.assign(**{name: (100 * summary[name]).round(4) for name in columns})
    shown = shown.assign(unit="%")
    extra = shown.iloc[:1].assign(metric="weight_p50", k=np.nan, value=0.5)  # of the training, without a budget
    return pd.concat([shown, extra])[["experiment", "arm", "metric", "k", "unit", *columns]].to_csv(index=False)


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Samples, scores, metrics, a table and a figure of two arms with two seeds."""
    monkeypatch.chdir(tmp_path)
    results = Results(tmp_path)
    text = {"prompt": "3 + 4 = ", "target": "7", "answer": "7", "subject": "sums", "level": 1}
    problems = pd.DataFrame([{"problem_id": problem, **text} for problem in PROBLEMS])
    results.make("problems", {"data/math/test.parquet": as_parquet(problems)}, wildcards={"task": "math"})
    record = pd.DataFrame({"step": [1, 2], "log_p": [-1.0, -2.0], "weight": [1.0, 0.5], "success_rate": [np.nan] * 2})
    for arm in ("ce", "pass_n4"):
        job = {"recipe": "r", "objective": arm}
        made = {seed: pools({"name": arm, "seed": seed}) for seed in SEEDS}
        files = {stage: [f"{stage}/r/{arm}/seed{seed}.parquet" for seed in SEEDS] for stage in STAGES}
        results.make("train_sft", dict.fromkeys(files["training"], as_parquet(record)), wildcards=job)
        samples = dict(zip(files["samples"], (as_parquet(pair[0]) for pair in made.values()), strict=True))
        results.make("sample", samples, wildcards=job)
        scores = dict(zip(files["scores"], (as_parquet(pair[1]) for pair in made.values()), strict=True))
        read = [f"{ROOT}/{file}" for file in [*files["samples"], "data/math/test.parquet"]]
        results.make("grade", scores, read, wildcards=job)
    runs = [
        run | {key: f"{ROOT}/{stage}/r/{run['name']}/seed{run['seed']}.parquet" for key, stage in READ.items()}
        for run in RUNS
    ]
    names = {
        "metrics": "csv", "problem_metrics": "problems.parquet", "start": "start.parquet", "summary": "summary.csv",
        "weights": "weights.csv",
    }  # fmt: skip
    paths = {f"path_to_{name}": str(tmp_path / "scratch" / f"e.{end}") for name, end in names.items()}
    start = [{"name": "start", "recipe": "r", "seed": seed, "scores": runs[0]["scores"]} for seed in SEEDS]
    measure(MeasuringSettings(**EXPERIMENT), runs, start, REPORTED, **paths)
    made = {f"metrics/{Path(path).name}": Path(path).read_bytes() for path in paths.values()}
    read = [run[key] for key in READ for run in runs]
    results.make("measure", made, read, wildcards={"experiment": "e"}, experiment=EXPERIMENT, runs=RUNS)
    summary = pd.read_csv(paths["path_to_summary"])
    shown = [f"{ROOT}/metrics/e.summary.csv"]
    item = {"item": "table2"}
    results.make("table", {"tables/table2.csv": as_table(summary)}, shown, wildcards=item)
    results.make("figure", {"figures/fig1.pdf": b"%PDF", "figures/fig1.png": b"png"}, shown, wildcards={"item": "fig1"})
    results.make("claims", {"claims.csv": "claim\nC01\n"}, shown)
    return results


STAGES = ("training", "samples", "scores")
READ = {"scores": "scores", "record": "training"}


@pytest.fixture
def ask(results, monkeypatch, capsys):
    def asking(path, *options):
        monkeypatch.setattr(sys, "argv", ["audit", f"{ROOT}/{path}" if "results" not in path else path, *options])
        before = {file: file.stat().st_mtime_ns for file in results.folder.rglob("*")}
        code = command.main()
        assert before == {file: file.stat().st_mtime_ns for file in results.folder.rglob("*")}  # nothing is changed
        said = capsys.readouterr()
        return code, said.out + said.err

    return asking


def pass_at(arm, k):
    """Exact pass@k in percent, by counting subsets."""
    shares = [
        1 - math.comb(N - int(count), k) / math.comb(N, k)
        for seed in SEEDS
        for count in right({"name": arm, "seed": seed})
    ]
    return 100 * np.mean(shares)


@pytest.mark.parametrize("path", ["tables/table2.csv", "figures/fig1.pdf", "figures/fig1.png"])
@pytest.mark.parametrize("k", KS)
def test_a_number_is_measured_again_from_the_scores(ask, path, k):
    code, output = ask(path, "--arm", "pass_n4", "--k", str(k))
    assert code == 0, output
    value, difference = pass_at("pass_n4", k), pass_at("pass_n4", k) - pass_at("ce", k)
    assert output.startswith(f"Pass@{k} of pass_n4: {value:.2f} % [")
    told = f"value {value:.4f} %, equal; difference {difference:.4f} points, equal"
    assert f"computed again from the scores: {told}" in output
    assert f"mean of 2 rows of {ROOT}/metrics/e.csv: seed 1 " in output
    assert f"pools of {len(PROBLEMS)} problems x {N} samples each" in output
    assert "Table 2; config/recipes.yaml, r: " in output and "root hash " in output
    assert f"--forceall {ROOT}/{path}`" in output and "numpy " in output


def test_a_number_that_the_scores_do_not_give_is_found_although_every_hash_fits(results, ask):
    table = results / "tables/table2.csv"
    (number,) = {f"{round(pass_at('pass_n4', 4), 4):g}"}
    assert number in table.read_text()
    table.write_text(table.read_text().replace(number, f"{float(number) + 1:g}"))
    entry = results.entry(f"{ROOT}/tables/table2.csv")
    results.change_manifest("table", lambda manifest: manifest.update(outputs=[entry]), "table2")
    assert ask("tables/table2.csv", "--arm", "ce", "--k", "1")[0] == 0
    code, output = ask("tables/table2.csv", "--arm", "pass_n4", "--k", "4")
    assert code == 1 and "NOT EQUAL, -1.0000 from what stands there" in output


def test_as_plain_values(ask):
    code, output = ask("tables/table2.csv", "--arm", "pass_n4", "--k", "4", "--json")
    told = json.loads(output)
    assert code == 0 and told["findings"] == [] and told["verified"] > 5
    assert told["number"]["value"] == pytest.approx(pass_at("pass_n4", 4), abs=1e-4)
    assert told["again"]["value"] == pytest.approx(pass_at("pass_n4", 4)) and told["again"]["from"] == "the scores"
    assert {job["rule"] for job in told["jobs"]} == {"table", "measure", "grade", "sample", "train_sft", "problems"}
    assert all(len(entry["sha256"]) == 64 for job in told["jobs"] for entry in job["outputs"])
    code, output = ask(ROOT, "--json")
    assert code == 0 and json.loads(output)["findings"] == []


def test_settings_that_runs_share_are_told_once():
    runs = [{"seed": 1, "epochs": 2}, {"seed": 2, "epochs": 2}]
    job = {"params": {"code": "c", "settings": runs, "target": "answer"}}
    assert settings_of(job) == {"target": "answer", "seed": [1, 2], "epochs": 2}
    assert settings_of({"params": {"settings": {"n": 3}}}) == {"settings": {"n": 3}}


def test_jobs_are_indented_by_how_far_away_they_are(ask):
    _, output = ask("tables/table2.csv", "--arm", "pass_n4", "--k", "4")
    indents = {
        line.split("- ")[1].split()[0]: line.index("-") for line in output.splitlines() if line.lstrip()[:2] == "- "
    }
    assert indents["table"] == 0 and indents["measure"] == 2 and indents["grade"] == 4 and indents["sample"] == 6


def test_findings_have_their_kind_in_json(results, ask):
    (results / "claims.csv").unlink()
    code, output = ask(ROOT, "--json")
    (finding,) = json.loads(output)["findings"]
    assert code == 1 and finding["kind"] == "missing" and "claims.csv" in finding["sentence"]


def test_one_problem_is_shown_with_its_completions_how_each_was_graded_and_what_comes_of_it(ask):
    code, output = ask("tables/table2.csv", "--arm", "pass_n4", "--problem", "test-3")
    assert code == 0, output
    assert output.startswith("problem test-3, right answer 7, prompt '3 + 4 = '\n")
    for seed in SEEDS:
        count = int(right({"name": "pass_n4", "seed": seed})[3])
        told = ", ".join(f"Pass@{k} {100 * (1 - math.comb(N - count, k) / math.comb(N, k)):.4g}" for k in KS)
        assert f"- seed {seed}: {N} completions, {count} right; {told} (%)" in output
        for n, answer, outcome in ((count, 7, "right"), (N - count, 8, "wrong")):
            assert (f"{n} x 'so {answer}': answer {answer}, {outcome}\n" in output) == (n > 0)
    _, output = ask("tables/table2.csv", "--arm", "pass_n4", "--problem", "test-3", "--json")
    told = pd.DataFrame(json.loads(output)["completions"])
    assert told.groupby("seed").size().tolist() == [N, N] and {"completion", "answer", "outcome"} <= {*told}


def test_a_grade_names_what_the_papers_grader_says_where_it_differs_and_what_was_cut():
    row = {"answer": None, "outcome": "invalid", "correct": False, "correct_paper_grader": False}
    assert problem._told_grade(row | {"finish_reason": "stop"}) == "no answer, invalid"
    row |= {"answer": "1/2", "outcome": "right", "correct": True, "finish_reason": "length"}
    told = "answer 1/2, right, which the paper's grader calls wrong, cut at the longest length"
    assert problem._told_grade(row) == told
    protein = {"hydrophobic_fraction": np.nan, "reward": -5.0, "finish_reason": "stop"}
    assert problem._told_reward(protein) == "no valid sequence, reward -5.000"


def test_of_many_different_completions_the_most_frequent_are_shown():
    many = [
        {"completion": str(i), "hydrophobic_fraction": 0.5, "reward": i, "finish_reason": "stop"} for i in range(30)
    ]
    lines = problem._told_completions(pd.DataFrame([*many, many[29]]))
    assert lines[0] == "2 x '29': hydrophobic fraction 0.500, reward 29.000" and len(lines) == problem.SHOWN + 1
    assert lines[-1] == "... and 10 other ones; --json has all"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            "tables/table2.csv --arm pass_n4 --k 3",
            "no number of arm 'pass_n4' at k = 3; arms are ce, pass_n4, k are 1, 4",
        ),
        ("tables/table2.csv --arm pass --k 4", "no number of arm 'pass' at k = 4"),
        (
            "tables/table2.csv --arm pass_n4 --k 4 --experiment f",
            "table2.csv: no experiment 'f'; it shows e",
        ),
        (
            "tables/table2.csv --arm pass_n4 --problem test-9",
            "no problem 'test-9'; problems are test-0, test-1, test-2",
        ),
        ("figures/fig1.pdf --k 4", "figures/fig1.pdf: which of its numbers? Wanted --arm with --k"),
        ("metrics/e.csv --arm ce --k 4", "are for the CSV of a table, or a figure"),
        ("tables/table9.csv --arm ce --k 4", "no such file or folder"),
        ("claims.csv --claim C02", "no claim 'C02'"),
    ],
)
def test_a_question_without_an_answer_ends_in_one_sentence_and_code_2(ask, options, sentence):
    code, output = ask(*options.split())
    assert code == 2 and output.startswith("audit: ") and output.count("\n") == 1 and sentence in output


def test_an_arm_that_two_experiments_of_a_table_have_is_ambiguous(results, ask):
    table = results / "tables/table2.csv"
    frame = pd.read_csv(table)
    item, other = {"item": "table2"}, frame.assign(experiment="f")
    results.make("table", {"tables/table2.csv": pd.concat([frame, other]).to_csv(index=False)}, wildcards=item)
    code, output = ask("tables/table2.csv", "--arm", "ce", "--k", "4")
    assert code == 2 and "table2.csv: ce is an arm of e and of f; wanted one of them as --experiment" in output


def test_a_half_written_manifest_is_an_answer_of_code_2_for_what_it_was_of(results, ask):
    file = results / "provenance/table/table2.json"
    file.write_text(file.read_text()[:100])
    code, output = ask("tables/table2.csv", "--arm", "ce", "--k", "4")
    assert code == 2 and "cannot be read as a manifest" in output


# --- bundles ---


@pytest.fixture
def bundle(results):
    target = results.folder / "results" / "mini-bundle.zip"
    assert write_bundle(Path(ROOT), target) == []
    return str(target.relative_to(results.folder))


def test_a_bundle_is_audited_like_the_folder_that_it_was_made_from(results, ask, bundle):
    code, output = ask(bundle)
    assert code == 0 and "artifacts verified, 0 complaints" in output and "are not kept in a bundle" in output
    for question in (["--arm", "pass_n4", "--k", "4"], ["--arm", "ce", "--k", "1"]):
        own, of_bundle = ask("tables/table2.csv", *question), ask(f"{bundle}/tables/table2.csv", *question)
        assert own[1].splitlines()[0] == of_bundle[1].splitlines()[0] and of_bundle[0] == 0
        assert "equal; difference" in of_bundle[1] and "the scores are not kept here" in of_bundle[1]
    code, output = ask(f"{bundle}/tables/table2.csv", "--arm", "ce", "--problem", "test-0")
    assert code == 2 and "samples are not kept here" in output


def test_a_bundle_names_no_machine_and_is_the_same_when_made_again(results, bundle):
    first = Path(bundle).read_bytes()
    write_bundle(Path(ROOT), Path(bundle))
    assert Path(bundle).read_bytes() == first
    with zipfile.ZipFile(bundle) as archive:
        assert not any(b"laptop" in archive.read(name) for name in archive.namelist())


def test_a_bundle_with_samples_answers_for_single_problems(ask, bundle):
    write_bundle(Path(ROOT), Path(bundle), samples=True)
    code, output = ask(f"{bundle}/tables/table2.csv", "--arm", "pass_n4", "--problem", "test-3")
    assert code == 0 and output.startswith("problem test-3")
    code, output = ask(f"{bundle}/tables/table2.csv", "--arm", "pass_n4", "--k", "4")
    assert code == 0 and "computed again from the scores" in output


def test_what_was_changed_in_a_bundle_is_found(results, ask, bundle):
    root = unpack(Path(bundle), results.folder / "elsewhere")
    (root / "tables/table2.csv").write_text("changed")
    (root / "metrics/e.summary.csv").unlink()
    (root / "tables/mine.csv").write_text("mine")
    (root / "logs").mkdir()
    (root / "logs/figure.log").write_text("drawn again")  # is none of its business
    code, output = ask(str(root))
    assert code == 1 and "3 complaints" in output


def test_what_jobs_read_from_outside_travels_along_unless_it_was_changed_since(results, ask):
    Path("config").mkdir()
    for name in ("reported.csv", "changed.csv"):
        Path("config", name).write_text("x")
    read = ["config/reported.csv", "config/changed.csv"]
    results.make("weight_table", {"tables/table1.csv": "t"}, read, wildcards={"item": "table1"})
    Path("config/changed.csv").write_text("y")
    target = Path("results/mini-bundle.zip")
    assert write_bundle(Path(ROOT), target) == ["config/changed.csv is not in it: it was changed since a job read it"]
    assert ask(str(target))[0] == 0
    root = unpack(target, results.folder / "elsewhere")
    (root / "settings/config/reported.csv").write_text("z")
    code, output = ask(str(root), "--json")
    (finding,) = json.loads(output)["findings"]
    assert code == 1 and finding["kind"] == "altered" and finding["sentence"].startswith("config/reported.csv: its SHA")


def test_a_folder_with_a_fault_is_not_bundled(results):
    (results / "tables/table2.csv").write_text("changed")
    with pytest.raises(ValueError, match="table2.csv: its SHA-256 is"):
        write_bundle(Path(ROOT), Path("results/mini-bundle.zip"))
    assert not Path("results/mini-bundle.zip").exists()


def test_a_bundle_is_unpacked_only_where_nothing_lies(results, bundle):
    with pytest.raises(OSError, match="results/mini is there already"):
        unpack(Path(bundle), Path())


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive"])
def test_a_cut_bundle_is_one_sentence(ask, results, content, bundle):
    Path(bundle).write_bytes(content)
    code, output = ask(bundle)
    assert code == 2 and output.startswith("audit: ") and output.count("\n") == 1
