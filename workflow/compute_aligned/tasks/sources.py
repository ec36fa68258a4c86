"""Where a task's problems come from: what a preset says under `data.<task>`."""

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator
from pydantic_core import PydanticCustomError

from ..settings import Count, Seed, Settings, Text, Whole


class Sizes(Settings):
    """Numbers of generated problems."""

    train: Count
    """problems of warm-up and training"""
    validation: Count
    """problems for choosing sizes"""
    test: Count
    """evaluation problems"""

    def by_split(self) -> dict[str, int]:
        """Split -> its size, in the order in which shuffled problems are cut into splits."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


class Arithmetic(Settings):
    """Chains of sums in place of MATH (tasks/arithmetic.py)."""

    loader: Literal["arithmetic"]
    """generated arithmetic problems of five levels"""
    seed: Seed
    """seed of the generator and of the choice of training problems"""
    sizes: Sizes
    """problems per split"""


class ProteinConditional(Settings):
    """The paper's second protein task (Table 6)."""

    loader: Literal["protein_conditional"]
    """generated protein sequences and their mirrored hydrophobicity"""
    seed: Seed
    """seed of the generator and of the choice of problems"""
    sizes: Sizes
    """problems per split"""


class ProteinUnconditional(Settings):
    """The paper's first protein task (Table 6): one problem, so there is nothing to draw or to choose."""

    loader: Literal["protein_unconditional"]
    """one problem, without text"""


class MathFiles(Settings):
    """Where MATH is read from."""

    hub: Text = None
    """data set on the Hugging Face hub"""
    revision: Text = None
    """its commit hash or branch"""
    train_file: Text = None
    """local training problems"""
    test_file: Text = None
    """local test problems"""

    @model_validator(mode="after")
    def whole(self) -> Self:
        for name, other in (("train_file", "test_file"), ("test_file", "train_file")):
            if getattr(self, name) is not None and getattr(self, other) is None:
                raise PydanticCustomError("missing_beside", "", {"missing": other, "beside": name})
        if self.train_file is None and (self.hub is None or self.revision is None):
            raise PydanticCustomError("choice", "hub+revision or train_file+test_file")
        return self


class MathRows(Settings):
    """Numbers of rows that the data must have."""

    train: Count
    """training rows"""
    test: Count
    """test rows"""
    test_levels: Annotated[list[Whole], Field(min_length=5, max_length=5)]
    """test rows of levels 1 to 5"""


class Math(Settings):
    """MATH, as the paper splits it: 12,000 rows to train on, the 500 of MATH-500 to test with."""

    loader: Literal["math"]
    """MATH"""
    seed: Seed
    """seed of the validation hold-out and of the choice of problems"""
    validation_size: Count
    """training problems held out"""
    expected: MathRows | None
    """rows that the data must have, else the run stops; null asks for nothing"""
    source: MathFiles
    """hub and revision, or train_file and test_file (.jsonl, .json, .parquet), which go before the hub"""


Task = Annotated[
    Arithmetic | ProteinConditional | ProteinUnconditional | Math,
    Field(discriminator="loader"),
]


def read_task(content: dict) -> Task:
    """The task that a rule's `params` or a preset describe."""
    return TypeAdapter(Task).validate_python(content)
