"""Compute what the strategies' weights do over p: curves, alignment and waste of pairs, variance, normalisation."""

from compute_aligned.analysis.closed_forms import compute_closed_forms
from compute_aligned.config.settings.closed_forms import ClosedFormSettings
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.provenance.job import job

if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        compute_closed_forms(
            settings=ClosedFormSettings(**snakemake.params.settings),  # noqa: F821
            reported=read_artifact("reported", snakemake.input.reported),  # noqa: F821
            path_to_curves=snakemake.output.curves,  # noqa: F821
            path_to_alignment=snakemake.output.alignment,  # noqa: F821
            path_to_variance=snakemake.output.variance,  # noqa: F821
            path_to_normalisation=snakemake.output.normalisation,  # noqa: F821
            path_to_within_prompt=snakemake.output.within_prompt,  # noqa: F821
        )
