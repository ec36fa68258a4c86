"""The checks behind `snakemake check`, on one small run: a sentence per failure and the exit code."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import REPO

from compute_aligned.analysis.measuring import run_metrics
from compute_aligned.provenance.artifacts import write_artifact
from compute_aligned.provenance.job import installed_versions

N_PROBLEMS, N_SAMPLES = 3, 4
KEYS = ["recipe", "arm", "seed", "metric", "k", "problem_id", "value"]


@pytest.fixture
def expected(tmp_path):
    """Write the artifacts of one run and of the metrics over it; what the checks are to find."""
    right = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
    names = np.repeat([f"p{i}" for i in range(N_PROBLEMS)], N_SAMPLES)
    places = np.tile(np.arange(N_SAMPLES), N_PROBLEMS)
    flat = right.ravel()
    paths = {name: str(tmp_path / f"{name}.parquet") for name in ("problems", "samples", "scores", "problem_metrics")}
    paths["metrics"] = str(tmp_path / "metrics.csv")
    text = dict.fromkeys(("prompt", "target", "answer", "subject"), "x")
    problems = pd.DataFrame({"problem_id": pd.unique(names), **text, "level": 1})
    write_artifact(problems, "problems", paths["problems"])
    pool = {"problem_id": names, "sample": places}
    drawn = {"completion": "1", "finish_reason": "stop", "n_tokens": 1, "mean_logprob": -0.5}
    write_artifact(pd.DataFrame({**pool, **drawn}), "samples", paths["samples"])
    graded = {"answer": "1", "correct": flat, "correct_paper_grader": flat, "reward": flat.astype(float)}
    scores = pd.DataFrame({**pool, **graded, "outcome": np.where(flat, "right", "wrong")})
    write_artifact(scores, "scores", paths["scores"])
    values = {1: right.mean(axis=1), N_SAMPLES: right.any(axis=1).astype(float)}
    rows = [("r", "ce", 1, "pass", k, f"p{i}", v) for k, of_k in values.items() for i, v in enumerate(of_k)]
    per_problem = pd.DataFrame(rows, columns=KEYS)
    write_artifact(per_problem, "problem_metrics", paths["problem_metrics"])
    write_artifact(run_metrics(SimpleNamespace(name="e"), per_problem, N_SAMPLES), "metrics", paths["metrics"])
    run = {"recipe": "r", "objective": "ce", "seed": 1, "scores_kind": "scores", "n_problems": N_PROBLEMS}
    run |= {"n_samples": N_SAMPLES, "measured": [{"arm": "ce", "metrics": paths["metrics"]}]}
    artifacts = [{"kind": kind, "path": paths[kind]} for kind in ("metrics", "problem_metrics")]
    return {"runs": [run | paths], "experiments": [], "artifacts": artifacts}


def check(expected, log):
    """Exit code and lines of the checks, in a process of their own, as they run in the pipeline."""
    code = (
        "import sys; from check_results import check_results; sys.exit(check_results(eval(sys.argv[1]), sys.argv[2]))"
    )
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(REPO / 'workflow/scripts')!r}); {code}"]
    done = subprocess.run([*command, repr(expected), str(log)], capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    assert log.read_text() == done.stdout
    return done.returncode, done.stdout.splitlines()


def test_a_sound_run_passes(expected, tmp_path):
    assert check(expected, tmp_path / "log") == (0, ["6 checks, 0 failed"])


def test_what_was_tampered_with_is_named_in_a_sentence_each(expected, tmp_path):
    (run,) = expected["runs"]
    scores = pd.read_parquet(run["scores"])
    scores.loc[scores["problem_id"] == "p2", "problem_id"] = "p9"
    scores.loc[0, "outcome"] = "wrong"
    scores.iloc[:-1].to_parquet(run["scores"])
    pd.read_csv(run["metrics"]).drop(columns="se").to_csv(run["metrics"], index=False)
    expected["artifacts"].append({"kind": "metrics", "path": str(tmp_path / "missing.csv")})
    code, lines = check(expected, tmp_path / "log")
    assert code != 0
    for sentence in (
        f"{run['metrics']}: columns of a 'metrics' artifact are ",
        f"{run['scores']}: a pool has 3 samples (p9), wanted 4",
        f"{run['scores']}: its samples are not those of {run['samples']}",
        f"{run['scores']}: reward, correct and outcome differ at problem_id p0, sample 0",
    ):
        assert any(line.startswith(sentence) for line in lines), (sentence, lines)
    assert any("missing.csv" in line for line in lines)
    assert lines[-1] == "7 checks, 6 failed"


def test_versions_of_packages_that_are_not_installed_are_named_a_line_each(expected, tmp_path):
    here = installed_versions()
    (tmp_path / "provenance").mkdir()
    for name, versions in {"a": {}, "b": {"torch": "1.0"}, "c": {"torch": "1.0", "numpy": "1.1"}}.items():
        output = {"path": f"{tmp_path}/{name}", "sha256": "0"}
        job = {
            "rule": "r",
            "wildcards": {},
            "params": {},
            "inputs": [],
            "outputs": [output],
            "packages": here | versions,
        }
        (tmp_path / "provenance" / f"{name}.json").write_text(json.dumps(job))
    code, lines = check(expected | {"folders": [str(tmp_path)]}, tmp_path / "log")
    assert code != 0 and lines == [
        f"{tmp_path}: numpy: 1 artifacts were made with 1.1, such as {tmp_path}/c; installed is {here['numpy']}",
        f"{tmp_path}: torch: 2 artifacts were made with 1.0, such as {tmp_path}/b; installed is {here['torch']}",
        "7 checks, 1 failed",
    ]
