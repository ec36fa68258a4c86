"""Tokens per problem at each test budget, and the arms of an experiment compared at equal tokens."""

from collections.abc import Sequence

from compute_aligned.analysis.token_costs import token_costs
from compute_aligned.provenance.artifacts import read_artifact, write_artifact
from compute_aligned.provenance.job import job


def compute_token_costs(
    paths_to_samples: Sequence[str],
    runs: Sequence[dict],
    path_to_problem_metrics: str,
    path_to_summary: str,
    path_to_tokens: str,
) -> dict:
    """Count the tokens of every run and hold the arms against their baseline.

    Args:
        paths_to_samples: ``samples`` of each run.
        runs: name of the arm and seed of each.
        path_to_problem_metrics: the experiment's value of each run and problem.
        path_to_summary: its value of each arm, and what the arms are called.
        path_to_tokens: where the costs go.

    Returns:
        counts for the manifest.
    """
    samples = {
        (run["name"], run["seed"]): read_artifact("samples", path)[["problem_id", "n_tokens", "finish_reason"]]
        for path, run in zip(paths_to_samples, runs, strict=True)
    }
    summary = read_artifact("summary", path_to_summary)
    costs = token_costs(summary, read_artifact("problem_metrics", path_to_problem_metrics), samples)
    write_artifact(costs, "tokens", path_to_tokens)
    return {"n_runs": len(samples), "n_completions": sum(map(len, samples.values()))}


if __name__ == "__main__":
    with job(snakemake) as facts:  # noqa: F821
        facts |= compute_token_costs(
            paths_to_samples=list(snakemake.input.samples),  # noqa: F821
            runs=snakemake.params.runs,  # noqa: F821
            path_to_problem_metrics=snakemake.input.problem_metrics,  # noqa: F821
            path_to_summary=snakemake.input.summary,  # noqa: F821
            path_to_tokens=snakemake.output[0],  # noqa: F821
        )
