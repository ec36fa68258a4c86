"""Write a table of compared runs as CSV, Markdown and LaTeX."""

from compute_aligned.presentation.tables.comparison import comparison
from compute_aligned.presentation.tables.forms import write_table
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.provenance.job import job

if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        table = comparison(
            summary=[read_artifact("summary", path) for path in snakemake.input.summaries],  # noqa: F821
            weights=[read_artifact("weights", path) for path in snakemake.input.weights],  # noqa: F821
            titles=snakemake.params.titles,  # noqa: F821
            preset=snakemake.params.preset,  # noqa: F821
            split=snakemake.params.split,  # noqa: F821
        )
        write_table(table, *snakemake.output)  # noqa: F821
