"""Questions of reasoning-gym's tasks (Stojanovski et al. 2025, arXiv 2505.24760), and their own scorers.

A scorer sees an answer as it was written, and some read it as Python or algebra, so that a few characters could take
for ever, or all memory. It therefore works in a process of its own, this module as a command, which is killed at a time
limit.
"""

import contextlib
import difflib
import hashlib
import importlib.util
import json
import os
import random
import select
import subprocess
import sys
from collections.abc import Iterator

from .problems import Problem, folded, split_without_overlap
from .questions import Questions

TIME_LIMIT_S = 10  # of one answer
WORKER_MEMORY_BYTES = 8 * 1024**3  # of addresses, in the process that scores
TRIES_PER_QUESTION = 20  # a task that is nearly used up repeats itself
RIGHT = 1 - 1e-9  # the least score of a right answer: partial credit is none


def refuse_without_package() -> None:
    """Raise ValueError where reasoning-gym is not installed."""
    if importlib.util.find_spec("reasoning_gym") is None:
        raise ValueError(
            "loader reasoning_gym needs the package reasoning-gym, which is not installed; `pip install --constraint "
            "constraints.txt --editable '.[reasoning-gym]'` in this environment installs it"
        )


def load_splits(questions: Questions, sizes: dict[str, int]) -> dict[str, list[Problem]]:
    r"""Draw disjoint splits of distinct questions.

    There are no worked solutions: the target is the answer in the ``\boxed{}`` that the grader reads.

    Args:
        questions: the task, and as many questions as the splits hold.
        sizes: split name -> number of problems.

    Raises:
        ValueError: the package is not there; it has no such task or setting; the task has fewer questions or no written
            answers; or its scorer, asked in another process, does not know a question or calls its own answer wrong.
    """
    entries = list(_entries(questions))
    problems = [_problem(questions.task, *one) for one in entries]
    with Scorer(questions) as scorer:
        if scorer.digest() != _digest(entries):  # a task that goes through a set, whose order is each process's own
            raise ValueError(
                f"{_named(questions)}: it makes other questions or answers in each process, so they could not be made "
                "again; wanted another task"
            )
        for problem in problems:
            if not scorer(problem.prompt, problem.answer):
                raise ValueError(
                    f"{_named(questions)}: its scorer does not call its own answer to {problem.problem_id}, "
                    f"{problem.answer[:60]!r}, right, so its scores cannot be trusted"
                )
    return split_without_overlap(problems, sizes, random.Random(questions.seed))


def first_problems(questions: Questions, n: int) -> list[Problem]:
    """The first distinct problems, at most n, for a look before the first job.

    Raises:
        ValueError: as ``load_splits``, as far as these tell.
    """
    return [_problem(questions.task, *one) for one in _entries(questions | {"n": min(n, questions.n)})]


class Scorer:
    """Whether answers are right, by the task's own scorer: a full score is right, partial credit wrong.

    A scorer that raises, or dies with its process, calls the answer wrong.

    Args:
        questions: the task.
        time_limit_s: seconds of one answer.
    """

    def __init__(self, questions: Questions, time_limit_s: float = TIME_LIMIT_S):
        refuse_without_package()
        self.questions = questions
        self.time_limit_s = time_limit_s
        self._process: subprocess.Popen | None = None
        self._digest = ""
        self._verdicts: dict[tuple[str, str], bool | None] = {}

    def __enter__(self) -> "Scorer":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def __call__(self, prompt: str, answer: str) -> bool | None:
        """Whether an answer to a problem is right; None: no verdict within the time limit.

        Raises:
            ValueError: no question of the task has that prompt.
        """
        key = (prompt, answer)
        if key not in self._verdicts:
            self._verdicts[key] = self._asked(prompt, answer)
        return self._verdicts[key]

    def digest(self) -> str:
        """Of the questions and answers as the scorer's process made them."""
        self._process = self._process or self._started()
        return self._digest

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _asked(self, prompt: str, answer: str) -> bool | None:
        process = self._process = self._process or self._started()
        with contextlib.suppress(BrokenPipeError):  # it died; the empty reply says so
            process.stdin.write(json.dumps([prompt, answer]) + "\n")
            process.stdin.flush()
        if not select.select([process.stdout], [], [], self.time_limit_s)[0]:
            self.close()
            return None
        reply = process.stdout.readline().strip()
        if reply == "unknown":
            raise ValueError(
                f"{_named(self.questions)}: the package that is installed does not ask {prompt[:60]!r}, so no answer "
                "to it can be scored; wanted the version that made the problems"
            )
        if not reply:
            self.close()
        return reply == "right"

    def _started(self) -> subprocess.Popen:
        # Of the package that runs here, wherever it was found.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "encoding": "utf-8"}
        process = subprocess.Popen([sys.executable, "-m", __name__], env=environment, **pipes)
        process.stdin.write(json.dumps(self.questions.plain()) + "\n")
        process.stdin.flush()
        self._digest = process.stdout.readline().strip()
        if not self._digest:
            process.communicate()
            raise ValueError(f"{_named(self.questions)}: its scorer did not start; what stopped it stands above")
        return process


def _entries(questions: Questions) -> Iterator[tuple[int, str, dict]]:
    """Index, prompt and entry of the first distinct questions, entries as the package makes them.

    Raises:
        ValueError: as ``load_splits``.
    """
    refuse_without_package()
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    if questions.task not in DATASETS:
        nearest = difflib.get_close_matches(questions.task, DATASETS, n=1)
        hint = f"; the nearest is {nearest[0]}" if nearest else ""
        raise ValueError(f"reasoning-gym has no task {questions.task!r}{hint}; it has {', '.join(sorted(DATASETS))}")
    tries = questions.n * TRIES_PER_QUESTION
    try:
        entries = reasoning_gym.create_dataset(
            questions.task, seed=questions.seed, size=tries, **questions.plain()["settings"]
        )
    except Exception as error:  # each task's own way to refuse a setting
        raise ValueError(f"{_named(questions)}: {' '.join(str(error).split())}") from error
    seen: set[str] = set()
    for index in range(tries):
        if len(seen) == questions.n:
            return
        entry = entries[index]
        prompt = questions.prompt.replace("{problem}", entry["question"])
        if not isinstance(entry["answer"], str) or not entry["answer"].strip():
            raise ValueError(
                f"{_named(questions)}: found {entry['answer']!r} as the answer to question {index}, wanted a text "
                "that can be learnt"
            )
        if folded(prompt) not in seen:
            seen.add(folded(prompt))
            yield index, prompt, entry
    raise ValueError(
        f"{_named(questions)}: {questions.n} problems were asked for, found {len(seen)} different ones in {tries} "
        "tries; wanted fewer, or settings with more of them"
    )


def _problem(task: str, index: int, prompt: str, entry: dict) -> Problem:
    return Problem(
        problem_id=f"{task}/{index:06d}",
        prompt=prompt,
        target=f"\\boxed{{{entry['answer']}}}",
        answer=entry["answer"],
        subject=task,
        level=1,
    )


def _digest(entries: list[tuple[int, str, dict]]) -> str:
    texts = [[prompt, entry["answer"]] for _, prompt, entry in entries]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def _named(questions: Questions) -> str:
    return f"reasoning-gym's task {questions.task!r}"


def _serve() -> None:
    """Read the questions, then prompts with answers, a line of JSON each, and write a word about each answer."""
    replies, sys.stdout = sys.stdout, sys.stderr  # some scorers print
    with contextlib.suppress(ImportError, OSError, ValueError):  # the time limit alone must do
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (WORKER_MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    import reasoning_gym

    questions = Questions(**json.loads(sys.stdin.readline()))
    made = list(_entries(questions))
    entries = {prompt: entry for _, prompt, entry in made}
    scorer = reasoning_gym.create_dataset(
        questions.task, seed=questions.seed, size=questions.n * TRIES_PER_QUESTION, **questions.settings
    )
    print(_digest(made), file=replies, flush=True)
    for line in sys.stdin:
        prompt, answer = json.loads(line)
        try:
            right = scorer.score_answer(answer, entries[prompt]) >= RIGHT if prompt in entries else None
        except Exception:  # of an answer that it cannot read
            right = False
        print({True: "right", False: "wrong", None: "unknown"}[right], file=replies, flush=True)


if __name__ == "__main__":
    _serve()
