"""Each way to tamper with results: what audit finds, and what it cannot find, which docs/provenance.md lists."""

import datetime
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPO
from made_by_hand import ROOT, Results, small_results

from compute_aligned.provenance.audit import KINDS, open_folder, verify_folder
from compute_aligned.provenance.hashing import describe
from compute_aligned.provenance.job import installed_versions
from compute_aligned.provenance.manifests import manifest_digest, root_hashes

METRICS = "arm,seed,k,n_problems\nce,1,1,4\nce,1,4,4\npass_n4,1,1,4\npass_n4,1,4,4\n"
RUNS = [{"name": name, "recipe": "r", "objective": name, "seed": 1} for name in ("ce", "pass_n4")]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Two runs that an experiment compares, from samples to a table; beside them one of everything else."""
    monkeypatch.chdir(tmp_path)
    results = small_results(tmp_path)
    for name in ("ce", "pass_n4"):
        wildcards = {"recipe": "q", "objective": name}
        results.make("sample", {f"samples/q/{name}/seed1.parquet": f"samples of {name}"}, wildcards=wildcards, n=4)
        samples = [f"{ROOT}/samples/q/{name}/seed1.parquet"]
        results.make("grade", {f"scores/q/{name}/seed1.parquet": f"scores of {name}"}, samples, wildcards=wildcards)
    scores = [f"{ROOT}/scores/q/{name}/seed1.parquet" for name in ("ce", "pass_n4")]
    asked = {"runs": RUNS, "experiment": {"ks": [1, 4]}}
    results.make("measure", {"metrics/q.csv": METRICS}, scores, wildcards={"experiment": "q"}, **asked)
    results.make("table", {"tables/table9.csv": "a table"}, [f"{ROOT}/metrics/q.csv"], wildcards={"item": "table9"})
    return results


def audited(**how):
    return verify_folder(open_folder_here(), **how)


def open_folder_here():
    return open_folder(Path(ROOT))


def kinds(found):
    return {finding.kind for finding in found.complaints}


# --- ways to tamper: each takes the results ---


def flip_a_byte(path):
    def tamper(results):
        content = bytearray((results / path).read_bytes())
        content[len(content) // 2] ^= 1
        (results / path).write_bytes(content)

    return tamper


def exchange(one, other):
    def tamper(results):
        first, second = (results / one).read_bytes(), (results / other).read_bytes()
        (results / one).write_bytes(second)
        (results / other).write_bytes(first)

    return tamper


def edit_a_metric(results):
    (results / "metrics/q.csv").write_text(METRICS.replace("ce,1,1,4", "ce,1,1,5"))


def cut(path):
    return lambda results: (results / path).write_bytes((results / path).read_bytes()[:-9])


def delete(path):
    return lambda results: (results / path).unlink()


def forge(results, rule="grade", path="scores/q/ce/seed1.parquet", name="q_ce"):
    """Artifact and manifest together."""
    (results / path).write_text("better scores")
    entry = describe(results / path) | {"path": f"{ROOT}/{path}"}
    results.change_manifest(rule, lambda manifest: manifest.update(outputs=[entry]), name)


def change_a_setting(results):
    results.change_manifest("sample", lambda manifest: manifest["params"].update(n=8), "q_ce")


def grade_otherwise(results, code="another", **git):
    def change(manifest):
        manifest["git"].update(git)
        manifest["params"]["code"] = code

    results.change_manifest("grade", change, "q_ce")


def mix_code(results):
    grade_otherwise(results, commit="d" * 40)


def mix_changes(results):
    grade_otherwise(results, dirty=True, difference_sha256="e")


def mix_packages(results):
    results.change_manifest("grade", lambda manifest: manifest["packages"].update(numpy="1.0"), "q_ce")


def upgrade(results):
    for file in (results / "provenance").rglob("*.json"):
        manifest = json.loads(file.read_text())
        manifest["packages"]["torch"] = "1.0"
        file.write_text(json.dumps(manifest))


def turn_the_clock_back(results):
    results.change_manifest("grade", lambda manifest: manifest.update(ended="2020-01-01T00:00:00"), "q_ce")


def turn_the_clock_forward(results):
    results.change_manifest("grade", lambda manifest: manifest.update(ended="2999-01-01T00:00:00"), "q_ce")


def leave_out_a_run(results):
    """Measured on fewer runs than it says; artifact and manifest agree."""
    rows = [row for row in METRICS.splitlines() if not row.startswith("pass_n4,1,4")]
    wildcards = {"experiment": "q"}
    scores = [f"{ROOT}/scores/q/{name}/seed1.parquet" for name in ("ce", "pass_n4")]
    asked = {"runs": RUNS, "experiment": {"ks": [1, 4]}}
    results.make("measure", {"metrics/q.csv": "\n".join(rows)}, scores, wildcards=wildcards, **asked)
    results.make("table", {"tables/table9.csv": "a table"}, [f"{ROOT}/metrics/q.csv"], wildcards={"item": "table9"})


def leave_out_a_problem(results):
    scores = [f"{ROOT}/scores/q/{name}/seed1.parquet" for name in ("ce", "pass_n4")]
    asked = {"runs": RUNS, "experiment": {"ks": [1, 4]}}
    fewer = METRICS.replace("pass_n4,1,4,4", "pass_n4,1,4,3")
    results.make("measure", {"metrics/q.csv": fewer}, scores, wildcards={"experiment": "q"}, **asked)
    results.make("table", {"tables/table9.csv": "a table"}, [f"{ROOT}/metrics/q.csv"], wildcards={"item": "table9"})


ARTIFACTS = ["models/r/ce/seed1/model.safetensors", "samples/r/ce/seed1.parquet", "scores/r/ce/seed1.parquet"]
ARTIFACTS += ["metrics/e.csv", "metrics/e.summary.csv", "metrics/e.problems.parquet", "tables/table2.csv"]
ARTIFACTS += ["tables/table2.md", "tables/table2.tex", "figures/fig1.pdf", "figures/fig1.png", "claims.csv"]
ARTIFACTS += ["report.html"]
MANIFESTS = "provenance/grade/q_ce.json", "provenance/grade/q_pass_n4.json"
FOUND = {
    **{f"one byte of {path}": (flip_a_byte(path), "altered") for path in ARTIFACTS},
    "two runs' scores exchanged": (exchange("scores/q/ce/seed1.parquet", "scores/q/pass_n4/seed1.parquet"), "altered"),
    "a metric edited": (edit_a_metric, "altered"),
    "an artifact deleted": (delete("scores/q/ce/seed1.parquet"), "missing"),
    "a manifest deleted": (delete(MANIFESTS[0]), "unknown"),
    "a manifest cut": (cut(MANIFESTS[0]), "manifest altered"),
    "two manifests exchanged": (exchange(*MANIFESTS), "manifest altered"),
    "a setting changed in a manifest": (change_a_setting, "manifest altered"),
    "artifact and manifest forged together": (forge, "stale"),
    "runs of two versions of the code": (mix_code, "mixed"),
    "runs with and without changes to the code": (mix_changes, "mixed"),
    "runs of two versions of a package": (mix_packages, "mixed"),
    "a package upgraded since": (upgrade, "stale"),
    "the clock turned back": (turn_the_clock_back, "manifest altered"),
    "the clock turned forward": (turn_the_clock_forward, "manifest altered"),
    "a run left out": (leave_out_a_run, "incomplete"),
    "a problem left out": (leave_out_a_problem, "incomplete"),
}


def test_runs_of_two_commits_with_the_same_code_are_no_mixture(results):
    grade_otherwise(results, code="0123456789abcdef", commit="d" * 40)  # as of a seed that was added later
    assert kinds(audited()) == set()


@pytest.mark.parametrize("way", FOUND)
def test_it_is_found_for_what_it_is(results, way):
    assert kinds(audited()) == set()
    tamper, kind = FOUND[way]
    tamper(results)
    assert kind in kinds(audited()) <= set(KINDS)


@pytest.mark.parametrize("way", ["artifact and manifest forged together", "one byte of metrics/e.summary.csv"])
def test_the_command_says_so_and_ends_with_1(results, way):
    FOUND[way][0](results)
    command = [sys.executable, "-m", "compute_aligned", "audit", ROOT]
    done = subprocess.run(command, cwd=results.folder, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr + done.stdout


# --- what cannot be found ---


def forge_all_the_way(results):
    """Scores, and everything that was made from them, each with a manifest that fits the others."""
    forge(results)
    scores = json.loads((results / MANIFESTS[0]).read_text())
    (results / "metrics/q.csv").write_text(METRICS + "ce,1,1,4\n")
    link(results, "measure", "q", scores, "metrics/q.csv")
    (results / "tables/table9.csv").write_text("a better table")
    link(
        results, "table", "table9", json.loads((results / "provenance/measure/q.json").read_text()), "tables/table9.csv"
    )


def link(results, rule, name, source, made):
    def change(manifest):
        new = {entry["path"]: entry | {"manifest": manifest_digest(source)} for entry in source["outputs"]}
        manifest["inputs"] = [new.get(entry["path"], entry) for entry in manifest["inputs"]]
        manifest["outputs"] = [describe(results / made) | {"path": f"{ROOT}/{made}"}]

    results.change_manifest(rule, change, name)


def tell_of_another_machine(results):
    results.change_manifest("grade", lambda manifest: manifest.update(host="another"), "q_ce")


def tell_of_another_commit_everywhere(results):
    for file in (results / "provenance").rglob("*.json"):
        file.write_text(file.read_text().replace("c" * 40, "f" * 40))


def edit_what_a_log_says(results):
    (results / "logs/table/table2.log").write_text("all went well")


NOT_FOUND = {
    "a chain forged from the scores to the table": forge_all_the_way,
    "another machine in a manifest": tell_of_another_machine,
    "another commit in all manifests": tell_of_another_commit_everywhere,
    "a log edited": edit_what_a_log_says,
}


@pytest.mark.parametrize("way", NOT_FOUND)
def test_what_is_not_found_stands_in_the_documentation(results, way):
    NOT_FOUND[way](results)
    assert kinds(audited()) == set()
    assert f"- {way}" in (REPO / "docs/provenance.md").read_text()


def test_a_chain_forged_to_the_table_has_another_root_hash(results):
    table = f"{ROOT}/tables/table9.csv"
    before = root_hashes([table], open_folder_here().manifests)
    forge_all_the_way(results)
    assert root_hashes([table], open_folder_here().manifests) != before


def test_the_documentation_lists_each_kind_of_finding_and_every_way_tried():
    text = (REPO / "docs/provenance.md").read_text()
    assert [kind for kind in KINDS if f"**{kind}**" not in text] == []
    listed = text.split("cannot find")[1]
    assert len(re.findall(r"^- ", listed, flags=re.MULTILINE)) >= len(NOT_FOUND)


# --- fast ---


def set_back(results, path):
    """Give a file a time before its manifest's."""
    os.utime(results / path, (0, 0))


def test_fast_reads_only_what_was_written_since_or_has_another_size(results):
    for path in ("samples/q/ce/seed1.parquet", "scores/q/ce/seed1.parquet"):
        set_back(results, path)
    assert kinds(audited(fast=True)) == set()
    flip_a_byte("scores/q/ce/seed1.parquet")(results)  # has a new time
    assert kinds(audited(fast=True)) == {"altered"}
    set_back(results, "scores/q/ce/seed1.parquet")  # which is what fast cannot see
    assert kinds(audited(fast=True)) == set() and kinds(audited()) == {"altered"}
    (results / "scores/q/ce/seed1.parquet").write_text("longer than it was before")
    set_back(results, "scores/q/ce/seed1.parquet")
    assert kinds(audited(fast=True)) == {"altered"}


def test_fast_sees_a_file_more_in_a_folder(results):
    for file in ("config.json", "model.safetensors"):
        set_back(results, f"models/r/ce/seed1/{file}")
    (results / "models/r/ce/seed1/extra").write_text("x")
    assert kinds(audited(fast=True)) == {"altered"}


# --- what would be made now ---


def now(results, **changes):
    """What the jobs would be given now: what they were given, but for some rule's params."""
    return [
        {"rule": job["rule"], "wildcards": job["wildcards"]}
        | changes.get(job["rule"], {"params": job["params"], "inputs": [entry["path"] for entry in job["inputs"]]})
        for job in results.manifests()
    ]


def test_what_other_code_settings_or_inputs_made_is_stale_a_line_for_each_rule(results):
    assert kinds(audited(now=now(results))) == set()
    inputs = [f"{ROOT}/scores/q/{name}/seed1.parquet" for name in ("ce", "pass_n4")]
    given = {"runs": RUNS, "experiment": {"ks": [1, 4]}, "code": "another"}
    found = audited(now=[*now(results), {"rule": "measure", "wildcards": {"experiment": "q"}, "params": given,
                                         "inputs": inputs}])  # fmt: skip
    (finding,) = found.complaints
    assert finding.kind == "stale"
    assert finding.sentence == (
        f"{ROOT}/metrics/q.csv: made by measure with other code than now; Snakemake would make it again"
    )
    found = audited(now=now(results, sample={"params": {"code": "0123456789abcdef", "n": 5}, "inputs": []}))
    sentences = [finding.sentence for finding in found.complaints]
    assert any("made by sample with other n than now" in sentence for sentence in sentences)


def test_what_the_preset_makes_no_more_is_a_note(results):
    found = audited(now=now(results, weight_table={"params": None, "inputs": None}))
    assert kinds(found) == set()
    assert found.notes == [f"{ROOT}/tables/table1.csv: this preset makes no such file any more"]


def test_what_was_not_made_is_missing(results):
    (finding,) = audited(wanted=[f"{ROOT}/tables/table2.csv", f"{ROOT}/figures/fig9.pdf"]).complaints
    assert finding.kind == "missing" and finding.sentence.startswith(f"{ROOT}/figures/fig9.pdf: not made")


def test_an_upgrade_is_named_with_what_to_type(results):
    upgrade(results)
    found = audited()
    assert any(f"installed is {installed_versions()['torch']}" in finding.sentence for finding in found.complaints)
    (note,) = [note for note in found.notes if "--forcerun" in note]
    assert "train_sft" in note and "constraints.txt" in note


def test_a_finished_job_is_of_the_past(results):
    """The other direction of the clock: nothing of now is said to come."""
    today = datetime.datetime.now(datetime.UTC).isoformat()
    results.change_manifest("table", lambda manifest: manifest.update(ended=today), "table9")
    assert kinds(audited()) == set()


def test_results_made_by_hand_are_whole(tmp_path):
    assert isinstance(small_results(tmp_path), Results)
