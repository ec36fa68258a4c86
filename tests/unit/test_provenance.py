"""Code hashes that count code alone, artifacts checked against their manifests, and jobs that leave either both
an output and its manifest or one clear sentence."""

import json
import shutil
import subprocess
import sys
import textwrap

import pytest
from conftest import REPO

from compute_aligned import provenance
from compute_aligned.provenance import UnverifiedArtifact, code_hash, describe, hash_settings, load_manifests, verify

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
    monkeypatch.setattr(provenance, "PACKAGE", folder)

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
        ("__init__", "", "import os\n", True),  # importing a module runs its package
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


def reads(script, module, tmp_path, monkeypatch):
    """Whether a rule of the script reruns when a module of the real package changes."""
    copy = tmp_path / script / "compute_aligned"
    shutil.copytree(provenance.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with monkeypatch.context() as patch:
        patch.setattr(provenance, "PACKAGE", copy)
        before = code_hash(SCRIPTS / script)
        with open(copy / f"{module}.py", "a") as file:
            file.write("\nADDED = 1\n")
        return code_hash(SCRIPTS / script) != before


@pytest.mark.parametrize(
    ("script", "rerun_by", "untouched_by"),
    [
        ("train_sft.py", ["operators", "sft", "tokenization", "tasks/problems"], ["plots", "tables"]),
        ("sample.py", ["sampling", "tokenization", "models"], ["operators", "sft", "plots", "grading"]),
        ("draw_figure.py", ["plots", "captions"], ["tables", "operators", "sft", "metrics", "grading"]),
        ("make_table.py", ["tables", "captions"], ["plots", "operators"]),
        ("measure.py", ["metrics", "statistics"], ["operators", "plots", "tables", "sampling"]),
    ],
)
def test_editing_the_operators_retrains_and_editing_the_plots_redraws(
    script, rerun_by, untouched_by, tmp_path, monkeypatch
):
    found = {
        module: reads(script, module, tmp_path / module.replace("/", "_"), monkeypatch)
        for module in rerun_by + untouched_by
    }
    assert found == dict.fromkeys(rerun_by, True) | dict.fromkeys(untouched_by, False)


def test_the_hash_of_a_script_does_not_depend_on_where_the_checkout_lies(tmp_path, monkeypatch):
    here = code_hash(SCRIPTS / "train_sft.py")
    copy = tmp_path / "workflow"
    shutil.copytree(provenance.PACKAGE.parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "PACKAGE", copy / "compute_aligned")
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


# --- jobs ------------------------------------------------------------------------------------------------------------

JOB = """
import sys
from pathlib import Path
from types import SimpleNamespace

from compute_aligned.provenance import job


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
    (root / "provenance" / "made" / "all.json").write_text(json.dumps({"outputs": [entry]}))

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
