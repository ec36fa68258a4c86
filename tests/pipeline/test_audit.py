"""From a number in a table back to what made it."""

import os
import re
import subprocess
import sys

ROOT = "results/seconds"


def call(repository, module, *arguments):
    """Exit code and output of `python -m compute_aligned.<module>` in a copy of the repository."""
    done = subprocess.run(
        [sys.executable, "-m", f"compute_aligned.{module}", *arguments],
        cwd=repository.folder,
        env=os.environ | {"PYTHONPATH": str(repository / "workflow")},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_every_artifact_of_a_finished_run_is_what_its_manifest_says(finished):
    code, output = call(finished, "audit", ROOT)
    assert code == 0, output
    n_outputs = sum(len(manifest["outputs"]) for manifest in finished.manifests())
    assert f"{n_outputs} artifacts verified, 0 complaints" in output


def test_changed_missing_and_foreign_files_are_each_reported(rerun):
    (rerun / ROOT / "tables/table2.md").write_text("changed")
    (rerun / ROOT / "figures/fig1.pdf").unlink()
    (rerun / ROOT / "samples/mine.parquet").write_text("mine")
    code, output = call(rerun, "audit", ROOT)
    assert code == 1
    assert f"{ROOT}/tables/table2.md: its SHA-256 is" in output
    assert f"{ROOT}/figures/fig1.pdf: its manifest exists, the artifact does not" in output
    assert f"{ROOT}/samples/mine.parquet: no manifest says where it came from" in output
    assert "3 complaints" in output


def test_a_number_is_traced_to_its_own_runs_and_no_others(finished):
    code, output = call(finished, "audit", f"{ROOT}/tables/table2.csv", "--model", "pass_n16", "--k", "4")
    assert code == 0, output
    assert output.startswith("Pass@4 of pass_n16: ")
    for stage in ("samples", "scores", "models", "training"):
        assert f"{ROOT}/{stage}/math_sft_pass/pass_n16/seed1" in output
        assert f"{ROOT}/{stage}/math_sft_pass/pass_n64/" not in output.replace("'pass_n64'", "")
    for source in ("models/math_sft_pass/warmup/seed2", "models/base/math", "data/math/train.parquet"):
        assert f"{ROOT}/{source}" in output
    assert "config/reported.csv" in output


def test_a_number_that_the_table_lacks_is_named_with_what_it_has(finished):
    code, output = call(finished, "audit", f"{ROOT}/tables/table2.csv", "--model", "pass_n17", "--k", "4")
    assert code == 1
    assert "models are ce, pass_n4, pass_n16, pass_n64, k are 1, 4" in output
    assert "Traceback" not in output


def test_a_table_without_measured_numbers_says_so(finished):
    code, output = call(finished, "audit", f"{ROOT}/tables/table1.csv", "--model", "pass_n16", "--k", "4")
    assert code == 1
    assert "table1.csv: no number of it was measured on a model; it is computed in closed form" in output
    assert "Traceback" not in output


def test_the_reference_copy_names_no_machine(rerun):
    code, output = call(rerun, "reference", ROOT)
    assert code == 0, output
    copied = rerun / "results/reference/seconds"
    names = ("table1", "table2", "table3", "table4", "table6", "table7", "table8")
    tables = {f"{table}.{ending}" for table in names for ending in ("csv", "md", "tex")}
    assert {file.name for file in (copied / "tables").iterdir()} == tables
    manifests = (copied / "manifests.json").read_text()
    assert rerun.manifests()[0]["host"] not in manifests
    assert str(rerun.folder) not in manifests


def test_the_closing_message_says_what_came_out_and_where_it_is(finished):
    code, output = call(finished, "summary", "config/seconds.yaml")
    assert code == 0, output
    assert "Pass@64      Pass@4 minus CE: " in output
    assert f"{ROOT}/tables/table2.md" in output
    assert f"{ROOT}/figures/fig1.pdf" in output
    # Pools of 8: k = 4 is measured, the paper's 64 is not; closed forms need no run.
    verdicts = dict(re.findall(r"^  (C\d\d) ([a-z ]+?) +[A-Z]", output, flags=re.MULTILINE))
    assert len(verdicts) == 30
    assert verdicts["C03"] == "not testable here" and verdicts["C30"] == "reproduced"
    assert output.rstrip().endswith(f"Report: {ROOT}/report.html")
