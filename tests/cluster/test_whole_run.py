"""On a real Slurm of one node: a run goes to its end without accounting, and survives the commonest faults."""

import shutil
import signal
import time

import pytest
from cluster.conftest import PATIENCE

MODEL = "results/seconds/models/math_sft_pass/pass_n4/seed1"
SAMPLES = "results/seconds/samples/math_sft_pass/pass_n4/seed1.parquet"


def until(condition, run, seconds=PATIENCE):
    """Wait for a condition while a controller runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert run.process.poll() is None, run.process.communicate()[0]
        assert time.monotonic() < deadline, "took too long"
        time.sleep(0.1)


def test_without_accounting_a_run_goes_to_its_end_with_the_same_hashes(on, slurm, undisturbed):
    assert shutil.which("sacct") and not slurm.answers("sacct")  # installed, and answers nothing
    cluster = on(slurm)
    output = cluster.run(SAMPLES)
    assert output.count("What became of a job is asked of `squeue`, since `sacct` does not answer") == 1
    assert cluster.outputs("sample") == undisturbed("sample")
    assert cluster.outputs("train_sft") == undisturbed("train_sft")
    assert cluster.manifest("train_sft")["slurm_job_id"] is not None


def test_a_cancelled_job_is_said_to_be_cancelled_and_goes_on_from_its_checkpoint(on, slurm, undisturbed):
    cluster = on(slurm)
    run = cluster.start(MODEL)
    until(cluster.checkpoints, run)
    (job,) = slurm.jobs()
    slurm.ask("scancel", job)
    code, output = run.finish(PATIENCE)
    assert code == 1
    assert f"Slurm job {job} is not done: it was cancelled" in output
    cluster.run(MODEL)
    assert cluster.manifest("train_sft")["facts"]["runs"][0]["resumed_from"].startswith("checkpoint-")
    assert cluster.outputs("train_sft") == undisturbed("train_sft")


@pytest.mark.cluster
def test_a_controller_told_to_end_cancels_its_jobs_and_leaves_no_lock(on, slurm):
    """Snakemake alone would wait for the jobs, and hold the lock, for as long as they run."""
    cluster = on(slurm)
    other = MODEL.replace("pass_n4", "ce")
    run = cluster.start(MODEL, other, options=["--set-resources", "train_sft:gpu=1"])
    until(lambda: len(slurm.jobs()) == 2, run)  # the node has one GPU, so that one of them waits
    until(lambda: slurm.jobs("RUNNING"), run)
    first, second = slurm.jobs()
    run.process.send_signal(signal.SIGTERM)
    code, output = run.finish(PATIENCE)
    assert code != 0
    assert "; the same command goes on from their checkpoints" in output
    until_over(slurm, first)
    until_over(slurm, second)
    assert not list((cluster / ".snakemake").glob("locks/*"))


def until_over(slurm, job, seconds=120):
    deadline = time.monotonic() + seconds
    while job in slurm.jobs():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_without_sbatch_the_controller_says_so_and_does_nothing(on, slurm, tmp_path):
    for name in ("bash", "sh", "git", "which"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    cluster = on(slurm)
    code, output = cluster.try_to_run(MODEL, PATH=str(tmp_path / "bin"))
    assert code == 1 and "Traceback" not in output
    assert "There is no `sbatch` here, and so no Slurm: `--profile slurm` is for the login node" in output
    assert not (cluster / MODEL).exists() and not slurm.jobs()
