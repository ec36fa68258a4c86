"""What happens when something goes wrong: artifacts changed by hand, runs killed half-way."""

import functools
import hashlib
import json
import os
import re
import signal
import time

import pandas as pd
import pytest

ROOT = "results/seconds"
QUIET = ("--quiet", "rules", "reason")  # as `make reproduce`; without it Snakemake prints the whole log, too


def change_by_hand(file):
    """Append a byte and put the time back, so that only the content tells."""
    times = file.stat()
    with open(file, "ab") as content:
        content.write(b"\n")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def complaint(output, rule):
    """The one line in which a job says what stopped it."""
    (line,) = re.findall(rf"^{rule}: .*$", output, flags=re.MULTILINE)
    return line


# --- artifacts changed by hand ---


@pytest.mark.parametrize(
    ("artifact", "made_from_it", "rule"),
    [
        ("samples/math_sft_pass/ce/seed1.parquet", "scores/math_sft_pass/ce/seed1.parquet", "grade"),
        ("models/math_sft_pass/ce/seed1/model.safetensors", "samples/math_sft_pass/ce/seed1.parquet", "sample"),
        ("metrics/math_sft_pass.summary.csv", "tables/table2.csv", "table"),
    ],
)
def test_an_artifact_changed_by_hand_is_not_used(rerun, artifact, made_from_it, rule):
    change_by_hand(rerun / ROOT / artifact)
    (rerun / ROOT / made_from_it).unlink()
    code, output = rerun.try_to_run(f"{ROOT}/{made_from_it}", preset="seconds", options=QUIET)
    assert code != 0
    assert re.search(
        rf"{ROOT}/[\w/.]+: its SHA-256 is [0-9a-f]{{12}}\.\.\., its manifest says [0-9a-f]{{12}}\.\.\.",
        complaint(output, rule),
    )
    named = artifact.removesuffix("/model.safetensors")  # a model is one artifact, its folder
    assert f"{ROOT}/{named}: " in complaint(output, rule)
    assert "Traceback" not in output
    (log,) = re.findall(r"^\(traceback: (.*)\)$", output, flags=re.MULTILINE)
    assert "Traceback" in (rerun / log).read_text()
    assert not (rerun / ROOT / made_from_it).exists()


def test_an_artifact_without_a_manifest_is_not_used(rerun):
    (rerun / ROOT / "provenance/measure/math_sft_pass.json").unlink()
    (rerun / ROOT / "figures/fig1.png").unlink()
    code, output = rerun.try_to_run("fig1", preset="seconds", options=QUIET)
    assert code != 0
    assert f"{ROOT}/metrics/math_sft_pass.summary.csv: no manifest" in complaint(output, "figure")
    assert "Traceback" not in output


def test_a_changed_artifact_once_deleted_is_made_again(rerun):
    """What the complaint tells the user to do."""
    summary = rerun / ROOT / "metrics/math_sft_pass.summary.csv"
    before = summary.read_bytes()
    change_by_hand(summary)
    os.utime(summary)  # an editor does not put the time back
    code, output = rerun.try_to_run("table2", preset="seconds", options=QUIET)
    assert code != 0
    assert "delete it and let Snakemake make it again" in complaint(output, "table")
    summary.unlink()
    rerun.run("table2", preset="seconds")
    assert summary.read_bytes() == before


# --- killed runs ---


def unlock_and_run(repository, target):
    """What a user types after a power cut: Snakemake says that the folder is locked, then `--unlock`, then again."""
    code, output = repository.try_to_run(target, preset="seconds")
    assert code != 0
    assert "--unlock" in output
    repository.run(preset="seconds", options=["--unlock"])
    repository.run(target, preset="seconds")


TARGET = f"{ROOT}/models/math_sft_pass/pass_n4/seed1"


def with_a_long_training(finished, folder):
    """A copy of the finished run in which one training has 200 steps, a checkpoint every 5, and is to be run."""
    repository = finished.copy(folder)
    repository.change_recipe(epochs=25)
    assert repository.plan(TARGET, preset="seconds") == {"train_sft": 1}
    return repository


@pytest.fixture(scope="module")
def undisturbed(finished, tmp_path_factory):
    """Function: the manifest of that training where nothing goes wrong. It runs beside the first test."""
    repository = with_a_long_training(finished, tmp_path_factory.mktemp("undisturbed") / "repository")
    running = repository.start(TARGET, preset="seconds")
    end = functools.cache(running.finish)

    def manifest():
        code, output = end()
        assert code == 0, output
        return repository.manifest("train_sft", "math_sft_pass_pass_n4")

    yield manifest
    running.kill_jobs()


def test_a_killed_training_resumes_and_ends_with_the_same_weights(finished, undisturbed, tmp_path):
    killed = with_a_long_training(finished, tmp_path / "killed")
    checkpoints = killed / ROOT / "checkpoints"
    killed.start(TARGET, preset="seconds").kill_once(lambda: list(checkpoints.glob("*/*/checkpoint-*/whole.json")))
    assert list(checkpoints.glob("*/*/checkpoint-*"))
    unlock_and_run(killed, TARGET)

    resumed, whole = killed.manifest("train_sft", "math_sft_pass_pass_n4"), undisturbed()
    # Both seeds go through one job, which was killed in its first.
    assert resumed["facts"]["runs"][0]["resumed_from"].startswith("checkpoint-")
    assert [run["resumed_from"] for run in whole["facts"]["runs"]] == [None, None]
    for manifest in (resumed, whole):
        assert [run["n_steps"] for run in manifest["facts"]["runs"]] == [200, 200]
    assert resumed["outputs"] == whole["outputs"]  # weights and record, by their hashes
    assert not list(checkpoints.iterdir())


def test_a_controller_killed_alone_leaves_its_job_to_finish_and_nothing_is_trained_twice(
    finished, undisturbed, tmp_path
):
    killed = with_a_long_training(finished, tmp_path / "killed")
    checkpoints = killed / ROOT / "checkpoints"
    first = killed.start(TARGET, preset="seconds")
    try:
        first.kill_once(lambda: list(checkpoints.glob("*/*/checkpoint-*/whole.json")), jobs=False)
        (lease,) = checkpoints.glob("*.lease")
        job = json.loads(lease.read_text())["pid"]
        os.kill(job, signal.SIGSTOP)  # it lives on, and does not finish before the next one has begun
        killed.run(preset="seconds", options=["--unlock"])
        second = killed.start(TARGET, preset="seconds")
        log = killed / ROOT / "logs/train_sft/math_sft_pass/pass_n4/seeds.log"
        while (
            not log.exists() or f"waits for process {job} on " not in log.read_text()
        ):  # Snakemake deletes the first's
            assert second.process.poll() is None, second.process.communicate()[0]
            time.sleep(0.1)
        os.kill(job, signal.SIGCONT)
        code, output = second.finish()
        assert code == 0, output
        assert "takes what another job has made" in log.read_text()
    finally:
        first.kill_jobs()

    made, whole = killed.manifest("train_sft", "math_sft_pass_pass_n4"), undisturbed()
    assert [(run["n_steps"], run["resumed_from"]) for run in made["facts"]["runs"]] == [(200, None)] * 2
    assert made["outputs"] == whole["outputs"]
    assert not list(checkpoints.iterdir())


@pytest.mark.parametrize("name", ["results", "results/seconds", ".snakemake"])
def test_where_nothing_can_be_written_snakemake_says_so_in_one_sentence(fresh, name):
    """A file in the place of the folder: unlike a read-only or a full disk, nobody needs rights to try it."""
    (fresh / name).parent.mkdir(exist_ok=True)
    if (fresh / name).is_dir():
        (fresh / name).rename(fresh / "elsewhere")
    (fresh / name).write_text("")
    code, output = fresh.try_to_run(f"{ROOT}/data/math/train.parquet", preset="seconds")
    assert code == 1 and "Traceback" not in output
    (line,) = re.findall(r"^.* cannot be written .*$", output, flags=re.MULTILINE)
    assert line == f"{fresh / name} cannot be written (Not a directory), nothing was done"


def test_a_killed_sampling_takes_up_its_finished_shards(finished, rerun):
    target = f"{ROOT}/samples/math_sft_pass/ce/seed1.parquet"
    rerun.change_recipe(evaluation={"samples": 4096, "problems_per_shard": 1})
    assert rerun.plan(target, preset="seconds") == {"sample": 1}
    checkpoints = rerun / ROOT / "checkpoints"
    rerun.start(target, preset="seconds").kill_once(lambda: list(checkpoints.glob("*/*/shard-*.json")))

    first_shard = next(checkpoints.glob("*/*/shard-00000.json"))
    pools = json.loads(first_shard.read_text())["pools"]
    (problem_id,) = pools
    pools[problem_id][0][2] = marked = -123.0  # the mean log-probability of its first sample
    sha256 = hashlib.sha256(json.dumps(pools).encode()).hexdigest()
    first_shard.write_text(json.dumps({"sha256": sha256, "pools": pools}))
    unlock_and_run(rerun, target)

    samples = pd.read_parquet(rerun / target)
    assert len(samples) == 8 * 4096
    assert samples.loc[samples["mean_logprob"] == marked, ["problem_id", "sample"]].to_numpy().tolist() == [
        [problem_id, 0]
    ]
    # A pool's first samples do not depend on its size: they are those of the finished run.
    first = samples[samples["sample"] < 8].reset_index(drop=True)
    columns = ["problem_id", "sample", "completion", "finish_reason"]
    pd.testing.assert_frame_equal(first[columns], pd.read_parquet(finished / target)[columns])
    assert not list(checkpoints.iterdir())
