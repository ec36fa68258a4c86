"""Measure an experiment: exact metrics per run and problem, intervals and paired differences, weights."""

from compute_aligned.analysis.measuring import measure
from compute_aligned.config.settings.measuring import MeasuringSettings
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.provenance.job import job

if __name__ == "__main__":
    with job(snakemake) as facts:  # noqa: F821
        runs = [
            run | {"scores": scores, "record": record}
            for run, scores, record in zip(
                snakemake.params.runs,  # noqa: F821
                snakemake.input.scores,  # noqa: F821
                snakemake.input.records,  # noqa: F821
                strict=True,
            )
        ]
        facts |= measure(
            settings=MeasuringSettings(**snakemake.params.experiment),  # noqa: F821
            runs=runs,
            starts=[
                run | {"scores": scores}
                for run, scores in zip(snakemake.params.starts, snakemake.input.starts, strict=True)  # noqa: F821
            ],
            reported=read_artifact("reported", snakemake.input.reported),  # noqa: F821
            path_to_metrics=snakemake.output.metrics,  # noqa: F821
            path_to_problem_metrics=snakemake.output.problem_metrics,  # noqa: F821
            path_to_start=snakemake.output.start,  # noqa: F821
            path_to_summary=snakemake.output.summary,  # noqa: F821
            path_to_weights=snakemake.output.weights,  # noqa: F821
        )
