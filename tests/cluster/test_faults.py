"""What goes wrong on a cluster, done to a real Slurm of one node: every run ends in the same hashes, or in a sentence.

`make test-cluster` runs these; they take minutes, since Slurm itself waits.
"""

import os
import shutil
import signal
import time

import pytest
from cluster.test_slurm import MODEL, until, until_over

pytestmark = pytest.mark.cluster
SCORES = "results/seconds/scores/math_sft_pass/pass_n4/seed1.parquet"


def facts(cluster):
    """What the manifest of the training says of its one run."""
    return cluster.manifest("train_sft")["facts"]["runs"][0]


# --- with accounting ---


def test_with_accounting_sacct_is_asked_and_a_run_goes_to_its_end(on, slurm_with_accounting, undisturbed):
    cluster = on(slurm_with_accounting)
    output = cluster.run(SCORES, options=["--set-resources", "train_sft:gpu=1"])
    assert "What became of a job is asked of `sacct`, which answers." in output
    for rule in ("train_sft", "sample", "grade"):
        assert cluster.outputs(rule) == undisturbed(rule)


def test_with_accounting_a_cancelled_job_is_seen_to_be(on, slurm_with_accounting, undisturbed):
    """`sacct` says "CANCELLED by" and who did it."""
    cluster = on(slurm_with_accounting)
    run = cluster.start(MODEL)
    until(cluster.checkpoints, run)
    (job,) = slurm_with_accounting.jobs()
    slurm_with_accounting.ask("scancel", job)
    code, output = run.finish(60)
    assert code == 1 and f"Slurm job {job} is not done: it was cancelled" in output
    cluster.run(MODEL)
    assert cluster.outputs("train_sft") == undisturbed("train_sft")


def test_accounting_that_goes_away_in_the_middle_is_done_without(on, slurm_with_accounting, undisturbed):
    cluster = on(slurm_with_accounting)
    run = cluster.start(MODEL)
    until(cluster.checkpoints, run)
    slurm_with_accounting.end("slurmdbd")
    try:
        code, output = run.finish(120)
    finally:
        slurm_with_accounting.launch("slurmdbd", "-D")
    assert code == 0, output
    assert cluster.outputs("train_sft") == undisturbed("train_sft")


# --- the controller ---


def test_a_controller_killed_alone_leaves_one_writer(on, slurm, undisturbed):
    cluster = on(slurm)
    first = cluster.start(MODEL)
    first.kill_once(cluster.checkpoints, jobs=False)
    trainer = cluster.trainer()
    os.kill(trainer, signal.SIGSTOP)  # it does not finish before the next one has begun
    try:
        cluster.unlock()
        second = cluster.start(MODEL)
        until(lambda: f"waits for process {trainer} on " in cluster.log("train_sft"), second)
        assert len(slurm.jobs()) == 2
    finally:
        os.kill(trainer, signal.SIGCONT)
    code, output = second.finish()
    assert code == 0, output
    assert "takes what another job has made" in cluster.log("train_sft")
    assert (facts(cluster)["n_steps"], facts(cluster)["resumed_from"]) == (200, None)
    assert cluster.outputs("train_sft") == undisturbed("train_sft")


def test_ctrl_c_cancels_the_jobs_and_the_same_command_goes_on(on, slurm, undisturbed):
    cluster = on(slurm)
    run = cluster.start(MODEL)
    until(cluster.checkpoints, run)
    (job,) = slurm.jobs()
    os.killpg(run.process.pid, signal.SIGINT)
    code, _ = run.finish(30)
    assert code != 0
    until_over(slurm, job)
    cluster.run(MODEL)
    assert facts(cluster)["resumed_from"].startswith("checkpoint-")
    assert cluster.outputs("train_sft") == undisturbed("train_sft")


def test_a_controller_inside_a_slurm_job_says_so(on, slurm):
    cluster = on(slurm)
    output = cluster.run(MODEL, SLURM_JOB_ID="123456")
    assert "This runs inside Slurm job 123456 and ends with it" in output


# --- jobs killed ---


@pytest.mark.parametrize("rule", ["train_sft", "sample", "grade"])
def test_a_killed_job_is_a_failure_and_the_same_command_goes_on(on, slurm, undisturbed, rule):
    cluster = on(slurm)
    run = cluster.start(SCORES)
    until(lambda: (cluster / f"results/seconds/logs/{rule}/math_sft_pass/pass_n4/seed1.log").exists(), run, 180)
    slurm.ask("scancel", "--signal=KILL", "--full", *slurm.jobs())
    code, output = run.finish(60)
    assert code == 1 and "is not done: " in output
    cluster.run(SCORES)
    for made in ("train_sft", "sample", "grade"):
        assert cluster.outputs(made) == undisturbed(made)


def test_a_job_at_its_time_limit_says_so_and_goes_on_from_its_checkpoint(on, slurm, undisturbed):
    cluster = on(slurm)
    run = cluster.start(MODEL, options=["--set-resources", "train_sft:runtime=1"])
    until(cluster.checkpoints, run)
    os.kill(cluster.trainer(), signal.SIGSTOP)
    code, output = run.finish(180)
    assert code == 1
    assert "is not done: it reached the time limit, `runtime` of the preset's resources" in output
    cluster.run(MODEL)
    assert facts(cluster)["resumed_from"].startswith("checkpoint-")
    assert cluster.outputs("train_sft") == undisturbed("train_sft")


def test_a_job_queued_again_goes_on_from_its_checkpoint(on, slurm, undisturbed):
    """As after a preemption: same number, another start."""
    cluster = on(slurm)
    run = cluster.start(MODEL)
    until(cluster.checkpoints, run)
    (job,) = slurm.jobs()
    slurm.ask("scontrol", "requeue", job)
    until(lambda: slurm.jobs("PENDING"), run)
    slurm.ask("scontrol", "update", f"JobId={job}", "StartTime=now")  # or Slurm waits two minutes
    code, output = run.finish()
    assert code == 0, output
    assert facts(cluster)["resumed_from"].startswith("checkpoint-")
    assert cluster.outputs("train_sft") == undisturbed("train_sft")


def test_a_node_that_goes_down_and_comes_back_runs_the_job_again(on, slurm, undisturbed):
    cluster = on(slurm)
    run = cluster.start(MODEL)
    until(cluster.checkpoints, run)
    (job,) = slurm.jobs()
    (node,) = slurm.ask("sinfo", "--noheader", "--format=%n").split()
    trainer = cluster.trainer()
    slurm.end("slurmd", signal.SIGKILL)
    slurm.ask("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    os.kill(trainer, signal.SIGKILL)  # the power is off
    until(lambda: slurm.jobs("PENDING"), run)
    slurm.start_node()
    slurm.ask("scontrol", "update", f"NodeName={node}", "State=RESUME")
    slurm.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
    code, output = run.finish()
    assert code == 0, output
    assert cluster.outputs("train_sft") == undisturbed("train_sft")


# --- Slurm's controller ---


def test_slurmctld_may_be_away_for_a_while(on, slurm, undisturbed):
    cluster = on(slurm)
    run = cluster.start(MODEL)
    until(cluster.checkpoints, run)
    slurm.end("slurmctld")
    time.sleep(20)  # several looks at the jobs fail
    assert run.process.poll() is None
    slurm.start_controller()
    code, output = run.finish()
    assert code == 0, output
    assert cluster.outputs("train_sft") == undisturbed("train_sft")


def test_a_refused_submission_is_tried_again(on, slurm, undisturbed):
    cluster = on(slurm)
    slurm.ask("scontrol", "update", "PartitionName=all", "State=DRAIN")
    try:
        run = cluster.start(MODEL)
        time.sleep(20)
        assert run.process.poll() is None and not slurm.jobs()
    finally:
        slurm.ask("scontrol", "update", "PartitionName=all", "State=UP")
    code, output = run.finish()
    assert code == 0, output
    assert "sbatch refused a job of rule train_sft and is asked again in 10 s" in output
    assert cluster.outputs("train_sft") == undisturbed("train_sft")


def test_a_submission_refused_for_good_is_one_sentence(on, slurm):
    code, output = on(slurm).try_to_run(MODEL, options=["--set-resources", "train_sft:slurm_partition=nowhere"])
    assert code == 1 and "sbatch refused this job: " in output and "invalid partition" in output


def wait_until_forgotten(slurm, job, run):
    known = lambda: job in slurm.ask("squeue", "--noheader", "--states=all", "--format=%i").split()  # noqa: E731
    until(lambda: not known(), run, 180)


def test_a_job_that_slurm_forgot_before_it_was_asked_is_done_by_its_manifest(on, forgetful_slurm, undisturbed):
    cluster = on(forgetful_slurm)
    run = cluster.start(MODEL)
    until(cluster.checkpoints, run)
    (job,) = forgetful_slurm.jobs()
    run.process.send_signal(signal.SIGSTOP)
    wait_until_forgotten(forgetful_slurm, job, run)
    run.process.send_signal(signal.SIGCONT)
    code, output = run.finish(60)
    assert code == 0, output
    assert cluster.outputs("train_sft") == undisturbed("train_sft")


def test_a_job_that_slurm_forgot_and_that_made_nothing_has_failed(on, forgetful_slurm, undisturbed):
    cluster = on(forgetful_slurm)
    run = cluster.start(MODEL)
    until(cluster.checkpoints, run)
    (job,) = forgetful_slurm.jobs()
    run.process.send_signal(signal.SIGSTOP)
    forgetful_slurm.ask("scancel", job)
    wait_until_forgotten(forgetful_slurm, job, run)
    run.process.send_signal(signal.SIGCONT)
    code, output = run.finish(60)
    assert code == 1
    assert f"Slurm job {job} is not done: Slurm knows nothing of it any more, and no manifest says" in output
    cluster.run(MODEL)
    assert cluster.outputs("train_sft") == undisturbed("train_sft")


# --- jobs that end well and should not have ---


def test_a_job_that_succeeds_and_writes_nothing_has_failed(on, slurm, tmp_path):
    """`sbatch` is made to submit a job that does nothing at all."""
    (tmp_path / "bin").mkdir()
    sbatch = tmp_path / "bin" / "sbatch"
    real = shutil.which("sbatch")
    sbatch.write_text(f'#!/bin/bash\nargs=("$@")\nexec {real} "${{args[@]:0:$#-1}}" --wrap=true\n')
    sbatch.chmod(0o755)
    path = f"{sbatch.parent}:{slurm.environment['PATH']}"
    code, output = on(slurm).try_to_run(MODEL, PATH=path)
    assert code == 1
    assert "is not done: it ended without an error, but no manifest says that it made its outputs" in output
