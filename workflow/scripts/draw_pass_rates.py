"""Draw the pass rates of an experiment as PDF and PNG."""

from compute_aligned.presentation.figures.curves import pass_rate_figure
from compute_aligned.presentation.figures.style import save_figure
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.provenance.job import job


def draw_pass_rates(path_to_pass_rates: str, preset: str, split: str, path_to_pdf: str, path_to_png: str) -> None:
    """Draw one figure.

    Args:
        path_to_pass_rates: the shares of every run.
        preset: name of the preset, for the title.
        split: the evaluated split, for the title.
        path_to_pdf: where the PDF goes.
        path_to_png: where the PNG goes.
    """
    pass_rates = read_artifact("pass_rates", path_to_pass_rates)
    row, n_seeds = pass_rates.iloc[0], pass_rates["seed"].nunique()
    seeds = "1 seed, no band" if n_seeds == 1 else f"mean of {n_seeds} seeds, bands from the lowest to the highest"
    problems = "1 problem" if row["n_problems"] == 1 else f"{row['n_problems']} {split} problems"
    title = f"Preset {preset}: {problems}, pools of {row['n_samples']} samples; {seeds}."
    save_figure(pass_rate_figure(pass_rates, title), path_to_pdf, path_to_png)


if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        draw_pass_rates(
            path_to_pass_rates=snakemake.input.pass_rates,  # noqa: F821
            preset=snakemake.params.preset,  # noqa: F821
            split=snakemake.params.split,  # noqa: F821
            path_to_pdf=snakemake.output.pdf,  # noqa: F821
            path_to_png=snakemake.output.png,  # noqa: F821
        )
