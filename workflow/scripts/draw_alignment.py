"""Draw the gains of train budgets beside the alignment of their weights as PDF and PNG."""

from compute_aligned.presentation.figures.matrix import alignment_figure
from compute_aligned.presentation.figures.style import save_figure
from compute_aligned.presentation.wording import what_was_run
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.provenance.job import job


def draw_alignment(
    path_to_summary: str, path_to_alignment: str, preset: str, split: str, path_to_pdf: str, path_to_png: str
) -> None:
    """Draw one figure.

    Args:
        path_to_summary: the experiment's summary.
        path_to_alignment: alignment coefficients of the weights.
        preset: name of the preset, for the title.
        split: the evaluated split, for the title.
        path_to_pdf: where the PDF goes.
        path_to_png: where the PNG goes.
    """
    summary = read_artifact("summary", path_to_summary)
    alignment = read_artifact("alignment", path_to_alignment)
    figure = alignment_figure(summary, alignment, what_was_run(summary, preset, split))
    save_figure(figure, path_to_pdf, path_to_png)


if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        draw_alignment(
            path_to_summary=snakemake.input.summary,  # noqa: F821
            path_to_alignment=snakemake.input.alignment,  # noqa: F821
            preset=snakemake.params.preset,  # noqa: F821
            split=snakemake.params.split,  # noqa: F821
            path_to_pdf=snakemake.output.pdf,  # noqa: F821
            path_to_png=snakemake.output.png,  # noqa: F821
        )
