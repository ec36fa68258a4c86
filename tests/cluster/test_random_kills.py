"""Power cuts at random moments of a run without Slurm: it always ends in the same hashes."""

import os
import random
import shutil
import signal
import subprocess

import pytest
from cluster.conftest import RUN, OnSlurm

KILLS = 30
ROOT = "results/seconds"
RULES = ("train_sft", "sample", "grade")


@pytest.mark.cluster
def test_a_run_killed_at_random_moments_ends_in_the_same_hashes(prepared, undisturbed, tmp_path):
    killed_run = OnSlurm(prepared.copy(tmp_path / "repository"))
    rng = random.Random(2604)
    # The hashes are asked for first: their run, too, takes one of two cores.
    expected = {rule: undisturbed(rule) for rule in RULES}
    killed = 0
    while killed < KILLS:
        options = ["--nolock", "--quiet", "rules", "progress"]
        run = killed_run.repository.start(f"{ROOT}/scores/{RUN}.parquet", preset="seconds", options=options)
        try:
            run.process.wait(rng.uniform(4, 30))
        except subprocess.TimeoutExpired:
            os.killpg(run.process.pid, signal.SIGKILL)
            killed += 1
        output, _ = run.process.communicate()
        if run.process.returncode == -signal.SIGKILL:
            continue
        assert run.process.returncode == 0, output
        assert {rule: killed_run.outputs(rule) for rule in RULES} == expected
        for stage in ("models", "training", "samples", "scores"):  # and once more from the warm-up
            shutil.rmtree(killed_run / ROOT / stage / RUN.rpartition("/")[0], ignore_errors=True)
    killed_run.repository.run(f"{ROOT}/scores/{RUN}.parquet", preset="seconds", options=["--nolock"])
    assert {rule: killed_run.outputs(rule) for rule in RULES} == expected
