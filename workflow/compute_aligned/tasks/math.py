"""MATH (Hendrycks et al. 2021) from the hub at a pinned revision, or from local JSONL or Parquet files."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

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
        ValueError: a column is missing, a row is empty or of an unknown level, an id stands twice, or there are other
            numbers of rows than expected.
    """
    rows = {split: _read(source, split) for split in ("train", "test")}
    problems = {split: [_problem(row, split, i) for i, row in enumerate(rows[split])] for split in rows}
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


def _read(source: dict, split: str) -> Iterable[dict]:
    from datasets import load_dataset

    if f"{split}_file" not in source:
        return load_dataset(source["hub"], revision=source["revision"], split=split)
    path = Path(source[f"{split}_file"])
    if not path.is_file():
        raise ValueError(f"{path}: no such file; it is named as {split}_file in the config")
    kind = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}.get(path.suffix)
    if kind is None:
        raise ValueError(f"{path}: wanted a .jsonl, .json or .parquet file")
    return load_dataset(kind, data_files=str(path), split="train")


def _problem(row: dict, split: str, index: int) -> Problem:
    for column in COLUMNS:
        if row.get(column) in (None, ""):
            raise ValueError(f"MATH {split} row {index}: column {column!r} is missing or empty")
    level = str(row["level"]).removeprefix("Level ")
    if level not in {"1", "2", "3", "4", "5"}:
        raise ValueError(f"MATH {split} row {index}: level is {row['level']!r}, wanted 1 to 5")
    return Problem(
        problem_id=str(row.get("unique_id") or f"{split}/{index:05d}"),
        prompt=PROMPT.format(problem=row["problem"]),
        target=row["solution"],
        answer=str(row["answer"]),
        subject=row["subject"],
        level=int(level),
    )
