"""The commands of docs/provenance.md, word for word but for the preset, on a fresh run; and what is stale."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import pandas as pd
from conftest import REPO
from test_audit import ROOT, call

PAGE = (REPO / "docs/provenance.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL) for line in block.splitlines()]
QUIET = ["--quiet", "rules", "reason"]


def here(repository, line):
    """A command of the page for the preset `seconds`, whose largest budget is 4."""
    pool = pd.read_parquet(repository / ROOT / "scores/math_sft_pass/pass_n16/seed1.parquet")
    line = line.replace("results/tiny", ROOT).replace("--k 16", "--k 4")
    return line.replace("PROBLEM", str(pool["problem_id"].iloc[0]))


def run(repository, line):
    """Exit code and output of a command line."""
    program, *arguments = shlex.split(line)
    if program == "snakemake":
        if "--configfile" not in arguments:
            arguments = ["--configfile", "config/seconds.yaml", *arguments]
        targets = arguments[arguments.index("--") + 1 :] if "--" in arguments else [arguments.pop()]
        options = arguments[: arguments.index("--")] if "--" in arguments else arguments
        return repository.try_to_run(*targets, options=[*options, *QUIET])
    assert arguments[:2] == ["-m", "compute_aligned"], line
    return call(repository, *arguments[2:])


def test_a_strangers_walk_through_the_page(rerun):
    assert len(COMMANDS) > 10
    for line in COMMANDS[:-1]:
        code, output = run(rerun, here(rerun, line))
        assert code == 0, f"{line}\n{output}"
        if "--arm pass_n16 --k" in line and "--json" not in line:
            assert output.startswith("Pass@4 of pass_n16: ") and "computed again from " in output, output
            assert ", equal; difference " in output and "NOT EQUAL" not in output
        if "--claim" in line:
            assert output.startswith("C03: ") and ", equal" in output.splitlines()[1]
    # On another machine: a clone without results.
    shutil.move(rerun / ROOT, rerun / "kept")
    code, output = run(rerun, here_without_results(COMMANDS[-1]))
    assert code == 0, output
    (command,) = [line for line in output.splitlines() if line.startswith("snakemake ")]
    drawn = sorted(file for kind in ("tables", "figures") for file in (rerun / ROOT / kind).iterdir())
    for file in drawn:
        file.unlink()
    code, output = run(rerun, command)
    assert code == 0, output
    assert sorted(file for kind in ("tables", "figures") for file in (rerun / ROOT / kind).iterdir()) == drawn
    assert [
        file for file in drawn if file.read_bytes() != (rerun / "kept" / file.relative_to(rerun / ROOT)).read_bytes()
    ] == []
    code, output = call(rerun, "audit", ROOT)
    assert code == 0 and "are not kept in a bundle" in output, output


def here_without_results(line):
    return line.replace("results/tiny", ROOT)


def test_what_the_workflow_would_make_otherwise_now_is_stale_and_nothing_is_made(rerun):
    code, output = rerun.try_to_run("audit", preset="seconds", options=QUIET)
    assert code == 0 and " artifacts verified, 0 complaints" in output, output
    rerun.change_recipe(evaluation={"max_new_tokens": 5})
    plotting = "workflow/compute_aligned/presentation/figures/curves.py"
    (rerun / plotting).write_text((rerun / plotting).read_text() + "\n\nADDED = 1\n")
    before = {file: file.stat().st_mtime_ns for file in (rerun / ROOT / "samples").rglob("*.parquet")}
    code, output = rerun.try_to_run("audit", preset="seconds", options=QUIET)
    assert code == 1
    assert re.search(rf"^{ROOT}/samples/math_sft_pass/.* made by sample with other settings than now", output, re.M)
    assert re.search(rf"^{ROOT}/figures/.* made by figure with other code than now", output, re.M)
    assert "Traceback" not in output
    assert before == {file: file.stat().st_mtime_ns for file in (rerun / ROOT / "samples").rglob("*.parquet")}


def test_what_was_never_made_is_missing_and_an_empty_folder_is_no_success(fresh):
    code, output = fresh.try_to_run("audit", preset="seconds", options=QUIET)
    assert code == 1 and f"audit: {ROOT}: no manifests; nothing of this preset was made here" in output
    fresh.run("table1", preset="seconds", options=QUIET)
    code, output = fresh.try_to_run("audit", preset="seconds", options=QUIET)
    assert code == 1 and re.search(rf"^{ROOT}/\S+: not made, nor \d+ other files of the tables", output, re.M), output


def test_the_crate_describes_every_job(rerun):
    rerun.run("crate", preset="seconds", options=QUIET)
    graph = json.loads((rerun / ROOT / "ro-crate-metadata.json").read_text())["@graph"]
    actions = [entity for entity in graph if entity["@id"].startswith("#job/")]
    assert len(actions) == len([job for job in rerun.manifests() if job["rule"] != "crate"])
    assert subprocess.run([sys.executable, "-c", "import rocrate"]).returncode == 0
