"""MATH (Hendrycks et al. 2021) from the hub at a pinned revision, or from local JSONL or Parquet files."""

import random
from collections.abc import Iterable
from pathlib import Path

from .problems import Problem, refuse_overlap, split_without_overlap

COLUMNS = ("problem", "solution", "answer", "subject", "level")
PROMPT = "Problem:\n{problem}"  # P Sec. 3.1, C: the whole user turn; no system prompt, no instruction to box


def load_splits(source: dict, validation_size: int, seed: int) -> dict[str, list[Problem]]:
    """Read the train and test split and hold out a validation split from train.

    Args:
        source: ``{"hub": id, "revision": commit}``, or ``{"train_file": path, "test_file": path}``, which go first.
        validation_size: how many training problems to hold out for choosing sizes and learning rates.
        seed: seed of the hold-out.

    Raises:
        ValueError: a column is missing, a row is empty or of an unknown level, or a test problem stands
            in the training data.
    """
    rows = {split: _read(source, split) for split in ("train", "test")}
    problems = {split: [_problem(row, split, i) for i, row in enumerate(rows[split])] for split in rows}
    sizes = {"validation": validation_size, "train": len(problems["train"]) - validation_size}
    if sizes["train"] <= 0:
        raise ValueError(
            f"a validation split of {validation_size} problems was asked for, "
            f"the training data has {len(problems['train'])}"
        )
    splits = split_without_overlap(problems["train"], sizes, random.Random(seed))
    splits["test"] = problems["test"]
    refuse_overlap({"train": problems["train"], "test": problems["test"]})
    return splits


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
