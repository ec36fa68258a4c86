"""A table of questions and answers, such as MATH or GSM8K: from the hub at a pinned revision, or from local files."""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from .local_files import read_rows, shortened
from .problems import Problem, folded, refuse_overlap, split_without_overlap
from .sources import PLACEHOLDER, Columns, Table

BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])")


def load_splits(task: Table) -> tuple[dict[str, list[Problem]], dict]:
    """Read the train and test split, leave repeated problems out of train, and hold out a validation split from it.

    Args:
        task: where the rows come from, and what its columns mean. Local files go before the hub.

    Returns:
        the splits, and what the manifest should say: rows of the data and repeated problems (``drop_repeats``).

    Raises:
        ValueError: a file is not there or broken, a column is missing, a value is blank or of another type, an answer
            is not found, a level is unknown, an id stands twice, there are other numbers of rows than expected, or too
            few to hold out a validation split.
    """
    problems = {
        split: [
            _problem(row, f"{where}: {split} row {index}", f"{split}/{index:05d}", task)
            for index, (where, row) in enumerate(_read(task, split))
        ]
        for split in ("train", "test")
    }
    _refuse_repeated_ids(problems)
    found = count_rows(problems)
    if task.expected is not None:
        check_rows(found, task.expected.plain())
    problems["train"], repeats = drop_repeats(problems["train"], problems["test"])
    sizes = {"validation": task.validation_size, "train": len(problems["train"]) - task.validation_size}
    if sizes["train"] <= 0:
        raise ValueError(
            f"{task.source.train_file or task.source.hub}: a validation split of {task.validation_size} problems was "
            f"asked for, the training data has {len(problems['train'])}; wanted a smaller validation_size"
        )
    splits = split_without_overlap(problems["train"], sizes, random.Random(task.seed))
    splits["test"] = problems["test"]
    refuse_overlap(splits)
    return splits, {"rows": found, "repeats": repeats}


def count_rows(problems: dict[str, list[Problem]]) -> dict:
    """Rows of the train and test split, and the test rows of levels 1 to 5, as ``check_rows`` compares them."""
    levels = Counter(problem.level for problem in problems["test"])
    return {
        **{split: len(problems[split]) for split in ("train", "test")},
        "test_levels": [levels[level] for level in range(1, 6)],
    }


def check_rows(found: dict, expected: dict) -> None:
    """Refuse data that are not the ones a preset was written for.

    Args:
        found: of ``count_rows``.
        expected: some of the same keys.

    Raises:
        ValueError: a number differs.
    """
    wrong = [f"{key}: found {found[key]}, expected {expected[key]}" for key in expected if found[key] != expected[key]]
    if wrong:
        raise ValueError(
            f"the data have other rows than the preset expects ({'; '.join(wrong)}): other data, or another version of "
            "them; if they are meant, change `expected`, or set it to null"
        )


def drop_repeats(train: Sequence[Problem], test: Sequence[Problem]) -> tuple[list[Problem], dict[str, int]]:
    """Training problems whose text, white space folded, stands neither in the test split nor earlier in train.

    The test split stays as it is, since the paper's numbers are over all of it.

    Returns:
        the problems kept; and how many were dropped for each reason, and how many test rows repeat another.
    """
    tested = {folded(problem.prompt) for problem in test}
    outside = [problem for problem in train if folded(problem.prompt) not in tested]
    first: dict[str, Problem] = {}
    for problem in outside:
        first.setdefault(folded(problem.prompt), problem)
    kept = list(first.values())
    return kept, {
        "train_in_test": len(train) - len(outside),
        "within_train": len(outside) - len(kept),
        "within_test": len(test) - len(tested),
    }


def _refuse_repeated_ids(problems: dict[str, list[Problem]]) -> None:
    for problem_id, n in Counter(problem.problem_id for split in problems.values() for problem in split).items():
        if n > 1:
            raise ValueError(f"the id {problem_id!r} stands {n} times in train and test; each row needs its own")


def _read(task: Table, split: str) -> Iterator[tuple[str, dict]]:
    """Where each row of a split stands, and the row."""
    source = task.source
    if source.train_file is not None:
        path = Path(getattr(source, f"{split}_file"))
        if not path.is_file():
            raise ValueError(f"{path}: no such file; it is named as {split}_file in the config")
        yield from read_rows(path)
        return
    from datasets import load_dataset

    # A cache does no harm here: it is that of the commit.
    subset = {} if source.subset is None else {"name": source.subset}
    rows = load_dataset(source.hub, revision=source.revision, split=getattr(source, f"{split}_split"), **subset)
    yield from ((source.hub, row) for row in rows)


def _problem(row: dict, where: str, number: str, task: Table) -> Problem:
    """The problem of a row.

    Args:
        row: ``answer`` and ``id`` may be texts or whole numbers, ``level`` 3, "3" or "Level 3"; a row may have no id.
        where: for messages.
        number: the id of a row without one.
        task: what the columns mean.
    """
    columns = task.columns
    for role in Columns.model_fields:
        column = getattr(columns, role)
        if column is None or role == "id":
            continue
        if column not in row:
            raise ValueError(
                f"{where}: column {column!r}, named as columns.{role}, is missing; found "
                f"{', '.join(map(str, row)) or 'none'}"
            )
        if row[column] is None or (isinstance(row[column], str) and not row[column].strip()):
            raise ValueError(f"{where}: column {column!r} is missing or empty: found {row[column]!r}, wanted a value")
    level = "1" if columns.level is None else row[columns.level]
    if isinstance(level, bool) or str(level).removeprefix("Level ") not in {"1", "2", "3", "4", "5"}:
        raise ValueError(f"{where}: column {columns.level!r}: level is {shortened(level)}, wanted 1 to 5")
    target, answer = _solved(row, where, task)
    return Problem(
        problem_id=number if row.get(columns.id) is None else _text(row, columns.id, where, whole_numbers=True),
        prompt=_prompt(row, where, task),
        target=target,
        answer=answer,
        subject="none" if columns.subject is None else _text(row, columns.subject, where),
        level=int(str(level).removeprefix("Level ")),
    )


def _prompt(row: dict, where: str, task: Table) -> str:
    """The user turn: the template with the row's texts in place of the names in braces."""

    def text(name: re.Match) -> str:
        column = task.columns.problem if name[1] == "problem" else name[1]
        if column not in row:
            raise ValueError(
                f"{where}: column {column!r}, named in the prompt, is missing; found {', '.join(map(str, row))}"
            )
        return _text(row, column, where, whole_numbers=column != task.columns.problem)

    return PLACEHOLDER.sub(text, task.prompt)


def _solved(row: dict, where: str, task: Table) -> tuple[str, str]:
    r"""Solution and answer of a row. The grader reads the answer in the solution's \boxed{}, so each gets one.

    What the pattern of the answer finds in a solution without a box is taken out of it: the box stands in its place.
    """
    columns = task.columns
    answer = _text(row, columns.answer, where, whole_numbers=True)
    solution = "" if columns.solution is None else _text(row, columns.solution, where)
    boxed = BOX.search(solution) is not None
    if task.answer_pattern is not None:
        *_, last = [None, *re.finditer(task.answer_pattern, answer)]
        if last is None or not (last[1] or "").strip():
            raise ValueError(
                f"{where}: column {columns.answer!r}: found {shortened(answer)}, wanted a text in which the "
                f"answer_pattern {task.answer_pattern!r} finds an answer"
            )
        if columns.solution == columns.answer and not boxed:
            solution = f"{solution[: last.start()].rstrip()}{solution[last.end() :].rstrip()}"
        answer = last[1].strip()
    if task.remove_pattern is not None:
        solution, answer = (re.sub(task.remove_pattern, "", text) for text in (solution, answer))
        if not answer.strip():
            raise ValueError(f"{where}: column {columns.answer!r}: remove_pattern leaves nothing of the answer")
    if not boxed:
        solution = f"{solution.rstrip()}\n\\boxed{{{answer}}}".lstrip("\n")
    return solution, answer


def _text(row: dict, column: str, where: str, whole_numbers: bool = False) -> str:
    """The text of a column.

    A whole number has one way to be written; what a decimal number looked like in the data, no reader can say.
    """
    value = row[column]
    if whole_numbers and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    wanted = f"a text{' or a whole number' if whole_numbers else ''}"
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where}: column {column!r}: found {shortened(value)}, wanted {wanted}")
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell
        raise ValueError(f"{where}: column {column!r}: found {shortened(value)}, which is no Unicode text") from None
    return value
