"""`snakemake check`: it passes on a finished run, and says what is wrong with one that was tampered with."""

import json
import os

import pandas as pd

ROOT = "results/seconds"


def test_the_checks_pass_on_a_finished_run(rerun):
    output = rerun.run("check", preset="seconds", options=["--quiet", "rules"])
    assert " checks, 0 failed" in output


def tamper(repository, path, change):
    """Change an artifact by hand, with its time kept, so that Snakemake sees nothing."""
    file = repository / path
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    frame = pd.read_csv(file) if path.endswith(".csv") else pd.read_parquet(file)
    frame = change(frame)
    frame.to_csv(file, index=False) if path.endswith(".csv") else frame.to_parquet(file, index=False)
    os.utime(file, ns=times)


def test_each_tampered_artifact_gets_its_sentence(rerun):
    scores = f"{ROOT}/scores/math_sft_pass/pass_n4/seed1.parquet"
    problems = f"{ROOT}/metrics/protein_conditional.problems.parquet"
    metrics, summary = f"{ROOT}/metrics/math_rl_pass.csv", f"{ROOT}/metrics/math_sft_majority.summary.csv"
    tamper(rerun, scores, lambda f: f.iloc[1:])
    tamper(rerun, problems, lambda f: f.assign(value=f["value"].where(f["k"] == 1, f["value"] - 100)))
    tamper(rerun, metrics, lambda f: f[f["seed"] == 1])
    tamper(rerun, summary, lambda f: f.assign(value=f["value"] + 2))
    tamper(rerun, f"{ROOT}/training/math_sft_pass/ce/seed1.parquet", lambda f: f.drop(columns="weight"))
    manifest = rerun / ROOT / "provenance/table/table3.json"
    job = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(job | {"packages": job["packages"] | {"torch": "1.0"}}))
    code, output = rerun.try_to_run("check", preset="seconds", options=["--quiet", "rules"])
    assert code != 0
    for sentence in (
        f"{scores}: a pool has 7 samples (",
        f"{problems}: the value falls at recipe protein_conditional, arm ",
        f"{metrics}: no value of arm, seed, k ('grpo', 2, 1)",
        f"{summary}: a share of ",
        f"{summary}: the value lies outside its interval at arm ",
        f"{ROOT}/training/math_sft_pass/ce/seed1.parquet: columns of a 'training' artifact are ",
        f"{ROOT}: torch: 3 artifacts were made with 1.0, such as {ROOT}/tables/table3.csv; installed is ",
    ):
        (line,) = [line for line in output.splitlines() if line.startswith(sentence)]
    assert "check_results.py" not in output.split(" failed\n")[0]  # no traceback among the sentences
