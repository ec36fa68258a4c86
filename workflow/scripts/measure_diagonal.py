"""Measure the diagonal approximation: rho of every problem of our own pools, and Theorem 3 on random answer sets."""

from compute_aligned.analysis.diagonal_diagnostic import measure_diagonal
from compute_aligned.config.settings.diagonal import DiagonalSettings
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.provenance.job import job

if __name__ == "__main__":
    with job(snakemake) as facts:  # noqa: F821
        runs = [
            run | {"scores": scores}
            for run, scores in zip(snakemake.params.runs, snakemake.input.scores, strict=True)  # noqa: F821
        ]
        facts |= measure_diagonal(
            settings=DiagonalSettings(**snakemake.params.settings),  # noqa: F821
            runs=runs,
            reported=read_artifact("reported", snakemake.input.reported),  # noqa: F821
            path_to_ratios=snakemake.output.ratios,  # noqa: F821
            path_to_rho=snakemake.output.rho,  # noqa: F821
            path_to_theorem3=snakemake.output.theorem3,  # noqa: F821
        )
