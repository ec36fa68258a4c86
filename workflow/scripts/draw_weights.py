"""Draw a figure of the strategies' weights as PDF and PNG."""

from compute_aligned.presentation.figures.style import save_figure
from compute_aligned.presentation.figures.weights import waste_figure, weights_figure
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.provenance.job import job


def draw_weights(path_to_curves: str, path_to_alignment: str, figure: dict, path_to_pdf: str, path_to_png: str) -> None:
    """Draw one figure.

    Args:
        path_to_curves: weights over p.
        path_to_alignment: pairs of strategies, for figures of waste.
        figure: the figure's entry in ``config/experiments.yaml``.
        path_to_pdf: where the PDF goes.
        path_to_png: where the PNG goes.
    """
    curves = read_artifact("curves", path_to_curves)
    what = {key: value for key, value in figure.items() if key != "draw"}
    if figure["draw"] == "waste":
        drawn = waste_figure(curves, read_artifact("alignment", path_to_alignment), **what)
    else:
        drawn = weights_figure(curves, **what)
    save_figure(drawn, path_to_pdf, path_to_png)


if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        draw_weights(
            path_to_curves=snakemake.input.curves,  # noqa: F821
            path_to_alignment=snakemake.input.alignment,  # noqa: F821
            figure=snakemake.params.figure,  # noqa: F821
            path_to_pdf=snakemake.output.pdf,  # noqa: F821
            path_to_png=snakemake.output.png,  # noqa: F821
        )
