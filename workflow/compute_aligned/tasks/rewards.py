"""Rewards of the tasks, in the form TRL calls them."""

from collections.abc import Callable, Iterable, Sequence

from ..grading import answer_text, extract_answer, normalize_answer, paper_grader
from ..tasks import protein
from ..tasks.reasoning_gym import Scorer

# (completion, gold answer) pairs -> the normalised answer of each, None if it has no valid one, and whether it is right
Grader = Callable[[Iterable[tuple[str, str]]], list[tuple[str | None, bool]]]


def grade_as_the_paper(pairs: Iterable[tuple[str, str]], whole_is_answer: bool) -> list[tuple[str | None, bool]]:
    """Answers and verdicts of the paper's own grader (``grading.paper_grader``). It computes nothing that could hang.

    Args:
        pairs: completion and bare gold answer.
        whole_is_answer: see ``grading.extract_answer``.
    """
    return [(extract_answer(text, whole_is_answer), paper_grader(text, gold, whole_is_answer)) for text, gold in pairs]


class AnswerReward:
    """1 for a right answer, 0 for any other text (paper Sec. 3.2: r in {0, 1}).

    The answers, on which majority votes are counted, go to TRL's log of completions as column ``answer``, where the
    trainer finds them.

    Args:
        grade: the grader, such as ``partial(grade_as_the_paper, whole_is_answer=False)``.
    """

    __name__ = "correct"  # TRL logs rewards/correct/mean

    def __init__(self, grade: Grader):
        self.grade = grade

    def __call__(
        self,
        prompts: Sequence,
        completions: Sequence[str | list[dict]],
        answer: Sequence[str],
        log_extra: Callable[[str, list], None],
        **columns,
    ) -> list[float]:
        """Rewards of a batch.

        Args:
            prompts: not looked at.
            completions: texts, or conversations whose last message is the completion.
            answer: the bare gold answer of each completion's problem, a column of the data set.
            log_extra: TRL's way to log a column beside the completions.
            columns: whatever else TRL passes; not looked at.
        """
        texts = _texts(completions)
        grades = self.grade(zip(texts, answer, strict=True))
        log_extra("answer", [answer for answer, _ in grades])
        return [float(correct) for _, correct in grades]


class ScorerReward:
    """1 for an answer that the task's own scorer gives a full score, 0 for any other text.

    Answers are logged as ``AnswerReward`` does; an answer without a verdict within the time limit is worth 0.

    Args:
        scorer: of the task whose prompts are trained on.
        whole_is_answer: see ``grading.extract_answer``.
    """

    __name__ = "correct"

    def __init__(self, scorer: Scorer, whole_is_answer: bool):
        self.scorer = scorer
        self.whole_is_answer = whole_is_answer

    def __call__(
        self,
        prompts: Sequence[str | list[dict]],
        completions: Sequence[str | list[dict]],
        log_extra: Callable[[str, list], None],
        **columns,
    ) -> list[float]:
        """Rewards of a batch; arguments as of ``AnswerReward``, and the prompts say which question was asked."""
        texts = [answer_text(text, self.whole_is_answer) for text in _texts(completions)]
        log_extra("answer", [None if text is None else normalize_answer(text) for text in texts])
        pairs = zip(_texts(prompts), texts, strict=True)
        return [float(text is not None and bool(self.scorer(prompt, text))) for prompt, text in pairs]


class ProteinReward:
    """The reward of a protein sequence (paper Table 6), of the task that its prompt belongs to.

    The share of the unconditional completions in the jackpot's zone goes to TRL's log as ``jackpot_share``.
    """

    __name__ = "protein"

    def __call__(
        self,
        prompts: Sequence[str | list[dict]],
        completions: Sequence[str | list[dict]],
        log_metric: Callable[[str, float], None],
        **columns,
    ) -> list[float]:
        """The reward of each completion.

        Args:
            prompts: an empty one belongs to the unconditional task, any other names the input sequence.
            completions: as texts or as conversations.
            log_metric: TRL's way to log a number of the batch.
            columns: whatever else TRL passes; not looked at.
        """
        pairs = list(zip(_texts(prompts), _texts(completions), strict=True))
        if jackpots := [protein.hits_jackpot(text) for prompt, text in pairs if not prompt]:
            log_metric("jackpot_share", sum(jackpots) / len(jackpots))
        return [
            protein.conditional_reward(text, protein.input_sequence(prompt))
            if prompt
            else protein.unconditional_reward(text)
            for prompt, text in pairs
        ]


def _texts(turns: Sequence[str | list[dict]]) -> list[str]:
    return [turn if isinstance(turn, str) else turn[-1]["content"] for turn in turns]
