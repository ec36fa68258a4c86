"""Draw a figure of the paper as PDF and PNG."""

from compute_aligned.presentation.figures.registry import FIGURES
from compute_aligned.presentation.figures.style import save_figure
from compute_aligned.presentation.wording import against_the_paper, what_was_run
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.provenance.job import job


def draw_figure(path_to_summary: str, kind: str, preset: str, split: str, path_to_pdf: str, path_to_png: str) -> None:
    """Draw one figure.

    Args:
        path_to_summary: the experiment's summary.
        kind: a key of ``figures.registry.FIGURES``.
        preset: name of the preset, for the title.
        split: the evaluated split, for the title.
        path_to_pdf: where the PDF goes.
        path_to_png: where the PNG goes.
    """
    summary = read_artifact("summary", path_to_summary)
    # What it draws: the experiment's own metric. A table may show one more.
    drawn = summary[summary["metric"] == summary["metric"].iloc[0]]
    title = f"{what_was_run(summary, preset, split)} {against_the_paper(drawn)}".rstrip()
    figure = FIGURES[kind](summary, title=title)
    save_figure(figure, path_to_pdf, path_to_png)


if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        draw_figure(
            path_to_summary=snakemake.input.summary,  # noqa: F821
            kind=snakemake.params.kind,  # noqa: F821
            preset=snakemake.params.preset,  # noqa: F821
            split=snakemake.params.split,  # noqa: F821
            path_to_pdf=snakemake.output.pdf,  # noqa: F821
            path_to_png=snakemake.output.png,  # noqa: F821
        )
