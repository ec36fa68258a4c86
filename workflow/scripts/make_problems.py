"""Write the train, validation and test problems of a task."""

import dataclasses

import pandas as pd

from compute_aligned.models.hub import resolve_revision
from compute_aligned.provenance.artifacts import write_artifact
from compute_aligned.provenance.job import job
from compute_aligned.tasks.loading import load_task
from compute_aligned.tasks.sources import Table, Task, read_task


def make_problems(task: Task, paths: dict[str, str]) -> dict:
    """Load a task's splits and write one table each.

    Args:
        task: where its problems come from.
        paths: split name -> file to write.

    Returns:
        for the manifest: the source with the commit that was read, what was found in it, and the number of problems per
        split.
    """
    source = {}
    if isinstance(task, Table):
        if task.source.train_file is None:
            commit = resolve_revision(task.source.hub, task.source.revision, "dataset")
            task |= {"source": task.source | {"revision": commit}}
        source = task.source.plain()
    splits, found = load_task(task)
    for split, path in paths.items():
        frame = pd.DataFrame([dataclasses.asdict(problem) for problem in splits[split]])
        write_artifact(frame, "problems", path)
    return {"source": source, **found, "n_problems": {split: len(problems) for split, problems in splits.items()}}


if __name__ == "__main__":
    with job(snakemake) as facts:  # noqa: F821
        facts |= make_problems(
            task=read_task(snakemake.params.data),  # noqa: F821
            paths=dict(snakemake.output.items()),  # noqa: F821
        )
