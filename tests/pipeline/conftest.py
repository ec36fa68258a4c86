"""What the pipeline tests share: copies of the repository to run, edit and break, and one finished run to copy from.

Snakemake runs in a process of its own, on a copy of the working files, and imports the copy's package. The preset
`seconds` is `tiny`, shrunk until a job takes little more than its imports.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import warm
import yaml
from filelock import FileLock
from planning import OF_SEEDS, jobs_of, shrink

REPO = Path(__file__).parents[2]
GIT = ["git", "-c", "user.name=tests", "-c", "user.email=tests@localhost", "-c", "commit.gpgsign=false"]


class Run:
    """A started snakemake, in a process group of its own together with its jobs."""

    def __init__(self, command, cwd, environment):
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, seconds=300):
        """Wait for its end: exit code, and all that it printed as one text."""
        try:
            output, _ = self.process.communicate(timeout=seconds)
        except BaseException:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        return self.process.returncode, output

    def kill_once(self, condition, seconds=120, jobs=True):
        """Kill it and all its jobs, as a power cut would, or it alone, as soon as the condition holds."""
        deadline = time.monotonic() + seconds
        try:
            while not condition():
                assert self.process.poll() is None, f"ended before it could be killed:\n{self.process.communicate()[0]}"
                assert time.monotonic() < deadline, "took too long to come to where it is to be killed"
                time.sleep(0.02)
        finally:
            if self.process.poll() is None and jobs:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.communicate()
            self.process.kill()  # its jobs have its standard output still, so that this does not end
            self.process.wait()

    def kill_jobs(self):
        """Kill what is left of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


class Repository:
    """A copy of the repository in a folder of its own."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def __truediv__(self, path):
        return self.folder / path

    # --- running ---

    def command(self, *targets, preset=None, options=(), cwd=None):
        """Arguments, folder and environment of a call of snakemake.

        It is `snakemake --cores 2 --configfile config/<preset>.yaml <options> <targets>`. From another working folder
        the Snakefile and the preset are named by their paths.
        """
        arguments = ["--cores", "2", *options]
        if cwd is not None:
            arguments += ["--snakefile", str(self / "Snakefile")]
        if preset is not None:
            file = f"config/{preset}.yaml"
            arguments += ["--configfile", file if cwd is None else str(self / file)]
        environment = os.environ | {
            "PYTHONPATH": str(self / "workflow"),
            "HF_HUB_OFFLINE": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "CUDA_VISIBLE_DEVICES": "",  # the same on every machine
        }
        environment.pop("SNAKEMAKE_PROFILE", None)
        return [*arguments, "--", *targets], cwd or self.folder, environment

    def start(self, *targets, **how):
        """Start snakemake, as a user does."""
        arguments, folder, environment = self.command(*targets, **how)
        return Run([sys.executable, "-m", "snakemake", *arguments], folder, environment)

    def try_to_run(self, *targets, **how):
        """Run snakemake: exit code, and all that it printed."""
        return warm.run("snakemake", *self.command(*targets, **how))

    def run(self, *targets, **how):
        """Run snakemake, which must succeed: all that it printed."""
        code, output = self.try_to_run(*targets, **how)
        assert code == 0, output
        return output

    def plan(self, *targets, options=(), **how):
        """Number of jobs per rule that a dry run announces; {} when there is nothing to be done."""
        return planned_jobs(self.run(*targets, options=[*options, "--dry-run", "--quiet", "rules"], **how))

    # --- editing ---

    def replace(self, file, old, new):
        """Replace a text that stands in a file once."""
        text = (self / file).read_text()
        assert text.count(old) == 1, f"{file} holds {old!r} {text.count(old)} times"
        (self / file).write_text(text.replace(old, new))

    def config(self, name):
        """The content of config/<name>.yaml."""
        return yaml.safe_load((self / f"config/{name}.yaml").read_text())

    def write_config(self, name, content):
        (self / f"config/{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def change_recipe(self, evaluation=(), **values):
        """Change values of the recipe in the preset `seconds`."""
        content = self.config("seconds")
        recipe = content["recipes"]["math_sft_pass"]
        recipe |= values
        recipe["evaluation"] |= dict(evaluation)
        self.write_config("seconds", content)

    # --- reading ---

    def expected_jobs(self, preset):
        """Jobs per rule that everything of a preset needs, counted from the configuration alone."""
        content, experiments = self.config(preset), self.config("experiments")["experiments"]
        recipes = self.config("recipes")["recipes"]

        scales = content["experiments"]

        def needed(names):
            return jobs_of([experiments[name] | scales[name] for name in names], recipes, seed_jobs=1)

        if content["seeds_in_one_job"]:
            return needed(scales)
        seeds = content["seeds"]
        counts = [needed([name for name in scales if seed in scales[name].get("seeds", seeds)]) for seed in seeds]
        sums = {rule: sum(count.get(rule, 0) for count in counts) for rule in OF_SEEDS}
        return needed(scales) | {rule: count for rule, count in sums.items() if count}

    def manifests(self):
        """All manifests of the preset `seconds`."""
        files = sorted((self / "results/seconds/provenance").rglob("*.json"))
        return [json.loads(file.read_text()) for file in files]

    def manifest(self, rule, job):
        """The manifest of one job of the preset `seconds`."""
        return json.loads((self / f"results/seconds/provenance/{rule}/{job}.json").read_text())

    # --- copying ---

    def copy(self, folder):
        """A copy with all times kept: the same folder, moved."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Repository(folder)

    def clone(self, folder):
        """A git clone, whose files are all newer than the results, which are carried over."""
        subprocess.run([*GIT, "clone", "--quiet", self.folder, folder], check=True)
        for results in ("results", ".snakemake"):
            # The repository holds results/reference, so the folder may be there already.
            shutil.copytree(self / results, Path(folder) / results, symlinks=True, dirs_exist_ok=True)
        return Repository(folder)


def planned_jobs(output):
    """The "Job stats" of a dry run."""
    if "Nothing to be done" in output:
        return {}
    counts = dict(re.findall(r"^(\w+) +(\d+)$", output, flags=re.MULTILINE))
    del counts["total"]
    return {rule: int(count) for rule, count in counts.items()}


def copy_working_files(folder):
    """Copy what git would commit from here: tracked files, and new ones that are not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listing.split("\0")):
        if (REPO / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPO / name, folder / name)
    return Repository(folder)


def write_seconds_preset(repository):
    """Write config/seconds.yaml: tiny, shrunk."""
    repository.write_config("seconds", shrink(repository.config("tiny")))


@pytest.fixture(scope="session")
def pristine(tmp_path_factory):
    """A copy on which nothing ran, for dry runs; leave it as it is."""
    repository = copy_working_files(tmp_path_factory.mktemp("pristine"))
    write_seconds_preset(repository)
    return repository


@pytest.fixture
def fresh(tmp_path):
    """A copy on which nothing ran, to edit."""
    repository = copy_working_files(tmp_path / "fresh")
    write_seconds_preset(repository)
    return repository


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id):
    """The preset `seconds`, run from nothing in a git checkout whose path has spaces in it; leave it as it is.

    All of pytest's processes share one: the first that wants it makes it, the others wait.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "a path with spaces"
    report = folder / "report.json"
    with FileLock(f"{folder}.lock"):
        if not report.is_file():
            repository = copy_working_files(folder / "repository")
            write_seconds_preset(repository)
            for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "as tested"]):
                subprocess.run([*GIT, *command], cwd=repository.folder, check=True)
            options = ["--quiet", "rules", "reason"]
            report.write_text(json.dumps(repository.start(preset="seconds", options=options).finish(seconds=2400)))
    code, output = json.loads(report.read_text())
    assert code == 0, output
    return Repository(folder / "repository")


@pytest.fixture
def rerun(finished, tmp_path):
    """A copy of the finished run, to edit."""
    return finished.copy(tmp_path / "a rerun")
