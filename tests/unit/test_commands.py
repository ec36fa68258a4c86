"""Every command of the package ends in one sentence where it is given a path that it cannot use."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPO

from compute_aligned.presentation.terminal import describe_results
from compute_aligned.provenance.published import write_reference

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # runpy: the module is imported already
TINY = str(REPO / "config" / "tiny.yaml")
PATHS = ("none", "folder", "empty", "bytes", "prose.md")


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Run a command in a folder of paths that are none of its business; returns what it exits with."""
    monkeypatch.chdir(tmp_path)
    for folder in ("folder/metrics", "results/tiny"):
        Path(folder).mkdir(parents=True)
    for name, content in {"empty": b"", "bytes": b"\xff\xfe\x00", "prose.md": b"Two: words: here\n"}.items():
        for ending in ("", ".csv"):
            Path(name + ending).write_bytes(content)

    def called(command, *arguments):
        monkeypatch.setattr(sys, "argv", ["compute_aligned", command, *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module("compute_aligned", run_name="__main__")
        return ended.value.code

    return called


@pytest.mark.parametrize(
    "command", ["summary", "reference", "claims", "pin", "plan", "preflight", "memory", "compare", "bundle"]
)
def test_a_command_without_a_path_says_how_it_is_used(call, command, capsys):
    assert call(command) == 2
    assert "the following arguments are required" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["", "aduit"])
def test_a_command_that_does_not_exist_is_answered_with_those_that_do(call, command):
    assert call(command).endswith(
        "wanted one of the commands audit, bundle, claims, compare, config, memory, pin, plan, preflight, reference, "
        "summary, timing"
    )


def test_a_command_says_that_it_runs_another_checkouts_code_than_the_folder_it_stands_in(call, capsys, monkeypatch):
    call("timing", "none")
    assert "this runs the code of" not in capsys.readouterr().err
    Path("workflow/compute_aligned").mkdir(parents=True)
    Path("docs").mkdir()
    other = Path.cwd()
    monkeypatch.chdir("docs")
    call("timing", "none")
    said = capsys.readouterr().err.splitlines()[0]
    assert f"the code of {REPO / 'workflow' / 'compute_aligned'}, not that of {other}; " in said
    monkeypatch.chdir(REPO / "docs")
    call("timing", "none")
    assert "this runs the code of" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("goals", "said"),
    [
        (
            ["reproduce", "CONFIG=nope.yaml"],
            "nope.yaml: no such file; wanted a preset, such as CONFIG=",
        ),
        (["plan", "CONFIG=nope.yaml"], "nope.yaml: no such file"),
        (["plan"], "no environment there; `make env` makes it"),
        (["compare"], "no environment there; `make env` makes it"),
    ],
)
def test_make_refuses_in_one_sentence_before_it_installs_anything(tmp_path, goals, said):
    environment = tmp_path / "environment"
    done = subprocess.run(
        ["make", "--no-print-directory", *goals, f"VENV={environment}", "PYTHON=false"],
        cwd=REPO,
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},  # of `make test`
    )
    assert done.returncode == 2 and not environment.exists()
    (line,) = (done.stdout + done.stderr).splitlines()
    assert said in line


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "command", ["summary", "reference", "claims", "pin", "plan", "preflight", "memory", "compare", "bundle"]
)
def test_a_wrong_path_ends_in_one_sentence_that_names_it(call, command, path):
    path += ".csv" if command == "claims" and path != "folder" else ""
    before = sorted(Path().rglob("*"))
    sentence = call(command, path)  # a text: Python prints it and exits with 1
    assert sentence.startswith(f"{command}: ") and path in sentence
    assert "\n" not in sentence and "Errno" not in sentence
    assert sorted(Path().rglob("*")) == before


def test_a_preset_that_was_not_run_whole_is_named_with_what_is_missing(call):
    assert call("summary", TINY) == (
        "summary: results/tiny/metrics/math_sft_pass.summary.csv: no such file; wanted a 'summary' artifact"
    )
    shutil.rmtree("results")
    assert (
        call("summary", TINY) == f"summary: results/tiny: no such folder; wanted the results of {TINY}, run from here"
    )


# --- what no job made ------------------------------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A results folder of a table, a figure and claims with their manifests, and strays beside them."""
    monkeypatch.chdir(tmp_path)
    root = Path("results/mini")
    made = [root / name for name in ("tables/table2.csv", "figures/fig1.png", "metrics/a.summary.csv", "claims.csv")]
    stray = [root / name for name in ("tables/table2.csv~", "figures/.DS_Store", "metrics/copy of a.csv")]
    for file in [*made, *stray]:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(file.name)
    (root / "tables/.ipynb_checkpoints").mkdir()
    outputs = [{"path": str(file), "sha256": "0"} for file in made]
    manifest = {"rule": "some", "wildcards": {}, "params": {}, "inputs": [], "outputs": outputs}
    (root / "provenance").mkdir()
    (root / "provenance/all.json").write_text(json.dumps(manifest))
    return root


def files_under(folder):
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_the_reference_holds_what_jobs_made_and_nothing_else(results):
    target = Path("results/reference/mini")
    (target / "tables").mkdir(parents=True)
    (target / "tables/table9.csv").write_text("of an earlier run")
    (target / "README.md").write_text("kept")
    write_reference(results, target)
    assert files_under(target) == {
        *("tables/table2.csv", "figures/fig1.png", "metrics/a.summary.csv", "claims.csv"),
        *("README.md", "manifests.json", "root_hashes.csv"),
    }


@pytest.mark.parametrize("missing", ["tables/table2.csv", "claims.csv", "provenance/all.json"])
def test_a_reference_is_left_alone_where_the_results_are_not_whole(results, missing):
    target = Path("results/reference/mini")
    write_reference(results, target)
    before = files_under(target)
    (results / missing).unlink()
    with pytest.raises(ValueError, match="results/mini"):
        write_reference(results, target)
    assert files_under(target) == before


def test_the_closing_message_names_no_stray_file(results):
    text = describe_results({"experiments": {}}, results)
    assert [line.strip() for line in text.splitlines() if "results/" in line] == [
        "results/mini/tables/table2.csv",
        "results/mini/figures/fig1.png",
    ]
