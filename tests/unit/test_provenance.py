"""Code hashes that count code alone, artifacts checked against their manifests, and jobs that leave either both
an output and its manifest or one clear sentence."""

import copy
import json
import shutil
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from conftest import REPO

from compute_aligned.provenance import hashing
from compute_aligned.provenance import job as job_module
from compute_aligned.provenance.hashing import code_hash, describe, hash_settings
from compute_aligned.provenance.job import LATENCY_WAIT, described_inputs, installed_versions, other_versions
from compute_aligned.provenance.manifests import (
    Manifests,
    UnverifiedArtifact,
    false_links,
    jobs_behind,
    load_manifests,
    manifest_digest,
    manifests_behind,
    note_maker,
    remade_inputs,
    root_hashes,
    verify,
)
from compute_aligned.provenance.unfinished import work_folder

SCRIPTS = REPO / "workflow" / "scripts"


# --- code ------------------------------------------------------------------------------------------------------------

SCRIPT = '''
"""What it does."""
from package.a import f

def main():
    """Its docstring."""
    return f(1)  # a comment
'''
MODULES = {
    "__init__": "",
    "a": "from .b import g\n\n\ndef f(x):\n    return g(x) + 1\n",
    "b": "from . import c\n\n\ndef g(x):\n    return c.h(x)\n",
    "c": "def h(x):\n    return x\n",
    "unrelated": "VALUE = 1\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of a few lines and a script; returns write(module, source) and hash()."""
    folder = tmp_path / "package"
    (folder / "sub").mkdir(parents=True)
    script = tmp_path / "scripts" / "script.py"
    script.parent.mkdir()
    monkeypatch.setattr(hashing, "PACKAGE", folder)

    def write(module, source):
        (script if module == "script" else folder / f"{module}.py").write_text(source)

    for module, source in (MODULES | {"script": SCRIPT}).items():
        write(module, source)
    return write, lambda: code_hash(script)


@pytest.mark.parametrize(
    "source",
    [
        SCRIPT + "# another comment\n",
        SCRIPT.replace("What it does", "Something else").replace("Its docstring", "Another one"),
        SCRIPT.replace('    """Its docstring."""\n', ""),
        SCRIPT.replace("f(1)", "f( 1 )").replace("\n\n", "\n\n\n\n"),
        SCRIPT.replace("return f(1)", "return (\n        f(1)\n    )"),
    ],
    ids=["comment", "docstrings", "docstring removed", "blanks", "line breaks"],
)
def test_comments_docstrings_and_formatting_do_not_count(package, source):
    write, current = package
    before = current()
    write("script", source)
    assert current() == before


@pytest.mark.parametrize(
    ("module", "old", "new", "counts"),
    [
        ("script", "f(1)", "f(2)", True),
        ("a", "+ 1", "+ 2", True),
        ("b", "c.h(x)", "c.h(-x)", True),
        ("c", "return x", "return 2 * x", True),  # imported by an import of an import
        ("__init__", "", "import os\n", False),  # it lists what the package offers
        ("unrelated", "1", "2", False),
        ("c", "return x", 'text = "# no comment"\n    return x', True),
    ],
)
def test_a_change_counts_where_the_module_is_imported(package, module, old, new, counts):
    write, current = package
    before = current()
    source = (MODULES | {"script": SCRIPT})[module]
    write(module, source.replace(old, new, 1) if old else new)
    assert (current() != before) == counts


@pytest.mark.parametrize(
    "line",
    [
        "import package.sub.d",
        "from package.sub import d",
        "from package.sub.d import VALUE",
        "from package import sub",  # sub/__init__ imports d
    ],
)
def test_every_way_to_import_is_followed(package, line):
    write, current = package
    write("sub/__init__", "from .d import VALUE\n")
    write("sub/d", "from ..c import h\n\nVALUE = 1\n")
    write("script", f"def main():\n    {line}\n")  # inside a function too
    before = current()
    write("sub/d", "from ..c import h\n\nVALUE = 2\n")
    changed = current()
    assert changed != before
    write("c", "def h(x):\n    return 3 * x\n")
    assert current() not in (before, changed)


def test_the_hash_of_a_script_does_not_depend_on_where_the_checkout_lies(tmp_path, monkeypatch):
    here = code_hash(SCRIPTS / "train_sft.py")
    copy = tmp_path / "workflow"
    shutil.copytree(hashing.PACKAGE.parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(hashing, "PACKAGE", copy / "compute_aligned")
    assert code_hash(copy / "scripts" / "train_sft.py") == here


def test_settings_hash_the_same_in_any_order_of_keys():
    assert hash_settings({"a": 1, "b": [2]}) == hash_settings({"b": [2], "a": 1})
    assert hash_settings({"a": 1}) != hash_settings({"a": 1.5})


# --- artifacts -------------------------------------------------------------------------------------------------------


def manifests_of(*paths):
    return {str(path): {"outputs": [describe(path)]} for path in paths}


def test_a_file_is_described_by_size_and_content(tmp_path):
    (tmp_path / "a").write_text("abc")
    entry = describe(tmp_path / "a")
    # SHA-256 of "abc", FIPS 180-2
    assert entry["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert entry["size"] == 3


def test_a_folder_is_described_by_its_files_whatever_snakemake_leaves_in_it(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "weights").write_text("1 2 3")
        (tmp_path / name / "config").write_text("{}")
    (tmp_path / "two" / ".snakemake_timestamp").write_text("now")
    one, two = describe(tmp_path / "one"), describe(tmp_path / "two")
    assert one["sha256"] == two["sha256"]
    assert [entry["path"] for entry in two["files"]] == ["config", "sub/weights"]
    (tmp_path / "two" / "config").rename(tmp_path / "two" / "settings")
    assert describe(tmp_path / "two")["sha256"] != one["sha256"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_artifact_that_is_what_its_manifest_says_is_verified(tmp_path, kind):
    path = tmp_path / "artifact"
    if kind == "folder":
        path.mkdir()
    changed = path / "weights" if kind == "folder" else path
    changed.write_text("1 2 3")
    manifests = manifests_of(path)
    assert verify(path, manifests) == describe(path)
    changed.write_text("1 2 4")
    with pytest.raises(UnverifiedArtifact) as error:
        verify(path, manifests)
    sentence = str(error.value)
    assert "\n" not in sentence and str(path) in sentence and "was changed after it was made" in sentence


def test_a_missing_artifact_is_reported_as_missing(tmp_path):
    with pytest.raises(ValueError, match="gone: no such file or folder"):
        verify(tmp_path / "gone", {})


def test_an_artifact_without_manifest_is_reported(tmp_path):
    (tmp_path / "a").write_text("abc")
    with pytest.raises(UnverifiedArtifact) as error:
        verify(tmp_path / "a", {})
    sentence = str(error.value)
    assert "\n" not in sentence and str(tmp_path / "a") in sentence and "no manifest" in sentence


# --- manifests -------------------------------------------------------------------------------------------------------


def manifest(rule, inputs=(), outputs=(), hour=1, **params):
    """The manifest of a job that took the half of an hour."""
    times = {"started": f"2026-01-01T{hour:02d}:00", "ended": f"2026-01-01T{hour:02d}:30"}
    sides = {"inputs": list(inputs), "outputs": list(outputs)}
    return {"rule": rule, "wildcards": {}, "params": params, **sides, **times}


def entry(path, content, source=None):
    """An input or output; as an input of a job of today, with the digest of the manifest of the job that made it."""
    digest = {} if source is None else {"manifest": manifest_digest(source)}
    return {"path": path, "sha256": f"{content:0>12}" * 5, **digest}


def chain_of_three():
    """Samples, scores made from them, and a table made from these: manifests by output."""
    sample = manifest("sample", [], [entry("samples", "1")], hour=1, max_new_tokens=16)
    grade = manifest("grade", [entry("samples", "1", sample)], [entry("scores", "2")], hour=2)
    table = manifest("table", [entry("scores", "2", grade)], [entry("table", "3")], hour=3)
    return {"samples": sample, "scores": grade, "table": table}


def links_of(manifests):
    """All that is said of the chain that ends in the table."""
    jobs = jobs_behind(["table"], manifests)
    assert [job["rule"] for job in jobs] == ["table", "grade", "sample"]
    return [sentence for job in jobs for sentence in false_links(job, manifests)]


def test_a_chain_in_which_each_read_what_is_on_record_is_true():
    assert links_of(chain_of_three()) == []


def test_what_was_made_from_an_older_version_is_named_with_its_input():
    manifests = chain_of_three()
    manifests["samples"] = manifest("sample", [], [entry("samples", "9")], hour=4, max_new_tokens=8)
    (sentence,) = links_of(manifests)
    assert sentence.startswith("scores: made from an older version of samples (SHA-256 000000000001...)")
    assert "the one on record now (000000000009...)" in sentence and "\n" not in sentence


def test_an_artifact_replaced_together_with_its_manifest_breaks_the_link_above_it():
    manifests = chain_of_three()
    manifests["samples"]["outputs"] = [entry("samples", "9")]  # nothing else, not even the time, tells
    (sentence,) = links_of(manifests)
    assert sentence.startswith("scores: made from another version of samples")


def test_a_manifest_that_tells_another_story_of_the_same_content_is_found():
    manifests = chain_of_three()
    manifests["samples"]["params"]["max_new_tokens"] = 8
    (sentence,) = links_of(manifests)
    assert sentence.startswith("samples: its manifest was changed after scores was made from it")


def test_what_one_job_made_is_one_sentence_however_many_of_it_are_others():
    sample = manifest("sample", [], [entry(f"samples{seed}", "1") for seed in range(3)], hour=1)
    read = [entry(f"samples{seed}", "1", sample) for seed in range(3)]
    grade = manifest("grade", read, [entry(f"scores{seed}", "2") for seed in range(3)], hour=2)
    again = manifest("sample", [], [entry(f"samples{seed}", str(seed)) for seed in range(3)], hour=3)
    (sentence,) = false_links(grade, {f"samples{seed}": again for seed in range(3)})  # samples1 are the same
    assert sentence.startswith("scores0 and 2 more of its job: made from an older version of samples0 and 1 more of ")


def test_what_is_made_again_with_the_same_content_leaves_the_chain_true_and_is_noted():
    manifests = chain_of_three()
    again = {"hour": 5, "max_new_tokens": 16}
    manifests["samples"] = manifest("sample", [], [entry("samples", "1")], **again)  # from the same, later
    assert links_of(manifests) == [] and remade_inputs(manifests["scores"], manifests) == []
    again["max_new_tokens"] = 32  # from other settings: Snakemake makes nothing anew from equal content
    manifests["samples"] = manifest("sample", [], [entry("samples", "1")], **again)
    assert links_of(manifests) == [] and remade_inputs(manifests["scores"], manifests) == ["samples"]


def test_manifests_from_before_digests_were_recorded_are_held_to_their_hashes_alone():
    manifests = chain_of_three()
    del manifests["scores"]["inputs"][0]["manifest"], manifests["table"]["inputs"][0]["manifest"]
    manifests["samples"]["params"]["max_new_tokens"] = 8
    assert links_of(manifests) == []
    manifests["samples"]["outputs"] = [entry("samples", "9")]
    assert len(links_of(manifests)) == 1


def test_the_digest_of_a_manifest_stands_for_all_that_led_to_its_outputs_and_for_no_time_or_machine():
    job = chain_of_three()["scores"]
    digest = manifest_digest(job)
    other = copy.deepcopy(job) | {"ended": "later", "host": "elsewhere", "facts": {"seconds": 3}, "packages": {}}
    other["inputs"][0] |= {"size": 7, "files": []}
    assert manifest_digest(other) == digest == manifest_digest(json.loads(json.dumps(job)))
    for change in (
        lambda m: m["params"].update(timeout=1),
        lambda m: m["wildcards"].update(seed="2"),
        lambda m: m.update(rule="score_proteins"),
        lambda m: m["inputs"][0].update(sha256="0"),
        lambda m: m["inputs"][0].update(manifest="0"),  # and with it all that led to the input
        lambda m: m["outputs"][0].update(sha256="0"),
        lambda m: m["outputs"][0].update(path="elsewhere"),
    ):
        changed = copy.deepcopy(job)
        change(changed)
        assert manifest_digest(changed) != digest


def test_a_root_hash_is_the_digest_as_long_as_each_read_what_is_on_record():
    manifests = chain_of_three()
    names = ["samples", "scores", "table"]
    assert root_hashes(names, manifests) == {name: manifest_digest(manifests[name]) for name in names}
    for job in manifests.values():  # elsewhere, later, and as a reference publishes it
        job |= {"started": "later", "ended": "later", "host": "elsewhere", "packages": {"torch": "9"}}
        job["outputs"] = [entry | {"kept": True} for entry in job["outputs"]]
    assert root_hashes(names, manifests) == root_hashes(names, chain_of_three())


@pytest.mark.parametrize("recorded", [True, False])  # False: from before jobs recorded the digests of their inputs
def test_a_root_hash_changes_with_any_manifest_and_any_file_behind_it(recorded):
    def root(change=lambda manifests: None):
        manifests = chain_of_three()
        for job in manifests.values():
            job["inputs"] = [
                {key: entry[key] for key in entry if recorded or key != "manifest"} for entry in job["inputs"]
            ]
        change(manifests)
        return root_hashes(["table"], manifests)["table"]

    changes = [
        lambda manifests: manifests["samples"]["params"].update(max_new_tokens=8),
        lambda manifests: manifests["samples"]["outputs"][0].update(sha256="9"),
        lambda manifests: manifests["samples"].update(inputs=[entry("config/reported.csv", "9")]),
        lambda manifests: manifests["scores"]["wildcards"].update(seed="2"),
        lambda manifests: manifests["scores"]["outputs"][0].update(sha256="9"),
        lambda manifests: manifests["table"]["params"].update(unit="%"),
    ]
    roots = [root(), *map(root, changes)]
    assert len(set(roots)) == len(roots)


def test_manifests_that_name_each_other_have_no_root():
    manifests = chain_of_three()
    manifests["samples"]["inputs"] = [entry("table", "3")]
    with pytest.raises(ValueError, match="table: its manifest and those behind it name each other"):
        root_hashes(["table"], manifests)


def test_of_several_manifests_that_name_an_artifact_the_last_to_end_counts(tmp_path):
    """Seeds that had a job each and then one for all, or the other way round, leave both."""
    for name, hour in (("a", 2), ("b", 1)):
        (tmp_path / "provenance" / name).mkdir(parents=True)
        job = manifest("sample", [], [entry("samples", str(hour))], hour=hour)
        (tmp_path / "provenance" / name / "all.json").write_text(json.dumps(job))
    manifests = load_manifests(tmp_path)
    assert manifests["samples"]["ended"] == "2026-01-01T02:30"
    assert manifests.files["samples"] == tmp_path / "provenance" / "a" / "all.json"


NO_MANIFESTS = {
    "cut": '{"rule": "grade", "inp',
    "empty": "",
    "list": "[]",
    "null": "null",
    "no_outputs": '{"rule": "grade", "wildcards": {}, "params": {}, "inputs": []}',
    "text_for_an_output": '{"rule": "grade", "wildcards": {}, "params": {}, "inputs": [], "outputs": ["scores"]}',
    "number_for_a_time": '{"rule": "a", "wildcards": {}, "params": {}, "inputs": [], "outputs": [], "ended": 3}',
    "no_text": b"\xff\xfe",
}


@pytest.mark.parametrize("content", NO_MANIFESTS.values(), ids=NO_MANIFESTS)
def test_a_file_that_is_no_manifest_is_named_and_the_others_are_read(tmp_path, content):
    folder = tmp_path / "provenance" / "grade"
    folder.mkdir(parents=True)
    (folder / "bad.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "good.json").write_text(json.dumps(manifest("grade", [], [entry("scores", "1")])))
    manifests = load_manifests(tmp_path)
    assert list(manifests) == ["scores"]
    (sentence,) = manifests.unreadable
    assert sentence.startswith(f"{folder / 'bad.json'}: cannot be read as a manifest (") and "\n" not in sentence


def test_each_version_of_a_package_that_is_not_the_one_installed_is_named_once(monkeypatch):
    installed = installed_versions()
    assert {"torch", "transformers", "numpy"} <= set(installed)
    monkeypatch.setattr(job_module, "installed_versions", lambda: {"torch": "2.0", "numpy": "2.1"})
    made_with = {"a": ("2.0", "2.1"), "b": ("1.9", "2.1"), "c": ("1.9", "2.1"), "d": ("1.8", "2.1")}
    jobs = [
        manifest("sample", [], [entry(name, "1")]) | {"packages": {"torch": torch, "numpy": numpy, "vllm": "0.9"}}
        for name, (torch, numpy) in made_with.items()
    ]
    assert other_versions(jobs) == [
        "torch: 1 artifacts were made with 1.8, such as d; installed is 2.0",
        "torch: 2 artifacts were made with 1.9, such as b; installed is 2.0",
    ]
    assert other_versions(jobs[:1]) == []


# --- jobs ------------------------------------------------------------------------------------------------------------

JOB = """
import sys
from pathlib import Path
from types import SimpleNamespace

from compute_aligned.provenance.job import job


class Named(list):
    def __init__(self, **items):
        super().__init__(items.values())
        self.items = items.items


snakemake = SimpleNamespace(
    rule="guess",
    input=["results/p/{input}", "config/outside.csv"],
    output=["results/p/out.txt"],
    wildcards=Named(recipe="r", seed="1"),
    params=Named(settings={{"seed": 7}}),
    log=["results/p/logs/guess/r/seed1.log"],
    threads=1,
)
with job(snakemake) as facts:
    print("progress on standard output")
    print("progress on standard error", file=sys.stderr)
    Path("results/p/out.txt").write_text("42")
    {work}
    facts["n_problems"] = 3
print("after the job")
"""


@pytest.fixture
def run_job(tmp_path):
    """Run a job in a results folder with one verified input, one unverified and one outside."""
    root = tmp_path / "results" / "p"
    root.mkdir(parents=True)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "outside.csv").write_text("k\n1\n")
    (root / "in.txt").write_text("abc")
    (root / "unknown.txt").write_text("abc")
    (root / "provenance" / "made").mkdir(parents=True)
    entry = describe(root / "in.txt") | {"path": "results/p/in.txt"}
    (root / "provenance" / "made" / "all.json").write_text(json.dumps(manifest("made", outputs=[entry])))

    def run(work="pass", input="in.txt"):
        script = tmp_path / "job.py"
        script.write_text(JOB.format(work=textwrap.indent(work, "    ").strip(), input=input))
        done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True)
        return done, root

    return run


def test_a_job_that_succeeds_leaves_a_manifest_of_everything_it_used(run_job):
    done, root = run_job()
    assert done.returncode == 0, done.stderr
    assert done.stdout == "after the job\n" and done.stderr == ""
    log = (root / "logs" / "guess" / "r" / "seed1.log").read_text()
    assert "progress on standard output" in log and "progress on standard error" in log
    manifest = json.loads((root / "provenance" / "guess" / "r_1.json").read_text())
    assert manifest["rule"] == "guess"
    assert manifest["wildcards"] == {"recipe": "r", "seed": "1"}
    assert manifest["params"] == {"settings": {"seed": 7}}
    assert manifest["facts"] == {"n_problems": 3}
    assert [entry["path"] for entry in manifest["inputs"]] == ["results/p/in.txt", "config/outside.csv"]
    assert manifest["inputs"][0]["sha256"] == describe(root / "in.txt")["sha256"]
    assert manifest["outputs"][0]["sha256"] == describe(root / "out.txt")["sha256"]
    assert manifest["started"] < manifest["ended"]
    assert manifest["peak_memory_bytes"] > 1e6
    assert set(manifest) >= {"git", "packages", "python", "host", "machine", "gpu", "slurm_job_id", "threads"}
    assert manifest["packages"]["torch"]
    known = load_manifests(root)
    assert set(known) == {"results/p/in.txt", "results/p/out.txt"}
    assert (root / "provenance" / "made_by" / "out.txt.txt").read_text() == "guess/r_1.json\n"


def test_a_bad_input_ends_with_one_sentence_on_the_terminal_and_the_traceback_in_the_log(run_job):
    done, root = run_job('raise ValueError("row 3 has no answer")')
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.strip().splitlines() == [
        "guess: row 3 has no answer",
        "(traceback: results/p/logs/guess/r/seed1.log)",
    ]
    log = (root / "logs" / "guess" / "r" / "seed1.log").read_text()
    assert "Traceback" in log and "ValueError: row 3 has no answer" in log
    assert not (root / "provenance" / "guess").exists()


def test_an_unexpected_error_is_named_by_its_kind(run_job):
    done, _ = run_job('raise KeyError("level")')
    assert done.returncode == 1
    assert "guess: KeyError: 'level'" in done.stderr and "Traceback" not in done.stderr


def test_an_input_without_manifest_stops_the_job_before_its_work(run_job):
    done, root = run_job(input="unknown.txt")
    assert done.returncode == 1
    assert "results/p/unknown.txt: no manifest says where it came from" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (root / "out.txt").exists() and not (root / "provenance" / "guess").exists()


def test_a_job_without_its_output_leaves_no_manifest(run_job):
    done, root = run_job('Path("results/p/out.txt").unlink()')
    assert done.returncode == 1
    assert "guess: results/p/out.txt: no such file or folder" in done.stderr
    assert not (root / "provenance" / "guess").exists()


def test_a_killed_job_leaves_no_manifest(run_job):
    done, root = run_job("import os; os.kill(os.getpid(), 9)")
    assert done.returncode == -9
    assert not (root / "provenance" / "guess").exists()


# --- inputs of jobs --------------------------------------------------------------------------------------------------


def late(action, seconds=1.0):
    """Do something after a while, beside what goes on."""
    thread = threading.Timer(seconds, action)
    thread.start()
    return thread


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A results folder with samples and scores made from them; the working folder lies above it."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "results" / "p"
    for name in ("samples", "scores"):
        (root / name).mkdir(parents=True)
        (root / name / "a").write_text(name)
    described = {name: describe(root / name / "a") | {"path": f"results/p/{name}/a"} for name in ("samples", "scores")}
    sample = manifest("sample", [], [described["samples"]], hour=1)
    grade = manifest("grade", [described["samples"] | {"manifest": manifest_digest(sample)}], [described["scores"]], 2)
    write_manifests(root, {"sample": sample, "grade": grade})
    return root.relative_to(tmp_path), {"sample": sample, "grade": grade}


def write_manifests(root, manifests):
    for name, job in manifests.items():
        (root / "provenance" / name).mkdir(parents=True, exist_ok=True)
        (root / "provenance" / name / "all.json").write_text(json.dumps(job))


def test_a_described_input_carries_the_digest_of_its_manifest(results, tmp_path):
    root, manifests = results
    (tmp_path / "outside").write_text("1")
    scores, outside = described_inputs([f"{root}/scores/a", "outside", f"{root}/scores/a"], root, patience=0)
    assert scores == describe(root / "scores" / "a") | {"manifest": manifest_digest(manifests["grade"])}
    assert outside == {"path": "outside", "size": 1, "sha256": describe(tmp_path / "outside")["sha256"]}


@pytest.fixture
def files_read(monkeypatch):
    """The manifests' files that are read, in order, by rule."""
    files, read = [], Manifests.read
    monkeypatch.setattr(Manifests, "read", lambda self, file: files.append(file.parent.name) or read(self, file))
    return files


def note_all(root, manifests):
    for rule, job in manifests.items():
        note_maker(job, root / "provenance" / rule / "all.json", root)


def test_a_job_reads_the_manifests_of_what_its_inputs_were_made_from_and_no_others(results, files_read):
    root, manifests = results
    other = manifest("other", [], [entry(f"{root}/other", "1")])
    write_manifests(root, {"other": other})
    (plain,) = described_inputs([f"{root}/scores/a"], root, patience=0)
    assert files_read == ["grade", "other", "sample"]  # results from before jobs left notes
    files_read.clear()
    note_all(root, manifests | {"other": other})
    assert described_inputs([f"{root}/scores/a"], root, patience=0) == [plain]
    assert files_read == ["grade", "sample"]
    files_read.clear()
    described_inputs([f"{root}/samples/a"], root, patience=0)
    assert files_read == ["sample"]
    assert list(manifests_behind([], root)) == []


@pytest.mark.parametrize("state", ["of no file", "of another artifact", "of an older job"])
def test_a_note_that_leads_astray_costs_a_look_at_all_manifests_and_nothing_more(results, files_read, state):
    root, manifests = results
    note_all(root, manifests)
    file, named = root / "provenance" / "made_by" / "scores" / "a.txt", "old/all.json"
    assert file.read_text() == "grade/all.json\n"
    if state == "of an older job":  # seeds that had a job each, and now one for all
        old = manifest("old", [], [entry(f"{root}/scores/a", "7")], hour=1)
        write_manifests(root, {"old": old})
    elif state == "of another artifact":
        named = "sample/all.json"
    file.write_text(f"{named}\n")
    (found,) = described_inputs([f"{root}/scores/a"], root, patience=0)
    assert found["manifest"] == manifest_digest(manifests["grade"])
    assert {"grade", "sample"} <= set(files_read)


def test_a_false_link_is_found_by_the_notes_too(results):
    root, manifests = results
    (root / "samples" / "a").write_text("others")
    again = manifest("sample", [], [describe(root / "samples" / "a")], hour=5)
    write_manifests(root, {"sample": again})
    note_all(root, manifests | {"sample": again})
    with pytest.raises(UnverifiedArtifact, match="results/p/scores/a: made from an older version of results/p/samples"):
        described_inputs([f"{root}/scores/a"], root, patience=0)


def test_an_input_is_hashed_once_however_many_runs_of_the_job_ask_for_its_content(results, monkeypatch):
    root, _ = results
    hashed, sha256_file = [], hashing.sha256_file
    monkeypatch.setattr(hashing, "sha256_file", lambda path: hashed.append(path.name) or sha256_file(path))
    inputs = described_inputs([f"{root}/scores/a"], root, patience=0)
    assert hashed == ["a"]

    def folders():
        return [work_folder("checkpoints", run, "c0de", {}, [f"{root}/scores/a"]) for run in ("one", "two")]

    with hashing.known(inputs):
        known = folders()
    assert hashed == ["a"]
    assert folders() == known and hashed == ["a"] * 3  # outside a job


@pytest.mark.parametrize("state", ["missing", "cut", "of_another_version"])
def test_a_manifest_that_comes_late_is_waited_for_and_not_longer_than_said(results, state):
    root, manifests = results
    file, inputs = root / "provenance" / "grade" / "all.json", [f"{root}/scores/a"]
    whole = file.read_text()
    if state == "missing":
        file.unlink()
    else:
        old = json.dumps(manifest("grade", [], [entry(f"{root}/scores/a", "7")], hour=1))
        file.write_text(whole[:100] if state == "cut" else old)
    with pytest.raises(UnverifiedArtifact) as error:
        described_inputs(inputs, root, patience=0)
    assert f"{root}/scores/a: " in str(error.value)
    assert (str(file) in str(error.value)) == (state == "cut")
    start = time.monotonic()
    thread = late(lambda: file.write_text(whole))
    (found,) = described_inputs(inputs, root, patience=30)
    thread.join()
    assert found["manifest"] == manifest_digest(manifests["grade"])
    assert 1 <= time.monotonic() - start < 10


def test_an_input_whose_own_input_is_another_now_is_refused(results):
    root, manifests = results
    (root / "samples" / "a").write_text("others")
    entry_now = describe(root / "samples" / "a")
    write_manifests(root, {"sample": manifest("sample", [], [entry_now], hour=5)})
    with pytest.raises(UnverifiedArtifact, match="results/p/scores/a: made from an older version of results/p/samples"):
        described_inputs([f"{root}/scores/a"], root, patience=0)


def test_a_changed_input_is_not_blamed_on_another_jobs_broken_manifest(results):
    root, _ = results
    (root / "provenance" / "other.json").write_text("")
    (root / "scores" / "a").write_text("changed")
    with pytest.raises(UnverifiedArtifact) as error:
        described_inputs([f"{root}/scores/a"], root, patience=0)
    assert "was changed after it was made" in str(error.value) and "other.json" not in str(error.value)


def test_a_job_waits_as_long_as_snakemake_says(run_job, monkeypatch):
    monkeypatch.setenv(LATENCY_WAIT, "60")
    _, root = run_job()  # makes the folder
    shutil.rmtree(root / "provenance" / "guess")
    file = root / "provenance" / "made" / "all.json"
    whole = file.read_text()
    file.write_text("")
    thread = late(lambda: file.write_text(whole), seconds=4)  # a job needs a second to start
    done, _ = run_job()
    thread.join()
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv(LATENCY_WAIT, "0")
    file.write_text("")
    done, _ = run_job()
    assert done.returncode == 1
    assert "results/p/in.txt: no manifest says where it came from" in done.stderr
    assert "results/p/provenance/made/all.json: cannot be read as a manifest" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_job_that_does_not_need_a_broken_manifest_does_its_work(run_job):
    _, root = run_job()
    for name in ("cut", "empty"):
        (root / "provenance" / "made" / f"{name}.json").write_text({"cut": '{"ru', "empty": ""}[name])
    done, _ = run_job()
    assert done.returncode == 0, done.stderr


# --- disks that are full or read-only --------------------------------------------------------------------------------


def sentence_of(done):
    """The one sentence on the terminal, and what stands under it in parentheses."""
    assert done.returncode == 1 and done.stdout == "" and "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()


FILL = "for line in range(10000): print(f'step {line} of a long training')"


@pytest.mark.parametrize(
    "work",
    [FILL, f"{FILL}\nsys.stdout.flush()", "print('x' * 5000)", "print('x' * 5000, file=sys.stderr)"],
    ids=["in its work", "flushed", "at its end", "on standard error"],
)
def test_a_log_that_takes_no_more_ends_the_job_with_one_sentence(run_job, work):
    """The limit of a file's size stands for a full disk: writing fails half-way."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))"
    done, root = run_job(f"{limit}\n{work}")
    sentence, told = sentence_of(done)
    log = "results/p/logs/guess/r/seed1.log"
    assert (
        sentence
        == f"guess: OSError: [Errno 27] File too large, while {log}, the outputs or their manifest were written"
    )
    assert told == f"(no traceback: {log}: File too large)"
    assert not list((root / "provenance").rglob("r_1.json"))


def test_a_bad_input_is_still_told_where_the_log_takes_no_more(run_job):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    done, _ = run_job(f'{limit}\nraise ValueError("row 3 has no answer")')
    sentence, told = sentence_of(done)
    assert sentence == "guess: row 3 has no answer" and told.startswith("(no traceback: results/p/logs/")


def test_a_log_that_cannot_be_opened_ends_the_job_with_one_sentence(run_job, tmp_path):
    (tmp_path / "results/p/logs").write_text("a file where a folder is wanted")
    done, root = run_job()
    (sentence,) = sentence_of(done)
    assert sentence.startswith("guess: results/p/logs/guess/r: Not a directory; nothing was done")
    assert not (root / "out.txt").exists()


@pytest.mark.parametrize("state", ["read-only", "full"])
def test_a_disk_that_is_full_or_read_only_ends_the_job_with_one_sentence(run_job, tmp_path, state):
    def mount(*arguments):
        return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0

    logs = tmp_path / "results" / "p" / "logs"
    (logs / "guess" / "r").mkdir(parents=True)
    if not mount("-t", "tmpfs", "-o", "size=4k", "tmpfs", str(logs / "guess")):
        pytest.skip("no right to mount")
    try:
        if state == "full":
            (logs / "guess" / "fill").write_bytes(bytes(4096))
        (logs / "guess" / "r").mkdir(exist_ok=True)
        if state == "read-only":
            assert mount("-o", "remount,ro", str(logs / "guess"))
        done, root = run_job()
    finally:
        subprocess.run(["umount", str(logs / "guess")], check=True)
    sentence, *told = sentence_of(done)
    log = "results/p/logs/guess/r/seed1.log"
    if state == "read-only":
        assert (sentence, told) == (f"guess: {log}: Read-only file system; nothing was done", [])
    else:
        assert log in sentence and "No space left on device" in sentence
    assert not list((root / "provenance").rglob("r_1.json"))
