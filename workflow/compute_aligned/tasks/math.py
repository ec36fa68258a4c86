"""MATH (Hendrycks et al. 2021) from the hub at a pinned revision, or from local JSONL or Parquet files."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from .local_files import read_rows, shortened
from .problems import Problem, folded, refuse_overlap, split_without_overlap

COLUMNS = ("problem", "solution", "answer", "subject", "level")
PROMPT = "Problem:\n{problem}"  # P Sec. 3.1, C: the whole user turn; no system prompt, no instruction to box


def load_splits(
    source: dict, validation_size: int, seed: int, expected: dict | None
) -> tuple[dict[str, list[Problem]], dict]:
    """Read the train and test split, leave repeated problems out of train, and hold out a validation split from it.

    Args:
        source: ``{"hub": id, "revision": commit}``, or ``{"train_file": path, "test_file": path}``, which go first.
        validation_size: how many training problems to hold out for choosing sizes and learning rates.
        seed: seed of the hold-out.
        expected: for ``check_rows``; None asks for nothing.

    Returns:
        the splits, and what the manifest should say: rows of the data and repeated problems (``drop_repeats``).

    Raises:
        ValueError: a file is not there or broken, a column is missing, a value is blank or of another type, a level
            is unknown, an id stands twice, or there are other numbers of rows than expected.
    """
    problems = {
        split: [
            _problem(row, f"{where}: MATH {split} row {index}", f"{split}/{index:05d}")
            for index, (where, row) in enumerate(_read(source, split))
        ]
        for split in ("train", "test")
    }
    _refuse_repeated_ids(problems)
    found = count_rows(problems)
    if expected is not None:
        check_rows(found, expected)
    problems["train"], repeats = drop_repeats(problems["train"], problems["test"])
    sizes = {"validation": validation_size, "train": len(problems["train"]) - validation_size}
    if sizes["train"] <= 0:
        raise ValueError(
            f"a validation split of {validation_size} problems was asked for, "
            f"the training data has {len(problems['train'])}"
        )
    splits = split_without_overlap(problems["train"], sizes, random.Random(seed))
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
        expected: the same keys.

    Raises:
        ValueError: a number differs.
    """
    wrong = [f"{key}: found {found[key]}, expected {expected[key]}" for key in expected if found[key] != expected[key]]
    if wrong:
        raise ValueError(
            f"MATH has other rows than the preset expects ({'; '.join(wrong)}): other data, or another version of "
            "them; if they are meant, change data.math.expected, or set it to null"
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
            raise ValueError(f"MATH: the id {problem_id!r} stands {n} times in train and test; each row needs its own")


def _read(source: dict, split: str) -> Iterator[tuple[str, dict]]:
    """Where each row of a split stands, and the row."""
    if f"{split}_file" in source:
        path = Path(source[f"{split}_file"])
        if not path.is_file():
            raise ValueError(f"{path}: no such file; it is named as {split}_file in the config")
        yield from read_rows(path)
        return
    from datasets import load_dataset

    # A cache does no harm here: it is that of the commit.
    rows = load_dataset(source["hub"], revision=source["revision"], split=split)
    yield from ((source["hub"], row) for row in rows)


def _problem(row: dict, where: str, number: str) -> Problem:
    """The problem of a row.

    Args:
        row: the five columns; ``answer`` may be a whole number, ``level`` 3, "3" or "Level 3", and ``unique_id`` a text
            or a whole number, or be left out.
        where: for messages.
        number: the id of a row without one.
    """
    for column in COLUMNS:
        if column not in row:
            raise ValueError(f"{where}: column {column!r} is missing; found {', '.join(map(str, row)) or 'none'}")
        if row[column] is None or (isinstance(row[column], str) and not row[column].strip()):
            raise ValueError(f"{where}: column {column!r} is missing or empty: found {row[column]!r}, wanted a value")
    level = row["level"]
    if isinstance(level, bool) or str(level).removeprefix("Level ") not in {"1", "2", "3", "4", "5"}:
        raise ValueError(f"{where}: column 'level': level is {shortened(level)}, wanted 1 to 5")
    return Problem(
        problem_id=number if row.get("unique_id") is None else _text(row, "unique_id", where, whole_numbers=True),
        prompt=PROMPT.format(problem=_text(row, "problem", where)),
        target=_text(row, "solution", where),
        answer=_text(row, "answer", where, whole_numbers=True),
        subject=_text(row, "subject", where),
        level=int(str(level).removeprefix("Level ")),
    )


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
