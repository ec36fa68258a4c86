"""Arithmetic problems of five levels, shaped like MATH rows: the tiny preset's stand-in for MATH.

The problems are synthetic and drawn by a seeded generator; they say nothing about mathematics beyond
integer arithmetic. Each one has a worked solution, a line per step, with the answer in ``\\boxed{}``.
"""

import random

from .problems import Problem, split_without_overlap

# Every character that a prompt, a solution or an answer can contain; the tokenizer has one token for each.
ALPHABET = "0123456789+-*()=\n\\{}boxed"
WORDS = ["\\boxed{"]  # one token: every solution holds it once, and no step is learnt from spelling it


def _level_1(rng: random.Random) -> tuple[str, list[str], int]:
    a, b = rng.randint(10, 99), rng.randint(10, 99)
    return f"{a}+{b}", [f"{a}+{b}={a + b}"], a + b


def _level_2(rng: random.Random) -> tuple[str, list[str], int]:
    a, b, c = rng.randint(2, 30), rng.randint(2, 30), rng.randint(2, 30)
    return f"{a}+{b}-{c}", [f"{a}+{b}={a + b}", f"{a + b}-{c}={a + b - c}"], a + b - c


def _level_3(rng: random.Random) -> tuple[str, list[str], int]:
    a, b, c = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 30)
    return f"{a}*{b}+{c}", [f"{a}*{b}={a * b}", f"{a * b}+{c}={a * b + c}"], a * b + c


def _level_4(rng: random.Random) -> tuple[str, list[str], int]:
    a, b, c = rng.randint(2, 15), rng.randint(2, 15), rng.randint(2, 9)
    return f"({a}+{b})*{c}", [f"{a}+{b}={a + b}", f"{a + b}*{c}={(a + b) * c}"], (a + b) * c


def _level_5(rng: random.Random) -> tuple[str, list[str], int]:
    a, b, c, d = (rng.randint(2, 9) for _ in range(4))
    steps = [f"{a}*{b}={a * b}", f"{c}*{d}={c * d}"]
    # Either product may be worked out first: several ways lead to one answer.
    rng.shuffle(steps)
    return f"{a}*{b}-{c}*{d}", [*steps, f"{a * b}-{c * d}={a * b - c * d}"], a * b - c * d


LEVELS = {
    1: ("addition", _level_1),
    2: ("addition and subtraction", _level_2),
    3: ("multiplication and addition", _level_3),
    4: ("product of a sum", _level_4),
    5: ("difference of products", _level_5),
}


# Share of the solutions that state the answer alone, as MATH's solutions show more or less of their working, too. A
# model trained on both kinds answers either way, and is right more often with the working.
SHORT_SHARE = 1 / 2
MAX_REPEATS = 10_000  # a level that is nearly used up repeats itself


def draw_problem(rng: random.Random, level: int) -> tuple[str, list[str], int]:
    """A problem of a level: its text, the steps of its working, and its value."""
    _, draw = LEVELS[level]
    return draw(rng)


def solution(rng: random.Random, steps: list[str], value: int) -> str:
    """A solution: the steps, or none of them, a line each, and the boxed value."""
    shown = [] if rng.random() < SHORT_SHARE else steps
    return "\n".join([*shown, f"\\boxed{{{value}}}"])


def generate_splits(seed: int, sizes: dict[str, int]) -> dict[str, list[Problem]]:
    """Draw disjoint splits of distinct problems, levels in equal shares.

    Args:
        seed: seed of the generator; the same seed gives the same problems on every machine.
        sizes: split name -> number of problems.

    Returns:
        split name -> problems, in random order.

    Raises:
        ValueError: more problems than the levels hold.
    """
    rng = random.Random(seed)
    lengths = random.Random(f"{seed} short solutions")  # apart, so that the problems do not depend on it
    problems: dict[str, Problem] = {}
    repeats = 0
    while len(problems) < sum(sizes.values()):
        level = len(problems) % len(LEVELS) + 1
        text, steps, value = draw_problem(rng, level)
        if text in problems:
            repeats += 1
            if repeats > MAX_REPEATS:
                raise ValueError(
                    f"{sum(sizes.values())} arithmetic problems were asked for; after {len(problems)} the generator "
                    f"found no new one of level {level} in {MAX_REPEATS} tries"
                )
            continue
        repeats = 0
        problems[text] = Problem(
            problem_id=f"arithmetic/{len(problems):05d}",
            prompt=text,
            target=solution(lengths, steps, value),
            answer=str(value),
            subject=LEVELS[level][0],
            level=level,
        )
    return split_without_overlap(list(problems.values()), sizes, rng)
