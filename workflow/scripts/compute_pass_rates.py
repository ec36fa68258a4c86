"""Pass rates of an experiment's pools: the share of problems with more than c right samples, for every c."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from compute_aligned.provenance.artifacts import read_artifact, write_artifact
from compute_aligned.provenance.job import job


def compute_pass_rates(paths_to_scores: Sequence[str], runs: Sequence[dict], path_to_pass_rates: str) -> None:
    """Count the right samples of every problem of every run; c goes from 0 to the pool's size less one.

    Args:
        paths_to_scores: ``scores`` of each run.
        runs: arm, label and seed of each.
        path_to_pass_rates: where the shares go.

    Raises:
        ValueError: a run's pools differ in size.
    """
    frames = []
    for path, run in zip(paths_to_scores, runs, strict=True):
        pools = read_artifact("scores", path).groupby("problem_id")["correct"]
        n_correct, sizes = pools.sum().to_numpy(), pools.size().unique()
        if len(sizes) > 1:
            raise ValueError(f"{path}: pools of {min(sizes)} and of {max(sizes)} samples, wanted one size")
        counts = np.arange(sizes[0])
        shares = (n_correct > counts[:, None]).mean(axis=1)
        columns = {"n_correct": counts, "n_samples": sizes[0], "share": shares, "n_problems": len(n_correct)}
        frames.append(pd.DataFrame({**run, **columns}))
    write_artifact(pd.concat(frames, ignore_index=True), "pass_rates", path_to_pass_rates)


if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        compute_pass_rates(
            paths_to_scores=list(snakemake.input.scores),  # noqa: F821
            runs=snakemake.params.runs,  # noqa: F821
            path_to_pass_rates=snakemake.output[0],  # noqa: F821
        )
