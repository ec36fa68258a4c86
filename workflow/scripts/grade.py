"""Grade the samples of runs with math-verify and with the paper's grader."""

from compute_aligned.grading import grade_many
from compute_aligned.provenance.artifacts import read_artifact, write_artifact
from compute_aligned.provenance.job import job

TIME_LIMIT_S = 10  # per comparison; a comparison beyond it is recorded as "timeout"


def grade(path_to_samples: str, path_to_problems: str, target: str, workers: int, path_to_scores: str) -> dict:
    """Grade every sample of one run.

    Args:
        path_to_samples: the run's samples.
        path_to_problems: the evaluation split, which holds the gold answers.
        target: the supervised text; with ``answer`` the completion itself is the answer.
        workers: processes that compare answers.
        path_to_scores: where the scores go.

    Returns:
        how often each outcome came, and how often the two graders differ.
    """
    samples = read_artifact("samples", path_to_samples)
    gold = read_artifact("problems", path_to_problems).set_index("problem_id")["answer"]
    pairs = list(zip(samples["completion"], samples["problem_id"].map(gold), strict=True))
    grades = grade_many(pairs, time_limit_s=TIME_LIMIT_S, workers=workers, whole_is_answer=target == "answer")
    scores = samples[["problem_id", "sample"]].copy()
    columns = ["answer", "correct", "correct_paper_grader", "outcome"]
    scores[columns] = [[getattr(one, column) for column in columns] for one in grades]
    scores["correct"] = scores["correct"].fillna(False).astype(bool)
    scores["correct_paper_grader"] = scores["correct_paper_grader"].astype(bool)
    scores["reward"] = scores["correct"].astype(float)
    write_artifact(
        scores[["problem_id", "sample", "answer", "correct", "correct_paper_grader", "reward", "outcome"]],
        "scores",
        path_to_scores,
    )
    return {
        "outcomes": {name: int(count) for name, count in scores["outcome"].value_counts().items()},
        "graders_differ": int((scores["correct"] != scores["correct_paper_grader"]).sum()),
    }


if __name__ == "__main__":
    with job(snakemake) as facts:  # noqa: F821
        facts["runs"] = [
            grade(
                path_to_samples=samples,
                path_to_problems=snakemake.input.problems,  # noqa: F821
                target=snakemake.params.target,  # noqa: F821
                workers=snakemake.threads,  # noqa: F821
                path_to_scores=scores,
            )
            for samples, scores in zip(snakemake.input.samples, snakemake.output, strict=True)  # noqa: F821
        ]
