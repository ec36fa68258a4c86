"""Write the gains of train budgets beside the alignment of their weights as CSV, Markdown and LaTeX."""

from compute_aligned.analysis.gains import beside_alignment, rank_correlation
from compute_aligned.presentation.tables import latex_alignment_table, markdown_alignment_table
from compute_aligned.presentation.wording import what_was_run
from compute_aligned.provenance.artifacts import read_artifact, whole
from compute_aligned.provenance.job import job


def make_alignment_table(
    path_to_summary: str,
    path_to_alignment: str,
    title: str,
    preset: str,
    split: str,
    path_to_csv: str,
    path_to_markdown: str,
    path_to_latex: str,
) -> None:
    """Write the three forms of the table.

    Args:
        path_to_summary: the experiment's summary.
        path_to_alignment: alignment coefficients of the weights.
        title: what the table shows.
        preset: name of the preset, for the caption.
        split: the evaluated split, for the caption.
        path_to_csv: where the numbers go.
        path_to_markdown: where the Markdown goes.
        path_to_latex: where the LaTeX goes.
    """
    summary = read_artifact("summary", path_to_summary)
    frame = beside_alignment(summary, read_artifact("alignment", path_to_alignment))
    caption = (
        f"{title} {what_was_run(summary, preset, split)} A: cosine of the SFT weights of Pass@N and Pass@k, p uniform "
        f"on [0, 1]. Rank correlation of A(N, k) - A(1, k) with the gain, over all N > 1 and k: "
        f"{rank_correlation(frame):.2f}."
    )
    with whole(path_to_csv) as path:
        frame.round(4).to_csv(path, index=False)
    with whole(path_to_markdown) as path:
        path.write_text(markdown_alignment_table(frame, caption))
    with whole(path_to_latex) as path:
        path.write_text(latex_alignment_table(frame, caption))


if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        make_alignment_table(
            path_to_summary=snakemake.input.summary,  # noqa: F821
            path_to_alignment=snakemake.input.alignment,  # noqa: F821
            title=snakemake.params.title,  # noqa: F821
            preset=snakemake.params.preset,  # noqa: F821
            split=snakemake.params.split,  # noqa: F821
            path_to_csv=snakemake.output.csv,  # noqa: F821
            path_to_markdown=snakemake.output.markdown,  # noqa: F821
            path_to_latex=snakemake.output.latex,  # noqa: F821
        )
