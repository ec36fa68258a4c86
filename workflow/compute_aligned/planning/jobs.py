"""What Snakemake knows of its jobs: what each finished one would be given now, and which will run."""

import os
from collections.abc import Sequence
from pathlib import Path

from ..provenance.manifests import load_manifests
from ..provenance.runs import entries_of, keep, of_seeds, seed_of, seeds_of
from .progress import Progress, listen, reference_times


def jobs_now(workflow, results: str, seeds: Sequence[int]) -> list[dict]:
    """What each job that made something of the results would be given now; None where no rule makes its files.

    Args:
        workflow: Snakemake's, with the rules of this run.
        results: the folder of the preset's results.
        seeds: of the preset.
    """
    jobs = {id(job): job for job in load_manifests(Path(results)).values()}.values()
    return [{key: job[key] for key in ("rule", "wildcards")} | _given_now(workflow, job, seeds) for job in jobs]


def _given_now(workflow, job: dict, seeds: Sequence[int]) -> dict:
    """Params and inputs that a job of some rule and wildcards would get now, for its runs of seeds that there are."""
    made = [entry["path"] for entry in job["outputs"]]
    seeds = [seed for seed in seeds_of(made) if seed in seeds]
    made = [name for name in made if seed_of(name) in (None, *seeds)]
    of = workflow.get_rule(job["rule"]) if workflow.is_rule(job["rule"]) else None
    if not made or of is None or not all(any(output.match(name) for output in of.output) for name in made):
        return {"params": None, "inputs": None}
    files, output = of.expand_input(job["wildcards"])[0], of.expand_output(job["wildcards"])[0]
    params, _ = of.expand_params(job["wildcards"], files, output, None)
    now = {"params": dict(params.items()), "inputs": entries_of(files), "outputs": entries_of(output)}
    now = of_seeds(now, seeds) if seeds else now
    return {"params": now["params"], "inputs": [entry["path"] for entry in now["inputs"]], "seeds": seeds}


def keep_what_is_there(workflow, results: str) -> None:
    """Link the runs that jobs of several seeds may take, before Snakemake deletes them; not those asked for anew."""
    jobs = [job for job in workflow.dag.needrun_jobs() if not workflow.dag.reason(job).forced]
    keep([str(file) for job in jobs for file in job.output], Path(results))


def tell_progress(workflow, reference: Path) -> None:
    """Say of each job that ends what it was, the share of the time that is done, and what is left.

    Args:
        workflow: as in ``jobs_now``.
        reference: folder of a committed run of the same preset, which knows how long jobs take; need not exist.
    """
    from snakemake.logging import logger  # which only its own process has

    times = reference_times(reference)
    jobs = {
        job.jobid: (
            job.message or job.rule.name,
            0 if times is None else times.seconds(job.rule.name, job.wildcards_dict, job.output),
        )
        for job in workflow.dag.needrun_jobs()
    }
    listen(logger, Progress(jobs, times is not None), None if times is None else os.path.relpath(reference))
