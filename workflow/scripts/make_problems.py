"""Write the train, validation and test problems of a task."""

import dataclasses

import pandas as pd

from compute_aligned.artifacts import write_artifact
from compute_aligned.provenance import job
from compute_aligned.tasks import load_task


def make_problems(data: dict, paths: dict[str, str]) -> dict:
    """Load a task's splits and write one table each.

    Args:
        data: the preset's entry for the task.
        paths: split name -> file to write.

    Returns:
        number of problems per split.
    """
    splits = load_task(data)
    for split, path in paths.items():
        frame = pd.DataFrame([dataclasses.asdict(problem) for problem in splits[split]])
        write_artifact(frame, "problems", path)
    return {split: len(problems) for split, problems in splits.items()}


if __name__ == "__main__":
    with job(snakemake) as facts:  # noqa: F821
        facts["n_problems"] = make_problems(
            data=snakemake.params.data,  # noqa: F821
            paths=dict(snakemake.output.items()),  # noqa: F821
        )
