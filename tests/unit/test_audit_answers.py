"""What audit says of a small results folder, of a reference made from it, and of files that are neither."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import REPO
from made_by_hand import ROOT, small_results

from compute_aligned.presentation.trace import command, verdicts
from compute_aligned.provenance import audit
from compute_aligned.provenance.audit import open_folder
from compute_aligned.provenance.job import installed_versions
from compute_aligned.provenance.published import write_reference


@pytest.fixture
def results(tmp_path):
    return small_results(tmp_path)


N_ARTIFACTS = 16


@pytest.fixture
def ask(results, monkeypatch, capsys):
    """Ask audit: exit code and what it says; never a traceback."""

    def asking(*arguments, cwd=results.folder):
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["audit", *map(str, arguments)])
        code = command.main()
        said = capsys.readouterr()
        assert (said.err != "") == (said.out == ""), said
        if said.err:
            assert said.err.startswith("audit: ") and said.err.count("\n") == 1, said.err
        return code, said.out + said.err

    return asking


def complaints(output):
    """All lines but the count, which must be right."""
    *lines, count = output.splitlines()
    found = [line for line in lines if not line.startswith("note: ")]
    assert count.endswith(f" artifacts verified, {len(found)} complaints"), output
    return found


# --- whole folders ---


def test_a_sound_folder_is_verified_whole(ask):
    assert ask(ROOT) == (0, f"{N_ARTIFACTS} artifacts verified, 0 complaints\n")


@pytest.mark.parametrize("form", ["absolute", "dots", "inside", "elsewhere"])
@pytest.mark.parametrize("path", [ROOT, f"{ROOT}/figures/fig1.png", f"{ROOT}/tables/table2.csv"])
def test_the_answer_is_the_same_from_wherever_and_however_the_path_is_named(results, ask, tmp_path, form, path):
    (results / "tables/table2.md").write_text("changed")
    options = ["--arm", "ce", "--k", "1"] if path.endswith("table2.csv") else []
    named, cwd = {
        "absolute": (results.folder / path, results.folder),
        "dots": (f"results/../config/../{path}", results.folder),
        "inside": (os.path.relpath(path, f"{ROOT}/tables"), results / "tables"),
        "elsewhere": (os.path.relpath(results.folder / path, REPO), REPO),
    }[form]
    assert ask(named, *options, cwd=cwd) == ask(path, *options)


def test_a_folder_that_was_moved_and_renamed_is_still_verified(results, ask, tmp_path):
    (tmp_path / "archive").mkdir()
    shutil.move(results / "", tmp_path / "archive" / "mini-2026")
    code, output = ask("archive/mini-2026")
    assert code == 0 and f"{N_ARTIFACTS} artifacts verified" in output
    (tmp_path / "archive/mini-2026/claims.csv").write_text("x")
    code, output = ask("archive/mini-2026")
    assert code == 1 and complaints(output)[0].startswith("archive/mini-2026/claims.csv: its SHA-256 is")


def test_a_manifest_of_another_preset_is_named_and_hides_nothing_of_this_one(results, ask):
    own = results / "provenance/table/all.json"
    stray = results / "provenance/a/all.json"
    stray.parent.mkdir()
    stray.write_text(own.read_text().replace(ROOT, "results/other"))
    code, output = ask(ROOT)
    assert code == 1 and "/tables/table2.csv: no manifest" not in output
    assert (
        f"{stray.relative_to(results.folder)}: holds the manifest of results/other/tables/table2.csv, in a folder of "
        in output
    )
    question = [f"{ROOT}/tables/table2.csv", "--arm", "ce", "--k", "1"]
    assert ask(*question)[0] == 0
    stray.rename(own)
    code, output = ask(*question)
    assert code == 2 and output == f"audit: {ROOT}/tables/table2.csv: no manifest says where it came from\n"


def test_of_many_cut_manifests_the_first_is_named(results, ask):
    for file in (results / "provenance").rglob("*.json"):
        file.write_text(file.read_text()[:100])
    code, output = ask(f"{ROOT}/claims.csv", "--claim", "C01")
    assert code == 2 and output.count("\n") == output.count("cannot be read as a manifest") == 1
    assert output.endswith("; 10 other manifests cannot be read either\n")


def test_a_read_only_folder_is_audited_and_stays_as_it_is(results, ask):
    files = sorted(results.folder.rglob("*"), reverse=True)
    before = [(file, file.stat().st_mtime_ns) for file in files]
    for file in files:
        file.chmod(0o555 if file.is_dir() else 0o444)
    assert ask(ROOT)[0] == ask(f"{ROOT}/tables/table2.csv", "--arm", "ce", "--k", "1")[0] == 0
    assert ask(f"{ROOT}/claims.csv", "--claim", "C01")[0] == 0
    assert [(file, file.stat().st_mtime_ns) for file in sorted(results.folder.rglob("*"), reverse=True)] == before
    for file in reversed(files):
        file.chmod(0o755)


@pytest.mark.parametrize("artifact", ["claims.csv", "report.html", "figures/fig1.png", "models/r/ce/seed1"])
def test_every_kind_of_artifact_is_looked_for(results, ask, artifact):
    moved = (results / artifact).rename(results.folder / "away")
    code, output = ask(ROOT)
    assert code == 1 and complaints(output) == [f"{ROOT}/{artifact}: its manifest exists, the artifact does not"]
    moved.rename(results / artifact)
    changed = results / artifact if (results / artifact).is_file() else results / artifact / "config.json"
    changed.write_text("changed")
    code, output = ask(ROOT)
    (line,) = complaints(output)
    assert code == 1 and line.startswith(f"{ROOT}/{artifact}: its SHA-256 is")


@pytest.mark.parametrize("file", ["notes.txt", "tables/mine.csv", "new/folder/x", ".hidden", "report2.html"])
def test_a_foreign_file_anywhere_but_among_by_products_is_named(results, ask, file):
    (results / file).parent.mkdir(parents=True, exist_ok=True)
    (results / file).write_text("mine")
    for by_product in ("logs/mine", "benchmarks/mine", "checkpoints/mine", "models/r/ce/seed1/.snakemake_timestamp"):
        (results / by_product).write_text("mine")
    code, output = ask(ROOT)
    assert code == 1 and complaints(output) == [f"{ROOT}/{file}: no manifest says where it came from"]


@pytest.mark.parametrize("content", ["", "[]", '{"rule": "gra', "null", '{"outputs": 3}'])
def test_a_broken_manifest_is_a_finding_and_the_rest_is_audited(results, ask, content):
    (results / "provenance/weight_table/all.json").write_text(content)
    (results / "tables/table2.md").write_text("changed")
    code, output = ask(ROOT)
    found = complaints(output)
    assert code == 1 and len(found) == 3
    assert any(line.startswith(f"{ROOT}/provenance/weight_table/all.json: cannot be read as a man") for line in found)
    assert f"{ROOT}/tables/table1.csv: no manifest says where it came from" in found
    assert any(line.startswith(f"{ROOT}/tables/table2.md: its SHA-256 is") for line in found)


def test_an_input_without_manifest_is_named_once_with_what_was_made_from_it(results, ask):
    (results / "provenance/measure/all.json").unlink()
    code, output = ask(ROOT)
    found = complaints(output)
    (line,) = [line for line in found if "e.summary.csv" in line]
    assert code == 1
    assert line.startswith(f"{ROOT}/metrics/e.summary.csv: no manifest says where it came from; it was read for ")
    assert line.endswith(", and for 3 other jobs")


@pytest.mark.parametrize("path", ["results", "docs", "empty", "config/reported.csv", "missing", "results/none"])
def test_what_is_no_results_folder_is_no_success(results, ask, path):
    for folder in ("docs", "empty"):
        (results.folder / folder).mkdir()
    (results.folder / "docs" / "a.md").write_text("text")
    code, output = ask(path)
    assert code == 2 and output.startswith(f"audit: {path}: no ")
    assert ("wanted one of results/mini" in output) == (path == "results")


# --- chains ---


def test_a_file_made_again_under_other_settings_makes_the_old_table_a_false_story(results, ask):
    table = [f"{ROOT}/tables/table2.csv", "--arm", "ce", "--k", "1"]
    assert ask(*table)[0] == 0
    results.make("sample", {"samples/r/ce/seed1.parquet": "other samples"}, [f"{ROOT}/models/r/ce/seed1"], settings=8)
    sentence = f"{ROOT}/scores/r/ce/seed1.parquet: made from an older version of {ROOT}/samples/r/ce/seed1.parquet "
    for question in ([ROOT], table, table[:1], [f"{ROOT}/claims.csv", "--claim", "C01"], [f"{ROOT}/report.html"]):
        code, output = ask(*question)
        (line,) = complaints(output)  # and no story
        assert code == 1 and line.startswith(sentence), question
    # What was not made from it has its story still.
    for question in ([f"{ROOT}/tables/table1.csv"], [f"{ROOT}/claims.csv", "--claim", "C02"]):
        assert ask(*question)[0] == 0


def test_an_artifact_replaced_together_with_its_manifest_is_found(results, ask):
    (results / "scores/r/ce/seed1.parquet").write_text("forged")
    forged = results.entry(f"{ROOT}/scores/r/ce/seed1.parquet")
    results.change_manifest("grade", lambda manifest: manifest.update(outputs=[forged]))
    code, output = ask(ROOT)
    (line,) = complaints(output)
    assert code == 1
    assert line.startswith(f"{ROOT}/metrics/e.csv and 2 more of its job: made from another version of {forged['path']}")


def test_a_changed_setting_in_a_manifest_is_found(results, ask):
    results.change_manifest("sample", lambda manifest: manifest["params"].update(max_new_tokens=8))
    code, output = ask(ROOT)
    (line,) = complaints(output)
    assert code == 1 and line.startswith(f"{ROOT}/samples/r/ce/seed1.parquet: its manifest was changed after {ROOT}/sc")


def test_what_was_made_again_with_the_same_content_is_a_note(results, ask):
    results.make("sample", {"samples/r/ce/seed1.parquet": "samples"}, [f"{ROOT}/models/r/ce/seed1"], max_new_tokens=16)
    assert ask(ROOT) == (0, f"{N_ARTIFACTS} artifacts verified, 0 complaints\n")  # the same job, later
    results.make("sample", {"samples/r/ce/seed1.parquet": "samples"}, [f"{ROOT}/models/r/ce/seed1"], max_new_tokens=32)
    code, output = ask(ROOT)
    note, count = output.splitlines()
    assert code == 0 and count.endswith("0 complaints")
    assert note.startswith(f"note: {ROOT}/samples/r/ce/seed1.parquet was made again, in another way with the same cont")


def test_an_input_from_outside_that_is_another_now_is_named_and_one_that_is_gone_noted(results, ask):
    outside = results.folder / "config" / "reported.csv"
    outside.write_text("k,value\n1,3\n")
    code, output = ask(ROOT)
    (line,) = complaints(output)
    assert code == 1
    assert line.startswith("config/reported.csv: its SHA-256 is ")
    assert line.endswith(f"... when it was read for {ROOT}/metrics/e.csv and 2 more of its job")
    outside.unlink()
    code, output = ask(ROOT)
    assert code == 0 and output.startswith("note: config/reported.csv is not here, and so not compared with ")


def test_other_versions_of_packages_are_complaints_a_line_each_and_the_story_is_told(results, ask):
    for rule, version in (("sample", "1.0"), ("grade", "1.0"), ("figure", "1.1")):
        results.change_manifest(rule, lambda manifest, version=version: manifest["packages"].update(torch=version))
    code, output = ask(ROOT)
    here = installed_versions()["torch"]
    assert code == 1
    of_both = "made by more than one version: torch 1.0 and "
    mixed = [line for line in complaints(output) if of_both in line]
    assert sorted(f" other jobs made: {of_both}" in line for line in mixed) == [False, True]  # the figure; all others
    assert [line for line in complaints(output) if of_both not in line] == [
        f"torch: 2 artifacts were made with 1.0, such as {ROOT}/scores/r/ce/seed1.parquet; installed is {here}",
        f"torch: 2 artifacts were made with 1.1, such as {ROOT}/figures/fig1.png; installed is {here}",
    ]
    code, output = ask(f"{ROOT}/tables/table2.csv", "--arm", "ce", "--k", "1")
    assert code == 1 and output.startswith("Pass@1 of ce: 10.00 % [8.00, 12.00], in ")
    assert "torch: 2 artifacts were made with 1.0" in output and "with 1.1" not in output


def test_each_file_is_read_once(results, ask, monkeypatch):
    read = []
    hashing = audit.describe.__globals__["sha256_file"]
    monkeypatch.setitem(audit.describe.__globals__, "sha256_file", lambda path: read.append(path) or hashing(path))
    assert ask(ROOT)[0] == 0
    assert len(read) == len(set(read)) == N_ARTIFACTS + 2  # the model is two files, and the config


# --- files ---


@pytest.mark.parametrize(
    "file",
    ["tables/table2.md", "tables/table2.tex", "tables/table1.csv", "tables/gain_table.csv", "figures/fig1.png"]
    + ["figures/fig1.pdf", "claims.csv", "report.html", "metrics/e.csv", "metrics/e.problems.parquet"]
    + ["samples/r/ce/seed1.parquet", "models/r/ce/seed1", "models/r/ce/seed1/model.safetensors"],
)
def test_of_any_artifact_audit_says_what_made_it_and_from_what(results, ask, file):
    code, output = ask(f"{ROOT}/{file}")
    assert code == 0, output
    assert output.startswith(f"{ROOT}/{file}: made by a job of rule ")
    assert "code 0123456789abcdef, commit cccccccccccc, 2026-01-01T" in output
    assert " artifacts verified, 0 complaints" in output
    if file == "report.html":
        assert "- behind it: 1 claims, 1 table, 1 measure, 1 closed_forms, 1 grade, 1 sample, 1 train_sft\n" in output
        assert "read config/reported.csv (" in output


@pytest.mark.parametrize(
    ("question", "code", "sentence"),
    [
        ("tables/table2.md --arm ce --k 1", 2, "table2.md: --arm and --k are for the CSV of a table"),
        ("models/r/ce/seed1 --arm ce --k 1", 2, "seed1: --arm and --k are for the CSV of a table"),
        ("claims.csv --arm ce --k 1", 2, "claims.csv: --arm and --k are for the CSV of a table"),
        ("tables/table2.csv --arm ce", 2, "table2.csv: which of its numbers? Wanted --arm with --k or --problem"),
        ("tables/table2.csv --claim C01", 2, "table2.csv: --claim is for claims.csv"),
        ("claims.csv --claim C01 --k 1", 2, "--claim and --k ask different questions"),
        ("claims.csv --claim C09", 2, "claims.csv: no claim 'C09'; claims are C01, C02"),
        ("tables/gain_table.csv --arm ce --k 1", 2, "gain_table.csv: its rows are not one arm each"),
        (
            "tables/table1.csv --arm ce --k 1",
            2,
            "table1.csv: no number of it was measured on a model; it is computed",
        ),
        ("tables/table2.csv --arm ce --k 9", 2, "no number of arm 'ce' at k = 9; arms are ce, pass_n4, k are 1"),
        (" --arm ce --k 1", 2, "--arm is for a file, not for a whole folder"),
        ("logs/table/table2.log", 2, "table2.log: a by-product (logs), of which no manifest is kept"),
        ("checkpoints/0/r", 2, "a by-product (checkpoints)"),
        ("provenance/table/all.json", 2, f"the manifest of {ROOT}/tables/table2.csv, {ROOT}/tables/table2.md"),
        ("tables", 2, f"tables: a part of {ROOT}; wanted that folder, or one artifact of it"),
        ("notes.txt", 2, "notes.txt: no manifest says where it came from"),
    ],
)
def test_what_audit_cannot_answer_it_says_in_one_sentence(results, ask, question, code, sentence):
    (results / "notes.txt").write_text("mine")
    file, *options = question.split(" ")
    found, output = ask(f"{ROOT}/{file}", *filter(None, options))
    assert found == code and sentence in output


def test_a_changed_table_is_not_read(results, ask):
    (results / "tables/table2.csv").write_text("objective\n\xff")
    code, output = ask(f"{ROOT}/tables/table2.csv", "--arm", "ce", "--k", "1")
    assert code == 1 and "table2.csv: its SHA-256 is" in output


def test_a_verdict_is_traced_through_what_decides_it_alone(ask):
    code, output = ask(f"{ROOT}/claims.csv", "--claim", "C01")
    assert code == 0 and output.startswith(
        "C01: reproduced. As it was said.\nnot judged again: an older version judged "
    )
    assert "- behind it: 1 measure, 1 grade, 1 sample, 1 train_sft\n" in output and "long long" not in output
    code, output = ask(f"{ROOT}/claims.csv", "--claim", "C02")
    assert code == 0 and "- behind it: 1 closed_forms\n" in output


# --- references ---


@pytest.fixture
def reference(results):
    folder = results.folder / "results" / "reference" / "mini"
    write_reference(results.folder / ROOT, folder)
    (folder / "README.md").write_text("What it shows.")
    for file in ("data", "models", "samples", "scores"):  # a clone has the reference alone
        shutil.rmtree(results / file, ignore_errors=True)
    shutil.rmtree(results.folder / ROOT)
    return folder


def test_a_reference_is_verified_as_far_as_it_is_kept(reference, ask):
    code, output = ask("results/reference/mini")
    note, count = output.splitlines()
    assert code == 0 and count == "12 artifacts verified, 0 complaints"
    assert note.startswith("note: 4 artifacts are not kept in a reference (1 of models, 1 of report.html")
    code, output = ask("results/reference/mini/tables/table2.csv", "--arm", "ce", "--k", "1")
    assert code == 0 and output.startswith("Pass@1 of ce: 10.00 % ") and "'max_new_tokens': 16" in output
    code, output = ask("results/reference/mini/claims.csv", "--claim", "C01")
    assert code == 0 and "1 train_sft" in output


def test_what_is_wrong_with_a_reference_is_named(reference, ask):
    (reference / "tables/table2.md").write_text("changed")
    (reference / "figures/fig1.png").unlink()
    (reference / "tables/mine.csv").write_text("mine")
    jobs = json.loads((reference / "manifests.json").read_text())
    (grade,) = [job for job in jobs if job["rule"] == "grade"]
    grade["outputs"][0]["sha256"] = "0" * 64
    (reference / "manifests.json").write_text(json.dumps(jobs))
    code, output = ask("results/reference/mini")
    found = complaints(output)
    assert code == 1 and len(found) == 5
    for sentence in (
        "results/reference/mini/tables/table2.md: its SHA-256 is",
        "results/reference/mini/figures/fig1.png: its manifest exists, the artifact does not",
        "results/reference/mini/tables/mine.csv: no manifest says where it came from",
        f"{ROOT}/metrics/e.csv and 2 more of its job: made from another version of {ROOT}/scores/r/ce/seed1.parquet",
        "results/reference/mini/root_hashes.csv: not the root hashes that the manifests beside it give",
    ):
        assert any(line.startswith(sentence) for line in found), sentence


def test_a_reference_stores_the_root_hashes_of_the_run_and_is_held_to_them(results, tmp_path, ask, capsys):
    of_run = ask(f"{ROOT}/tables/table2.csv")[1]
    folder = tmp_path / "elsewhere" / "results" / "reference" / "mini"
    write_reference(results.folder / ROOT, folder)
    stored = pd.read_csv(folder / "root_hashes.csv").set_index("file")["root_hash"]
    assert set(stored.index) == {f.relative_to(folder).as_posix() for f in folder.rglob("*/*")} - METRICS | {
        "claims.csv"
    }
    for file in ("tables/table2.csv", "tables/table2.tex"):
        assert f"root hash {stored[file]}, of the file and all" in ask(f"{folder}/{file}")[1]
    assert f"root hash {stored['tables/table2.csv']}," in of_run
    jobs = json.loads((folder / "manifests.json").read_text())
    next(job for job in jobs if job["rule"] == "train_sft")["params"]["epochs"] = 9  # and every digest made to fit
    for job in jobs:
        job["inputs"] = [{key: entry[key] for key in entry if key != "manifest"} for entry in job["inputs"]]
    (folder / "manifests.json").write_text(json.dumps(jobs))
    code, output = ask(str(folder))
    assert code == 1 and len(complaints(output)) == 1
    assert "root_hashes.csv: not the root hashes that the manifests beside it give (claims.csv," in output


METRICS = {"metrics/e.csv", "metrics/e.summary.csv", "metrics/e.problems.parquet", "metrics/f.variance.csv"}


def test_a_reference_is_held_to_its_own_record_of_packages_and_config(results, reference, ask):
    jobs = json.loads((reference / "manifests.json").read_text())
    for job in jobs:
        job["packages"]["torch"] = "1.0"
    (reference / "manifests.json").write_text(json.dumps(jobs))
    (results.folder / "config" / "reported.csv").write_text("another")
    code, output = ask("results/reference/mini")
    assert code == 0 and "torch" not in output
    assert "note: config/reported.csv: its SHA-256 is " in output


@pytest.mark.parametrize(
    ("file", "content", "code", "sentence"),
    [
        ("README.md", None, 2, "README.md: written by hand; no job made it"),
        ("root_hashes.csv", None, 2, "root_hashes.csv: the root hash of each table and figure beside it"),
        ("manifests.json", None, 2, "manifests.json: the manifests of all that is in its folder"),
        ("tables/table2.csv", "[]", 2, "manifests.json: cannot be read as manifests (found no manifest"),
        ("tables/table2.csv", "", 2, "manifests.json: cannot be read as manifests (Expecting value"),
        ("tables/table2.csv", '{"rule": 1}', 2, "manifests.json: cannot be read as manifests (found dict"),
        ("tables/table2.csv", "[3]", 2, "manifests.json: cannot be read as manifests (found a int"),
    ],
)
def test_of_a_references_own_files_one_sentence(reference, ask, file, content, code, sentence):
    if content is not None:
        (reference / "manifests.json").write_text(content)
    found, output = ask(f"results/reference/mini/{file}")
    assert found == code and f"results/reference/mini/{sentence}" in output


@pytest.mark.parametrize("preset", ["tiny", "small", "small_table4", "small_gym", "small_gym_table5"])
def test_the_committed_references_are_what_their_manifests_say(preset):
    command = [sys.executable, "-m", "compute_aligned", "audit", str(REPO / "results" / "reference" / preset)]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith(" artifacts verified, 0 complaints")
    assert "not kept in a reference" in done.stdout


@pytest.mark.parametrize(
    ("path", "code", "told"),
    [
        (
            "tiny/tables/table2.csv --arm pass_n16 --k 16",
            0,
            "computed again from each problem's value; the scores are not",
        ),
        ("tiny/claims.csv --claim C03", 0, "computed again from the metrics kept here: effect +"),
        (
            "tiny/claims.csv --claim C20",
            0,
            "not judged again: it is about shares of samples, whose scores are not kept",
        ),
        ("tiny/claims.csv --claim C25", 0, "that takes training records and scores that are not kept here"),
        ("tiny/claims.csv --claim C28b", 0, "judged again from the metrics: contradicted, equal"),
        ("small/tables/table2.csv --arm pass_n16 --k 4", 0, "computed again from each problem's value"),
    ],
)
def test_the_committed_references_answer_for_single_numbers(capsys, monkeypatch, path, code, told):
    monkeypatch.setattr(sys, "argv", ["audit", *f"{REPO}/results/reference/{path}".split()])
    found = command.main()
    said = capsys.readouterr()
    assert found == code and told in said.out + said.err and "NOT EQUAL" not in said.out


@pytest.mark.parametrize(("claim", "columns"), [("C03", ["effect", "p"]), ("C28b", ["effect", "verdict"])])
def test_a_verdict_that_the_metrics_do_not_give_is_not_equal(monkeypatch, claim, columns):
    monkeypatch.chdir(REPO)
    folder = open_folder(Path("results/reference/tiny"))
    job = folder.manifests[f"{folder.recorded_root}/claims.csv"]
    for column in columns:
        row = pd.read_csv(folder.root / "claims.csv").set_index("claim").loc[claim]
        row[column] = "inconclusive" if column == "verdict" else 1.001 * row[column]
        again = verdicts.judged_again(folder, job, claim, row)
        assert not again["equal"] and "NOT EQUAL" in verdicts.told_judged(again, "points")


def test_a_reference_is_not_written_from_manifests_that_cannot_be_read(results, tmp_path):
    (results / "provenance/grade/all.json").write_text("[]")
    with pytest.raises(ValueError, match="provenance/grade/all.json: cannot be read as a manifest"):
        write_reference(results.folder / ROOT, tmp_path / "reference")
    assert not Path(tmp_path / "reference").exists()
