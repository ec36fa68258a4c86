"""Write the gains of train budgets beside the alignment of their weights as CSV, Markdown and LaTeX."""

from compute_aligned.presentation.tables.alignment import alignment
from compute_aligned.presentation.tables.forms import write_table
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.provenance.job import job

if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        table = alignment(
            summary=read_artifact("summary", snakemake.input.summary),  # noqa: F821
            alignment=read_artifact("alignment", snakemake.input.alignment),  # noqa: F821
            title=snakemake.params.title,  # noqa: F821
            preset=snakemake.params.preset,  # noqa: F821
            split=snakemake.params.split,  # noqa: F821
        )
        write_table(table, *snakemake.output)  # noqa: F821
