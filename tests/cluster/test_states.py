"""What becomes of a job on a real Slurm, for jobs that do next to nothing: they wait to be let go, and write a line."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from pipeline.conftest import REPO, Run

from compute_aligned.planning.site import site_warnings

pytestmark = pytest.mark.cluster
SNAKEFILE = """
import signal
import sys
sys.path.insert(0, PACKAGE)
from compute_aligned.planning.slurm import SlurmExecutor
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
if workflow.is_main_process:
    ExecutorPluginRegistry().get_plugin("slurm").executor = SlurmExecutor

onstart:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as the repository's Snakefile

rule work:
    output: "results/out/{name}.txt"
    log: "results/logs/work/{name}.log"
    resources: runtime=10, mem_mb=100
    script: "work.py"
"""
WORK = """
import sys, time
from pathlib import Path
sys.path.insert(0, PACKAGE)
from compute_aligned.provenance.job import job

with job(snakemake):
    Path("started").touch()
    while not Path("go").exists():
        time.sleep(0.1)
    Path(snakemake.output[0]).write_text("done")
"""


class Work:
    """A folder with one job, on a Slurm."""

    def __init__(self, folder, slurm):
        self.folder, self.slurm = folder, slurm
        for name, text in (("Snakefile", SNAKEFILE), ("work.py", WORK)):
            (folder / name).write_text(text.replace("PACKAGE", repr(str(REPO / "workflow"))))

    def start(self, *options, **environment):
        """Start the controller."""
        command = [sys.executable, "-m", "snakemake", "--executor", "slurm", "--jobs", "2", "--slurm-requeue"]
        command += ["--latency-wait", "3", "--slurm-init-seconds-before-status-checks", "1", *options]
        # What a shell starts with & ignores Ctrl-C, and so does all that it starts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.run = Run([*command, "--", "results/out/a.txt"], self.folder, self.slurm.environment | environment)
        return self

    def until(self, condition, seconds=300):
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.run.process.poll() is None, self.run.process.communicate()[0]
            assert time.monotonic() < deadline, "took too long"
            time.sleep(0.1)

    def started(self):
        """Wait until the job runs: its number."""
        self.until((self.folder / "started").exists)
        (job,) = self.slurm.jobs()
        return job

    def let_go(self):
        (self.folder / "go").touch()

    def log(self):
        return "".join(file.read_text() for file in (self.folder / ".snakemake/log").glob("*.log"))

    def until_forgotten(self, job):
        everything = ("squeue", "--noheader", "--states=all", "--format=%i")
        self.until(lambda: job not in self.slurm.ask(*everything).split())

    def ends(self):
        """It ends well, and the job was done."""
        code, output = self.run.finish()
        assert code == 0, output
        assert (self.folder / "results/out/a.txt").read_text() == "done"
        return output

    def fails(self, sentence):
        """It ends in a sentence and in time, and the same command then ends well."""
        code, output = self.run.finish()
        assert code == 1 and sentence in output, output
        assert not (self.folder / "results/out/a.txt").exists()
        self.let_go()
        self.start().ends()


@pytest.fixture
def work(tmp_path):
    """Function: the folder, on a Slurm."""
    used = []

    def make(slurm):
        used.append(Work(tmp_path, slurm))
        return used[-1]

    yield make
    for one in used:
        one.run.kill_jobs()
        one.slurm.clear()


def test_a_cancelled_job_has_failed(work, slurm):
    one = work(slurm).start()
    job = one.started()
    slurm.ask("scancel", job)
    one.fails(f"Slurm job {job} is not done: it was cancelled. ")


def test_a_job_at_its_time_limit_has_failed(work, slurm):
    one = work(slurm).start()
    slurm.ask("scontrol", "update", f"JobId={one.started()}", "TimeLimit=1")  # minutes
    one.fails("is not done: it reached the time limit, `runtime` of the preset's resources. ")


def test_a_job_that_is_queued_again_is_waited_for(work, slurm):
    one = work(slurm).start()
    job = one.started()
    slurm.ask("scontrol", "requeue", job)
    one.until(lambda: slurm.jobs("PENDING"))
    one.let_go()
    slurm.ask("scontrol", "update", f"JobId={job}", "StartTime=now")  # or Slurm waits two minutes
    one.ends()


def test_a_node_that_goes_down_and_comes_back_runs_the_job_again(work, slurm):
    one = work(slurm).start()
    job = one.started()
    slurm.power_cut()
    one.until(lambda: slurm.jobs("PENDING"))
    slurm.power_back(job)
    one.let_go()
    one.ends()


def test_slurmctld_may_be_away_for_a_while(work, slurm):
    one = work(slurm).start()
    one.started()
    slurm.end("slurmctld")
    time.sleep(15)  # several looks at the job fail
    one.let_go()
    slurm.start_controller()
    one.ends()


def test_a_submission_refused_for_a_while_is_tried_again(work, slurm):
    slurm.ask("scontrol", "update", "PartitionName=all", "State=DRAIN")
    try:
        one = work(slurm).start()
        one.let_go()
        one.until(lambda: "sbatch refused a job of rule work and is asked again in 10 s" in one.log())
        assert not slurm.jobs()
    finally:
        slurm.ask("scontrol", "update", "PartitionName=all", "State=UP")
    one.ends()


def test_a_submission_refused_for_good_is_one_sentence(work, slurm):
    one = work(slurm).start("--set-resources", "work:slurm_partition=nowhere")
    one.fails("sbatch refused this job: sbatch: error: invalid partition specified: nowhere")


def test_a_job_that_slurm_forgot_is_done_by_its_manifest(work, forgetful_slurm):
    one = work(forgetful_slurm).start()
    job = one.started()
    one.run.process.send_signal(signal.SIGSTOP)
    one.let_go()
    one.until_forgotten(job)
    one.run.process.send_signal(signal.SIGCONT)
    one.ends()


def test_a_job_that_slurm_forgot_and_that_made_nothing_has_failed(work, forgetful_slurm):
    one = work(forgetful_slurm).start()
    job = one.started()
    one.run.process.send_signal(signal.SIGSTOP)
    forgetful_slurm.ask("scancel", job)
    one.until_forgotten(job)
    one.run.process.send_signal(signal.SIGCONT)
    one.fails(
        f"Slurm job {job} is not done: Slurm knows nothing of it any more, and no manifest says that it was done. "
    )


def test_a_job_that_ends_well_and_writes_nothing_has_failed(work, slurm, tmp_path):
    """`sbatch` is made to submit a job that does nothing at all."""
    (tmp_path / "bin").mkdir()
    sbatch = tmp_path / "bin" / "sbatch"
    real = shutil.which("sbatch")
    sbatch.write_text(f'#!/bin/bash\nargs=("$@")\nexec {real} "${{args[@]:0:$#-1}}" --wrap=true\n')
    sbatch.chmod(0o755)
    one = work(slurm).start(PATH=f"{sbatch.parent}:{slurm.environment['PATH']}")
    one.fails("is not done: it ended without an error, but no manifest says that it made its outputs. ")


def test_a_manifest_that_is_seen_half_a_minute_late_is_waited_for(work, slurm, tmp_path):
    """As on a network disk: by Slurm's word the job is over, and the controller does not see yet what it wrote."""
    one = work(slurm).start("--latency-wait", "90")
    job = one.started()
    one.run.process.send_signal(signal.SIGSTOP)
    one.let_go()
    one.until(lambda: job not in slurm.jobs())
    manifest = tmp_path / "results/provenance/work/a.json"
    manifest.rename(tmp_path / "late.json")
    one.run.process.send_signal(signal.SIGCONT)
    time.sleep(30)
    assert one.run.process.poll() is None and "Finished jobid" not in one.log()
    (tmp_path / "late.json").rename(manifest)
    one.ends()


@pytest.fixture
def small_disk(tmp_path):
    """Results on a disk of one MiB."""
    folder = tmp_path / "results"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_job_whose_disk_is_full_has_failed_and_goes_on_when_there_is_room(small_disk, work, slurm, tmp_path):
    """Its own log is on that disk, Slurm's is not."""
    one = work(slurm).start()
    job = one.started()
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    one.let_go()
    code, output = one.run.finish()
    assert code == 1 and f"Slurm job {job} is not done: it ended with an error, which its log tells. " in output, output
    assert "No space left on device" in output
    (tmp_path / "results/out/a.txt").unlink(missing_ok=True)
    filler.unlink()
    one.start().ends()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_controller_told_to_end_cancels_its_job_and_leaves_no_lock(work, slurm, how):
    one = work(slurm).start()
    job = one.started()
    os.kill(one.run.process.pid, how)
    one.fails(f"Cancelling Slurm jobs {job}; the same command goes on from their checkpoints.")
    assert job not in slurm.jobs()


def test_a_controller_inside_a_slurm_job_says_so_and_works(work, slurm):
    one = work(slurm).start(SLURM_JOB_ID="123456")
    one.let_go()
    assert "This runs inside Slurm job 123456 and ends with it" in one.ends()


# --- with accounting ---


def test_with_accounting_a_cancelled_job_has_failed(work, slurm_with_accounting):
    """`sacct` says "CANCELLED by" and who did it."""
    one = work(slurm_with_accounting).start()
    job = one.started()
    slurm_with_accounting.ask("scancel", job)
    one.fails(f"Slurm job {job} is not done: it was cancelled. ")
    assert "What became of a job is asked of `sacct`, which answers." in one.log()


def test_accounting_that_goes_away_is_done_without(work, slurm_with_accounting):
    one = work(slurm_with_accounting).start()
    one.started()
    slurm_with_accounting.end("slurmdbd")
    try:
        one.let_go()
        one.ends()
    finally:
        slurm_with_accounting.launch("slurmdbd", "-D")


# --- before anything is submitted ---


def test_site_keys_are_held_against_the_cluster(slurm_with_accounting, tmp_path, monkeypatch):
    for name, value in slurm_with_accounting.environment.items():
        monkeypatch.setenv(name, value)
    profile = tmp_path / "config.yaml"
    profile.write_text("executor: slurm\n")
    assert site_warnings(profile, 60) == []  # it has a default partition, and its user one account
    profile.write_text('default-resources: ["slurm_account=physics", "slurm_partition=gpus"]\n')
    partition, account = site_warnings(profile, 60)
    assert partition == f"this cluster has no partition gpus, which {profile} names as slurm_partition; it has all"
    assert f"no account physics, which {profile} names as slurm_account; yours are root" in account
