"""Draw a figure as PDF and PNG."""

from compute_aligned.presentation.figures.style import save_figure
from compute_aligned.presentation.making import make_item
from compute_aligned.provenance.job import job

if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        figure, caption = make_item(
            function=snakemake.params.function,  # noqa: F821
            inputs=dict(snakemake.input.items()),  # noqa: F821
            told=snakemake.params.told,  # noqa: F821
        )
        save_figure(figure, caption, *snakemake.output)  # noqa: F821
