"""Where a task's problems come from: what a preset says under `data.<task>`."""

import re
from functools import partial
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, TypeAdapter, model_validator
from pydantic_core import PydanticCustomError

from ..settings import Count, Seed, Settings, Text, Whole
from .questions import Questions, Value

PROMPT = "Problem:\n{problem}"  # P Sec. 3.1, C: the whole user turn; no system prompt, no instruction to box
PLACEHOLDER = re.compile(r"\{(\w+)\}")  # in a prompt; \boxed{} is none


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


class TableSource(Settings):
    """Where a table is read from."""

    hub: Text = None
    """data set on the Hugging Face hub"""
    revision: Text = None
    """its commit hash or branch"""
    subset: Text = None
    """its subset (configuration), where it has several"""
    train_split: Text = "train"
    """its split to train on; train[:90%] is a part of one"""
    test_split: Text = "test"
    """its split to test with"""
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


class Rows(Settings):
    """Numbers of rows that the data must have."""

    train: Count
    """training rows"""
    test: Count
    """test rows"""
    test_levels: Annotated[list[Whole], Field(min_length=5, max_length=5)] = None
    """test rows of levels 1 to 5"""


class Columns(Settings):
    """The columns of a table, by what they hold; two may be the same."""

    problem: Text
    """the question"""
    answer: Text
    """the final answer, or a text that holds it (answer_pattern)"""
    solution: Text | None = None
    """the worked solution; without it the boxed answer is all there is to learn"""
    subject: Text | None = None
    """the topic"""
    level: Text | None = None
    """difficulty, 1 to 5; without it all problems are of level 1"""
    id: Text | None = None
    """a name of its own for each row; rows without one are numbered"""


def _pattern(text: str, groups: int) -> str:
    try:
        compiled = re.compile(text)
    except re.error as error:
        raise PydanticCustomError("unfit", "", {"wanted": f"a regular expression ({error})"}) from None
    if compiled.groups != groups:
        wanted = f"a regular expression {'with one group (...), the answer' if groups else 'without a group'}"
        raise PydanticCustomError("unfit", "", {"wanted": wanted})
    return text


def _template(text: str) -> str:
    if "{problem}" not in text:
        raise PydanticCustomError("unfit", "", {"wanted": "a text with {problem} in it"})
    return text


Prompt = Annotated[Text, AfterValidator(_template)]


class Table(Settings):
    """A table of questions and answers.

    MATH is one: as the paper splits it, 12,000 rows to train on, the 500 of MATH-500 to test with.
    """

    loader: Literal["table"]
    """a table of questions and answers, such as MATH or GSM8K"""
    seed: Seed
    """seed of the validation hold-out and of the choice of problems"""
    validation_size: Count
    """training problems held out"""
    source: TableSource
    """hub and revision, or train_file and test_file (.jsonl, .json, .csv, .parquet), which go before the hub"""
    columns: Columns
    """the table's columns, by what they hold"""
    prompt: Prompt = PROMPT
    """the user turn; {problem} stands for the question, {name} for the column of that name; left out it is the paper's,
    "Problem:" and the question on the next line"""
    answer_pattern: Annotated[Text, AfterValidator(partial(_pattern, groups=1))] | None = None
    """regular expression whose group, at its last match in the column `answer`, is the answer; without it the whole
    column is"""
    remove_pattern: Annotated[Text, AfterValidator(partial(_pattern, groups=0))] | None = None
    """regular expression of what is taken out of solutions and answers"""
    expected: Rows | None = None
    """rows that the data must have, else the run stops; null asks for nothing"""

    @model_validator(mode="after")
    def prompt_keeps_the_answer(self) -> Self:
        secret = {self.columns.answer, self.columns.solution} - {self.columns.problem}
        told = [name for name in PLACEHOLDER.findall(self.prompt) if name in secret]
        if told:
            wanted = f"a prompt without {{{told[0]}}}, which holds the answer"
            raise PydanticCustomError("unfit", "", {"wanted": wanted})
        return self


class ReasoningGym(Settings):
    """Procedural questions of the package reasoning-gym (tasks/reasoning_gym.py), which scores the answers, too."""

    loader: Literal["reasoning_gym"]
    """questions of a task of the package reasoning-gym, whose own scorer says which answers are right"""
    seed: Seed
    """seed of the questions and of the choice of problems"""
    task: Text
    """the task's name, such as leg_counting"""
    settings: dict[str, Value] = {}
    """the task's own settings by name, such as max_animals; those left out are its defaults"""
    sizes: Sizes
    """problems per split"""
    prompt: Prompt = PROMPT
    """the user turn; {problem} stands for the question; left out it is the paper's, "Problem:" and the question on the
    next line"""

    @property
    def questions(self) -> Questions:
        """What its scorer needs to know."""
        n = sum(self.sizes.by_split().values())
        return Questions(task=self.task, settings=self.settings, seed=self.seed, n=n, prompt=self.prompt)


Task = Annotated[
    Arithmetic | ProteinConditional | ProteinUnconditional | Table | ReasoningGym,
    Field(discriminator="loader"),
]


def read_task(content: dict) -> Task:
    """The task that a rule's `params` or a preset describe."""
    return TypeAdapter(Task).validate_python(content)
