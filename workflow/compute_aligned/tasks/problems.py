"""The problem record that every task produces, and the selection rules that all recipes share."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One row of ``data/<task>/<split>``.

    Attributes:
        problem_id: unique over all splits of the task.
        prompt: the user turn, as the model's chat template receives it.
        target: the reference solution with its working.
        answer: the final answer alone.
        subject: the topic.
        level: difficulty, 1 (easy) to 5 (hard).
    """

    problem_id: str
    prompt: str
    target: str
    answer: str
    subject: str
    level: int


def split_without_overlap(
    problems: Sequence[Problem], sizes: dict[str, int], rng: random.Random
) -> dict[str, list[Problem]]:
    """Shuffle problems and cut them into consecutive splits of the given sizes."""
    shuffled = list(problems)
    rng.shuffle(shuffled)
    splits, start = {}, 0
    for name, size in sizes.items():
        splits[name] = shuffled[start : start + size]
        start += size
    return splits


def folded(text: str) -> str:
    """A text with its white space folded: what makes two problems the same one."""
    return " ".join(text.split())


def refuse_overlap(splits: dict[str, list[Problem]]) -> None:
    """Raise ValueError if a prompt stands in two splits (white space folded)."""
    owner: dict[str, str] = {}
    for name, problems in splits.items():
        for problem in problems:
            first = owner.setdefault(folded(problem.prompt), name)
            if first != name:
                raise ValueError(
                    f"problem {problem.problem_id} of split {name!r} stands in split {first!r} too: "
                    "training and evaluation problems must not overlap"
                )


def select(problems: Sequence[Problem], levels: Sequence[int], size: int | None, seed: int) -> list[Problem]:
    """Filter by level, then shuffle, then take: the order of the authors' released code.

    Args:
        problems: the split.
        levels: the levels to keep.
        size: how many to take; None for all.
        seed: seed of the shuffle, the same for all objectives and all seeds of a recipe.

    Raises:
        ValueError: fewer problems than asked for.
    """
    kept = [problem for problem in problems if problem.level in levels]
    if size is not None and size > len(kept):
        counts = dict(sorted(Counter(problem.level for problem in problems).items()))
        raise ValueError(
            f"{size} problems of levels {list(levels)} were asked for, found {len(kept)} (problems per level: {counts})"
        )
    random.Random(seed).shuffle(kept)
    return kept[:size]
