"""Write a table of the paper as CSV, Markdown and LaTeX."""

from collections.abc import Sequence

import pandas as pd

from compute_aligned.presentation.tables import latex_table, markdown_table, wide_table
from compute_aligned.presentation.wording import against_the_paper, what_was_run
from compute_aligned.provenance.artifacts import read_artifact, whole
from compute_aligned.provenance.job import job


def make_table(
    paths_to_summaries: Sequence[str],
    paths_to_weights: Sequence[str],
    titles: Sequence[str],
    preset: str,
    split: str,
    path_to_csv: str,
    path_to_markdown: str,
    path_to_latex: str,
) -> None:
    """Write the three forms of one table, one part per experiment.

    Args:
        paths_to_summaries: each experiment's summary.
        paths_to_weights: each experiment's training weights.
        titles: what each part shows.
        preset: name of the preset, for the captions.
        split: the evaluated split, for the captions.
        path_to_csv: where the wide table goes.
        path_to_markdown: where the Markdown goes.
        path_to_latex: where the LaTeX goes.
    """
    wide, markdown, latex = [], [], []
    for path_to_summary, path_to_weights, title in zip(paths_to_summaries, paths_to_weights, titles, strict=True):
        summary = read_artifact("summary", path_to_summary)
        weights = read_artifact("weights", path_to_weights)
        caption = f"{title} {what_was_run(summary, preset, split)} {against_the_paper(summary)}".rstrip()
        wide.append(wide_table(summary, weights))
        markdown.append(markdown_table(summary, weights, caption))
        latex.append(latex_table(summary, caption))
    with whole(path_to_csv) as path:
        pd.concat(wide, ignore_index=True).to_csv(path, index=False)
    with whole(path_to_markdown) as path:
        path.write_text("\n".join(markdown))
    with whole(path_to_latex) as path:
        path.write_text("\n".join(latex))


if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        make_table(
            paths_to_summaries=list(snakemake.input.summaries),  # noqa: F821
            paths_to_weights=list(snakemake.input.weights),  # noqa: F821
            titles=snakemake.params.titles,  # noqa: F821
            preset=snakemake.params.preset,  # noqa: F821
            split=snakemake.params.split,  # noqa: F821
            path_to_csv=snakemake.output.csv,  # noqa: F821
            path_to_markdown=snakemake.output.markdown,  # noqa: F821
            path_to_latex=snakemake.output.latex,  # noqa: F821
        )
