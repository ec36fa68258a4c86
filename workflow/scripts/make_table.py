"""Write a table of the paper as CSV, Markdown and LaTeX."""

from compute_aligned.artifacts import read_artifact, whole
from compute_aligned.captions import what_was_run
from compute_aligned.provenance import job
from compute_aligned.tables import latex_table, markdown_table, wide_table


def make_table(
    path_to_summary: str,
    path_to_weights: str,
    title: str,
    preset: str,
    split: str,
    path_to_csv: str,
    path_to_markdown: str,
    path_to_latex: str,
) -> None:
    """Write the three forms of one table.

    Args:
        path_to_summary: the experiment's summary.
        path_to_weights: the experiment's training weights.
        title: what the table shows.
        preset: name of the preset, for the caption.
        split: the evaluated split, for the caption.
        path_to_csv: where the wide table goes.
        path_to_markdown: where the Markdown goes.
        path_to_latex: where the LaTeX goes.
    """
    summary = read_artifact("summary", path_to_summary)
    weights = read_artifact("weights", path_to_weights)
    caption = f"{title} {what_was_run(summary, preset, split)}"
    with whole(path_to_csv) as path:
        wide_table(summary, weights).to_csv(path, index=False)
    with whole(path_to_markdown) as path:
        path.write_text(markdown_table(summary, weights, caption))
    with whole(path_to_latex) as path:
        path.write_text(latex_table(summary, caption))


if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        make_table(
            path_to_summary=snakemake.input.summary,  # noqa: F821
            path_to_weights=snakemake.input.weights,  # noqa: F821
            title=snakemake.params.title,  # noqa: F821
            preset=snakemake.params.preset,  # noqa: F821
            split=snakemake.params.split,  # noqa: F821
            path_to_csv=snakemake.output.csv,  # noqa: F821
            path_to_markdown=snakemake.output.markdown,  # noqa: F821
            path_to_latex=snakemake.output.latex,  # noqa: F821
        )
