"""Write the report page: one HTML file with claims, tables, figures, weights, costs and origins."""

from pathlib import Path

from compute_aligned.presentation.page import make_report
from compute_aligned.provenance.job import job

if __name__ == "__main__":
    with job(snakemake) as facts:  # noqa: F821
        facts |= make_report(
            preset=snakemake.params.preset,  # noqa: F821
            experiments=snakemake.params.experiments,  # noqa: F821
            left_out=snakemake.params.left_out,  # noqa: F821
            command=snakemake.params.command,  # noqa: F821
            results=Path(snakemake.params.results),  # noqa: F821
            path_to_claims=snakemake.input.claims,  # noqa: F821
            path_to_template=snakemake.input.template,  # noqa: F821
            path_to_report=snakemake.output[0],  # noqa: F821
        )
