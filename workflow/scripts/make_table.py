"""Write a table as CSV, Markdown and LaTeX."""

from compute_aligned.presentation.making import make_item
from compute_aligned.presentation.tables.forms import write_table
from compute_aligned.provenance.job import job

if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        table = make_item(
            function=snakemake.params.function,  # noqa: F821
            inputs=dict(snakemake.input.items()),  # noqa: F821
            told=snakemake.params.told,  # noqa: F821
        )
        write_table(table, *snakemake.output)  # noqa: F821
