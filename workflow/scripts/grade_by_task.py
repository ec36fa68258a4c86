"""Grade the samples of runs with the own scorer of their task, and with the paper's grader."""

from compute_aligned.grading import answer_text, normalize_answer, paper_grader
from compute_aligned.provenance.artifacts import read_artifact, write_artifact
from compute_aligned.provenance.job import job
from compute_aligned.tasks.questions import Questions
from compute_aligned.tasks.reasoning_gym import Scorer


def grade_by_task(
    path_to_samples: str, path_to_problems: str, target: str, scorer: Scorer, path_to_scores: str
) -> dict:
    """Grade every sample of one run.

    Args:
        path_to_samples: the run's samples.
        path_to_problems: the evaluation split.
        target: the supervised text; with ``answer`` the completion itself is the answer.
        scorer: of the task.
        path_to_scores: where the scores go.

    Returns:
        how often each outcome came, and how often the two graders differ.
    """
    whole_is_answer = target == "answer"
    scores = read_artifact("samples", path_to_samples)[["problem_id", "sample", "completion"]]
    problems = read_artifact("problems", path_to_problems).set_index("problem_id")
    texts = [answer_text(completion, whole_is_answer) for completion in scores["completion"]]
    verdicts = [
        "invalid" if text is None else {True: "right", False: "wrong", None: "timeout"}[scorer(prompt, text)]
        for prompt, text in zip(scores["problem_id"].map(problems["prompt"]), texts, strict=True)
    ]
    gold = scores["problem_id"].map(problems["answer"])
    pairs = list(zip(scores["completion"], gold, strict=True))
    scores["answer"] = [None if text is None else normalize_answer(text) for text in texts]
    scores["correct"] = [verdict == "right" for verdict in verdicts]
    scores["correct_paper_grader"] = [paper_grader(completion, answer, whole_is_answer) for completion, answer in pairs]
    scores["reward"] = scores["correct"].astype(float)
    scores["outcome"] = verdicts
    write_artifact(scores.drop(columns="completion"), "scores", path_to_scores)
    return {
        "outcomes": {name: int(count) for name, count in scores["outcome"].value_counts().items()},
        "graders_differ": int((scores["correct"] != scores["correct_paper_grader"]).sum()),
    }


if __name__ == "__main__":
    with job(snakemake) as facts, Scorer(Questions(**snakemake.params.questions)) as scorer:  # noqa: F821
        facts["runs"] = [
            grade_by_task(
                path_to_samples=samples,
                path_to_problems=snakemake.input.problems,  # noqa: F821
                target=snakemake.params.target,  # noqa: F821
                scorer=scorer,
                path_to_scores=scores,
            )
            for samples, scores in zip(snakemake.input.samples, snakemake.output, strict=True)  # noqa: F821
        ]
