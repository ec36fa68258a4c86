"""Draw the evaluation pools of runs."""

from compute_aligned.config.settings.evaluation import EvaluationSettings
from compute_aligned.provenance.job import job
from compute_aligned.provenance.lease import lease_of
from compute_aligned.sampling.evaluation import sample

if __name__ == "__main__":
    lease = lease_of(snakemake)  # noqa: F821
    with job(snakemake, lease) as facts:  # noqa: F821
        facts["runs"] = [
            sample(
                path_to_base=snakemake.input.base,  # noqa: F821
                path_to_model=model,
                path_to_problems=snakemake.input.problems,  # noqa: F821
                settings=EvaluationSettings(**settings),
                threads=snakemake.threads,  # noqa: F821
                checkpoints=snakemake.params.checkpoints,  # noqa: F821
                path_to_samples=samples,
                run=run,
                code=snakemake.params.code,  # noqa: F821
                before_writing=lease.check,
            )
            for model, settings, samples, run in zip(
                snakemake.input.models,  # noqa: F821
                snakemake.params.settings,  # noqa: F821
                snakemake.output,  # noqa: F821
                snakemake.params.runs,  # noqa: F821
                strict=True,
            )
        ]
        for run in facts["runs"]:
            lease.remove_when_done(run.pop("shards"))
