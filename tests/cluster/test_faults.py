"""What goes wrong on a cluster, done to a real Slurm of one node: every run ends in the same hashes, or in a sentence.

`make test-cluster` runs these; they take minutes, since Slurm itself waits.
"""

import os
import signal

import pandas as pd
import pytest
from cluster.conftest import PATIENCE, ROOT
from cluster.test_whole_run import MODEL, SAMPLES, until, until_over

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


# --- the controller ---


def test_a_controller_killed_alone_leaves_one_writer(on, slurm, undisturbed):
    cluster = on(slurm)
    first = cluster.start(MODEL)
    first.kill_once(cluster.checkpoints, PATIENCE, jobs=False)
    trainer = cluster.trainer()
    os.kill(trainer, signal.SIGSTOP)  # it does not finish before the next one has begun
    try:
        cluster.unlock()
        second = cluster.start(MODEL)
        until(lambda: f"waits for process {trainer} on " in cluster.log("train_sft"), second)
        assert len(slurm.jobs()) == 2
    finally:
        os.kill(trainer, signal.SIGCONT)
    code, output = second.finish(PATIENCE)
    assert code == 0, output
    assert "takes what another job has made" in cluster.log("train_sft")
    assert (facts(cluster)["n_steps"], facts(cluster)["resumed_from"]) == (200, None)
    assert cluster.outputs("train_sft") == undisturbed("train_sft")


def test_ctrl_c_cancels_the_jobs_and_the_same_command_goes_on(on, slurm, undisturbed):
    cluster = on(slurm)
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # what a shell starts with & ignores it, and so does all in it
    run = cluster.start(MODEL)
    until(cluster.checkpoints, run)
    (job,) = slurm.jobs()
    os.killpg(run.process.pid, signal.SIGINT)
    code, _ = run.finish(PATIENCE)
    assert code != 0
    until_over(slurm, job)
    cluster.run(MODEL)
    assert facts(cluster)["resumed_from"].startswith("checkpoint-")
    assert cluster.outputs("train_sft") == undisturbed("train_sft")


# --- jobs killed ---


@pytest.mark.parametrize("rule", ["train_sft", "sample", "grade"])
def test_a_killed_job_is_a_failure_and_the_same_command_goes_on(on, slurm, undisturbed, rule):
    cluster = on(slurm)
    run = cluster.start(SCORES)
    until(lambda: (cluster / f"results/seconds/logs/{rule}/math_sft_pass/pass_n4/seed1.log").exists(), run)
    slurm.ask("scancel", "--signal=KILL", "--full", *slurm.jobs())
    code, output = run.finish(PATIENCE)
    assert code == 1 and "is not done: " in output
    cluster.run(SCORES)
    for made in ("train_sft", "sample", "grade"):
        assert cluster.outputs(made) == undisturbed(made)


def test_a_job_queued_again_goes_on_from_its_checkpoint(on, slurm, undisturbed):
    """As after a preemption: same number, another start."""
    cluster = on(slurm)
    run = cluster.start(MODEL)
    until(cluster.checkpoints, run)
    (job,) = slurm.jobs()
    slurm.ask("scontrol", "requeue", job)
    until(lambda: slurm.jobs("PENDING"), run)
    slurm.ask("scontrol", "update", f"JobId={job}", "StartTime=now")  # or Slurm waits two minutes
    code, output = run.finish(PATIENCE)
    assert code == 0, output
    assert facts(cluster)["resumed_from"].startswith("checkpoint-")
    assert cluster.outputs("train_sft") == undisturbed("train_sft")


def test_a_node_that_goes_down_and_comes_back_runs_the_job_again(on, slurm, undisturbed):
    cluster = on(slurm)
    run = cluster.start(MODEL)
    until(cluster.checkpoints, run)
    (job,) = slurm.jobs()
    slurm.power_cut(cluster.trainer())
    until(lambda: slurm.jobs("PENDING"), run)
    slurm.power_back(job)
    code, output = run.finish(PATIENCE)
    assert code == 0, output
    assert cluster.outputs("train_sft") == undisturbed("train_sft")


# --- what lies there is not whole ---


def test_a_checkpoint_and_a_shard_cut_short_are_set_aside_and_made_again(on, slurm, undisturbed):
    cluster = on(slurm)
    cluster.repository.change_recipe(evaluation={"problems_per_shard": 1})

    def kill_and_cut(files):
        """Kill the job as soon as there is one of some files, and halve the newest."""
        run = cluster.start(SAMPLES)
        until(files, run)
        slurm.ask("scancel", "--signal=KILL", "--full", *slurm.jobs())
        assert run.finish(PATIENCE)[0] == 1
        cut = max(files(), key=lambda file: file.stat().st_mtime)
        cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])

    kill_and_cut(lambda: [file.parent / "trainer_state.json" for file in cluster.checkpoints()])
    kill_and_cut(lambda: list((cluster / ROOT).glob("checkpoints/*/*/shard-*.json")))
    assert "is not whole and set aside as broken-1-checkpoint-" in cluster.log("train_sft")
    cluster.run(SAMPLES)
    assert "is not whole and set aside as broken-1-shard-" in cluster.log("sample")
    assert cluster.outputs("train_sft") == undisturbed("train_sft")
    # Shards of another size make batches of another size, and so log p of another rounding.
    made, expected = (pd.read_parquet(folder / SAMPLES) for folder in (cluster, undisturbed.folder))
    pd.testing.assert_frame_equal(made, expected, rtol=1e-5)


def test_a_table_that_was_altered_is_named_on_the_login_node_and_nothing_is_trained(on, slurm):
    cluster = on(slurm)
    table = cluster / f"{ROOT}/data/math/train.parquet"
    times = table.stat()
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(content)
    os.utime(table, ns=(times.st_atime_ns, times.st_mtime_ns))  # or Snakemake would see it itself
    code, output = cluster.try_to_run(MODEL)
    assert code == 1 and "is not done: it ended with an error, which its log tells" in output, output
    assert f"{ROOT}/data/math/train.parquet: its SHA-256 is " in output
    assert not cluster.checkpoints()
