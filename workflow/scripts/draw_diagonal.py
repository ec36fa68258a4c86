"""Draw a figure of the diagonal approximation as PDF and PNG."""

from compute_aligned.presentation.figures.diagonal import rho_figure, what_was_diagnosed
from compute_aligned.presentation.figures.style import save_figure
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.provenance.job import job


def draw_diagonal(
    path_to_ratios: str,
    path_to_rho: str,
    figure: str,
    title: str,
    preset: str,
    split: str,
    path_to_pdf: str,
    path_to_png: str,
) -> None:
    """Draw one figure.

    Args:
        path_to_ratios: rho of every problem.
        path_to_rho: its summary per figure.
        figure: name of the figure.
        title: what it shows.
        preset: name of the preset, for the title.
        split: the evaluated split, for the title.
        path_to_pdf: where the PDF goes.
        path_to_png: where the PNG goes.
    """
    ratios = read_artifact("diagonal_ratios", path_to_ratios)
    rho = read_artifact("diagonal_rho", path_to_rho).set_index("figure").loc[figure]
    whole_title = f"{title} {what_was_diagnosed(rho, preset, split)}"
    save_figure(rho_figure(ratios[ratios["figure"] == figure], rho, whole_title), path_to_pdf, path_to_png)


if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        draw_diagonal(
            path_to_ratios=snakemake.input.ratios,  # noqa: F821
            path_to_rho=snakemake.input.rho,  # noqa: F821
            figure=snakemake.params.figure,  # noqa: F821
            title=snakemake.params.title,  # noqa: F821
            preset=snakemake.params.preset,  # noqa: F821
            split=snakemake.params.split,  # noqa: F821
            path_to_pdf=snakemake.output.pdf,  # noqa: F821
            path_to_png=snakemake.output.png,  # noqa: F821
        )
