"""Describe a run as a Provenance Run Crate."""

from pathlib import Path

from compute_aligned.provenance.crate import write_crate
from compute_aligned.provenance.job import job

if __name__ == "__main__":
    with job(snakemake) as facts:  # noqa: F821
        facts |= write_crate(
            root=Path(snakemake.output.crate).parent,  # noqa: F821
            licences=snakemake.params.licences,  # noqa: F821
            path_to_snakefile=snakemake.input.workflow,  # noqa: F821
            path_to_citation=snakemake.input.citation,  # noqa: F821
            path_to_crate=snakemake.output.crate,  # noqa: F821
            path_to_workflow=snakemake.output.workflow,  # noqa: F821
        )
