"""Draw the hydrophobicity of protein samples as PDF and PNG."""

import pandas as pd

from compute_aligned.presentation.figures.proteins import hydrophobicity_figure, inversion_figure
from compute_aligned.presentation.figures.style import save_figure
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.provenance.job import job


def draw_proteins(
    paths_to_scores: list[str], runs: list[dict], kind: str, preset: str, split: str, path_to_pdf: str, path_to_png: str
) -> None:
    """Draw one figure: densities of all seeds together, or input against output of the first seed.

    Args:
        paths_to_scores: ``protein_scores`` of each run.
        runs: ``label`` and ``seed`` of each.
        kind: ``hydrophobicity`` or ``inversion``.
        preset: name of the preset, for the title.
        split: the evaluated split, for the title.
        path_to_pdf: where the PDF goes.
        path_to_png: where the PNG goes.
    """
    frames = [
        read_artifact("protein_scores", path).assign(**run) for path, run in zip(paths_to_scores, runs, strict=True)
    ]
    scores = pd.concat(frames, ignore_index=True)
    seeds = list(dict.fromkeys(scores["seed"]))
    if kind == "inversion":
        scores, seeds = scores[scores["seed"] == seeds[0]], seeds[:1]
    n_problems, n_samples = scores["problem_id"].nunique(), scores["sample"].nunique()
    of_seeds = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds together"
    prompts = "one prompt" if n_problems == 1 else f"{n_problems} {split} prompts"
    title = f"Preset {preset}: {of_seeds}, {prompts}, pools of {n_samples} samples. The reward is synthetic."
    figure = {"hydrophobicity": hydrophobicity_figure, "inversion": inversion_figure}[kind](scores, title)
    save_figure(figure, path_to_pdf, path_to_png)


if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        draw_proteins(
            paths_to_scores=list(snakemake.input.scores),  # noqa: F821
            runs=snakemake.params.runs,  # noqa: F821
            kind=snakemake.params.kind,  # noqa: F821
            preset=snakemake.params.preset,  # noqa: F821
            split=snakemake.params.split,  # noqa: F821
            path_to_pdf=snakemake.output.pdf,  # noqa: F821
            path_to_png=snakemake.output.png,  # noqa: F821
        )
