"""Write the table of the strategies' weights as CSV, Markdown and LaTeX."""

from compute_aligned.presentation.tables import latex_weight_table, markdown_weight_table, weight_values
from compute_aligned.provenance.artifacts import read_artifact, whole
from compute_aligned.provenance.job import job


def make_weight_table(
    path_to_curves: str,
    path_to_alignment: str,
    path_to_variance: str,
    path_to_normalisation: str,
    path_to_within_prompt: str,
    title: str,
    values: dict,
    path_to_csv: str,
    path_to_markdown: str,
    path_to_latex: str,
) -> None:
    """Write the three forms of one table.

    Args:
        path_to_curves: weights over p.
        path_to_alignment: alignment, waste and starvation of pairs of strategies.
        path_to_variance: variance of CAT's estimator against the pivotal one.
        path_to_normalisation: length of the gradient with raw and with normalised weights.
        path_to_within_prompt: what normalising within one prompt leaves of the weights.
        title: what the table shows.
        values: strategies and p of the numbers that it prints.
        path_to_csv: where formulas and numbers go.
        path_to_markdown: where the Markdown goes, with everything else.
        path_to_latex: where the LaTeX goes.
    """
    numbers = weight_values(read_artifact("curves", path_to_curves), **values)
    alignment = read_artifact("alignment", path_to_alignment)
    variance = read_artifact("variance", path_to_variance)
    normalisation = read_artifact("normalisation", path_to_normalisation)
    within_prompt = read_artifact("within_prompt", path_to_within_prompt)
    with whole(path_to_csv) as path:
        numbers.to_csv(path, index=False)
    with whole(path_to_markdown) as path:
        path.write_text(markdown_weight_table(numbers, alignment, variance, normalisation, within_prompt, title))
    with whole(path_to_latex) as path:
        path.write_text(latex_weight_table(numbers, title))


if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        make_weight_table(
            path_to_curves=snakemake.input.curves,  # noqa: F821
            path_to_alignment=snakemake.input.alignment,  # noqa: F821
            path_to_variance=snakemake.input.variance,  # noqa: F821
            path_to_normalisation=snakemake.input.normalisation,  # noqa: F821
            path_to_within_prompt=snakemake.input.within_prompt,  # noqa: F821
            title=snakemake.params.title,  # noqa: F821
            values=snakemake.params.values,  # noqa: F821
            path_to_csv=snakemake.output.csv,  # noqa: F821
            path_to_markdown=snakemake.output.markdown,  # noqa: F821
            path_to_latex=snakemake.output.latex,  # noqa: F821
        )
