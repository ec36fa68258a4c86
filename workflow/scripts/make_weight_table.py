"""Write the table of the strategies' weights as CSV, Markdown and LaTeX."""

from compute_aligned.presentation.tables.closed_form import closed_form
from compute_aligned.presentation.tables.forms import write_table
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.provenance.job import job

READ = ("curves", "alignment", "variance", "normalisation", "within_prompt")

if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        artifacts = {kind: read_artifact(kind, snakemake.input[kind]) for kind in READ}  # noqa: F821
        table = closed_form(
            **artifacts,
            title=snakemake.params.title,  # noqa: F821
            values=snakemake.params.values,  # noqa: F821
        )
        write_table(table, *snakemake.output)  # noqa: F821
