"""Draw how an experiment's reinforcement learning went, over its steps, as PDF and PNG."""

import pandas as pd

from compute_aligned.presentation.figures.style import save_figure
from compute_aligned.presentation.figures.training import training_figure
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.provenance.job import job


def draw_training(
    paths_to_records: list[str],
    runs: list[dict],
    reward: str,
    in_black: str | None,
    preset: str,
    path_to_pdf: str,
    path_to_png: str,
) -> None:
    """Draw one figure.

    Args:
        paths_to_records: ``rl_training`` of each run.
        runs: ``label`` and ``seed`` of each.
        reward: what the recipes reward, for the title: ``answer``, ``hydrophobicity`` or ``inversion``.
        in_black: see ``figures.training.training_figure``.
        preset: name of the preset, for the title.
        path_to_pdf: where the PDF goes.
        path_to_png: where the PNG goes.
    """
    frames = [
        read_artifact("rl_training", path).assign(**run) for path, run in zip(paths_to_records, runs, strict=True)
    ]
    records = pd.concat(frames, ignore_index=True)
    n_seeds = records["seed"].nunique()
    seeds = "1 seed, no band" if n_seeds == 1 else f"mean of {n_seeds} seeds, bands from the lowest to the highest"
    meaning = "Reward: 1 if right, else 0." if reward == "answer" else "The reward is synthetic."
    title = f"Preset {preset}, in training: {seeds}. {meaning}"
    save_figure(training_figure(records, title, in_black), path_to_pdf, path_to_png)


if __name__ == "__main__":
    with job(snakemake):  # noqa: F821
        draw_training(
            paths_to_records=list(snakemake.input.records),  # noqa: F821
            runs=snakemake.params.runs,  # noqa: F821
            reward=snakemake.params.reward,  # noqa: F821
            in_black=snakemake.params.in_black,  # noqa: F821
            preset=snakemake.params.preset,  # noqa: F821
            path_to_pdf=snakemake.output.pdf,  # noqa: F821
            path_to_png=snakemake.output.png,  # noqa: F821
        )
