"""A corpus of generated arithmetic, to pre-train the small model that stands in for a chat model such as Mistral's.

A quarter of the texts are chains of equations, the others chat turns: problems of ``arithmetic``'s levels with their
solutions, of which a share states the answer alone. So the model knows the digits, the operations and what a turn looks
like before any run begins. Nothing here knows of strategies or objectives.

No text holds the text of a held-out problem, not as a problem, not as a step, and not inside a longer one: such a text
is drawn again.
"""

import random
from collections.abc import Collection
from typing import NamedTuple

from .arithmetic import LEVELS, draw_problem, solution

CHAIN_SHARE = 1 / 4
# Of a chain. Numbers stay in the range of the problems' own steps.
EQUATIONS = (3, 5)
RESULTS = (-80, 200)
LARGEST_FACTOR = 30
OPERATIONS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}


class Text(NamedTuple):
    """A text of the corpus: a chat turn, or, where ``problem`` is None, a chain of equations."""

    problem: str | None
    text: str


def generate_corpus(seed: int, size: int, held_out: Collection[str]) -> list[Text]:
    """Draw texts.

    Args:
        seed: seed of the generator.
        size: number of texts.
        held_out: texts of problems that no text may hold.
    """
    rng = random.Random(f"{seed} corpus")
    corpus: list[Text] = []
    while len(corpus) < size:
        text = _chain(rng) if rng.random() < CHAIN_SHARE else _turn(rng)
        if not any(problem in part for part in text if part is not None for problem in held_out):
            corpus.append(text)
    return corpus


def _chain(rng: random.Random) -> Text:
    """Equations, one a line, each of which goes on from the value of the one before it while that is in range."""
    lines: list[str] = []
    wanted = rng.randint(*EQUATIONS)
    value = rng.randint(2, 99)
    while len(lines) < wanted:
        sign = rng.choice("+-*" if value <= LARGEST_FACTOR else "+-")
        other = rng.randint(2, 9) if sign == "*" else rng.randint(2, 99)
        result = OPERATIONS[sign](value, other)
        if RESULTS[0] <= result <= RESULTS[1]:
            lines.append(f"{value}{sign}{other}={result}")
            value = result
        if not 2 <= value <= RESULTS[1]:  # a line begins with a plain number, as a problem does
            value = rng.randint(2, 99)
    return Text(None, "\n".join(lines))


def _turn(rng: random.Random) -> Text:
    problem, steps, value = draw_problem(rng, rng.choice(list(LEVELS)))
    return Text(problem, solution(rng, steps, value))
