"""Score the samples of protein runs: hydrophobic fraction and reward of each sequence."""

from compute_aligned.provenance.artifacts import read_artifact, write_artifact
from compute_aligned.provenance.job import job
from compute_aligned.tasks import Problem
from compute_aligned.tasks.protein import score_samples


def score_proteins(path_to_samples: str, path_to_problems: str, path_to_scores: str) -> dict:
    """Score every sample of one run.

    Args:
        path_to_samples: the run's samples.
        path_to_problems: the evaluation split.
        path_to_scores: where the scores go.

    Returns:
        the share of valid sequences, for the manifest.
    """
    problems = [Problem(**row) for row in read_artifact("problems", path_to_problems).to_dict("records")]
    scores = score_samples(read_artifact("samples", path_to_samples), problems)
    write_artifact(scores, "protein_scores", path_to_scores)
    return {"valid_share": float(scores["sequence"].notna().mean())}


if __name__ == "__main__":
    with job(snakemake) as facts:  # noqa: F821
        facts["runs"] = [
            score_proteins(
                path_to_samples=samples,
                path_to_problems=snakemake.input.problems,  # noqa: F821
                path_to_scores=scores,
            )
            for samples, scores in zip(snakemake.input.samples, snakemake.output, strict=True)  # noqa: F821
        ]
