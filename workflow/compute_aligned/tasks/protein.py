"""Protein tasks: sequences that are rewarded for their hydrophobic fraction, without and with an input sequence.

The rewards are synthetic functions of how many residues are hydrophobic. They have no biological meaning: no sequence
is folded, expressed or compared with a natural protein, and a high reward says nothing about a protein's use.

Source: the paper's protein tasks (Table 6, Apps. H to J), and the released code where it says less.
"""

import random
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .problems import Problem, split_without_overlap

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
HYDROPHOBIC = "AILMFWYV"
POLAR = "".join(sorted(set(RESIDUES) - set(HYDROPHOBIC)))

# Positions on the axis of the hydrophobic fraction: two peaks of the unconditional reward and what lies between.
TRAP = 0.35
VALLEY = (0.45, 0.60)
JACKPOT = 0.75
JACKPOT_ZONE = (0.65, 0.85)  # around it: what counts as a jackpot, ends included

INVALID_REWARD = -5.0
SHORTEST_UNCONDITIONAL = 10  # residues
SHORTEST_CONDITIONAL = 5
LENGTHS = range(10, 20)  # residues of an input sequence and of a warm-up target

PROMPT = "Input: {sequence} \n Output:"
# Every character of a prompt or a target.
ALPHABET = RESIDUES + PROMPT.replace("{sequence}", "")

# Shares of residues are fractions with small denominators, so two that differ at all differ by far more than this;
# without it 0.3 - 0.2 < 0.1 in floats and a sequence exactly on an open bound would be fined.
_ROUNDING = 1e-9


# --- sequences -------------------------------------------------------------------------------------------------------


def clean(text: str) -> str:
    """A completion as a sequence: white space removed, upper case. Defined for every text."""
    return "".join(text.split()).upper()


def is_valid(sequence: str, shortest: int) -> bool:
    """Whether a cleaned sequence has at least `shortest` letters, all of them residues."""
    return len(sequence) >= shortest and set(sequence) <= set(RESIDUES)


def hydrophobic_fraction(sequence: str) -> float:
    """Share h in [0, 1] of a cleaned sequence's letters that are in AILMFWYV; NaN for the empty sequence."""
    if not sequence:
        return float("nan")
    return sum(map(sequence.count, HYDROPHOBIC)) / len(sequence)


# --- rewards ---------------------------------------------------------------------------------------------------------


def unconditional_reward_at(fraction: ArrayLike) -> NDArray[np.float64]:
    """Reward of valid sequences by their hydrophobic fraction: a low wide peak, a fine, a high narrow peak.

    R = 4 exp(-(h-0.35)^2/0.05) + 12 exp(-(h-0.75)^2/0.015) - 2 [0.45 < h < 0.60]; at most 12.165, at h = 0.748.

    Args:
        fraction: h, any shape.

    Returns:
        reward, same shape.
    """
    h = np.asarray(fraction, dtype=np.float64)
    low, high = VALLEY
    fined = (h > low + _ROUNDING) & (h < high - _ROUNDING)
    return 4 * np.exp(-((h - TRAP) ** 2) / 0.05) + 12 * np.exp(-((h - JACKPOT) ** 2) / 0.015) - 2.0 * fined


def conditional_reward_at(fraction: ArrayLike, input_fraction: ArrayLike) -> NDArray[np.float64]:
    """Reward of valid sequences by their own and their input's hydrophobic fraction: best where they add up to 1.

    R = 10 exp(-(h-(1-h_in))^2/0.05) - 2 [|h-h_in| < 0.1 and |h_in-0.5| > 0.1]; at most 10. The fine is for copying the
    input, except where copying is nearly right.

    Args:
        fraction: h, any shape.
        input_fraction: h_in, a shape that broadcasts with it.

    Returns:
        reward, the common shape.
    """
    h, h_in = np.asarray(fraction, dtype=np.float64), np.asarray(input_fraction, dtype=np.float64)
    fined = (np.abs(h - h_in) < 0.1 - _ROUNDING) & (np.abs(h_in - 0.5) > 0.1 + _ROUNDING)
    return 10 * np.exp(-((h - (1 - h_in)) ** 2) / 0.05) - 2.0 * fined


def unconditional_reward(text: str) -> float:
    """Reward of a completion; -5 if it is shorter than 10 residues or has a letter that is no residue.

    Defined for every text, of whatever length and characters.
    """
    sequence = clean(text)
    if not is_valid(sequence, SHORTEST_UNCONDITIONAL):
        return INVALID_REWARD
    return float(unconditional_reward_at(hydrophobic_fraction(sequence)))


def hits_jackpot(text: str) -> bool:
    """Whether a completion of the unconditional task is valid and has its hydrophobic fraction in the jackpot's zone.

    Defined for every text, of whatever length and characters.
    """
    sequence = clean(text)
    low, high = JACKPOT_ZONE
    return is_valid(sequence, SHORTEST_UNCONDITIONAL) and low <= hydrophobic_fraction(sequence) <= high


def conditional_reward(text: str, input_sequence: str) -> float:
    """Reward of a completion for an input sequence; -5 if it is shorter than 5 residues or has another letter.

    Defined for every completion, of whatever length and characters.

    Args:
        text: the completion.
        input_sequence: residues of the prompt's input, not empty.
    """
    sequence = clean(text)
    if not is_valid(sequence, SHORTEST_CONDITIONAL):
        return INVALID_REWARD
    return float(conditional_reward_at(hydrophobic_fraction(sequence), hydrophobic_fraction(input_sequence)))


def input_sequence(prompt: str) -> str:
    """The sequence that a conditional prompt holds.

    Raises:
        ValueError: the text is no conditional prompt.
    """
    before, after = PROMPT.split("{sequence}")
    sequence = prompt.removeprefix(before).removesuffix(after)
    if prompt != PROMPT.format(sequence=sequence) or not is_valid(sequence, 1):
        raise ValueError(f"{prompt!r} is no conditional protein prompt, wanted {PROMPT!r} with a sequence of residues")
    return sequence


def reward(problem: Problem, text: str) -> float:
    """Reward of a completion of a problem of either task, told apart by the problem's subject."""
    if problem.subject == "conditional":
        return conditional_reward(text, input_sequence(problem.prompt))
    return unconditional_reward(text)


def score_samples(samples: pd.DataFrame, problems: Sequence[Problem]) -> pd.DataFrame:
    """Score every completion of a run.

    Args:
        samples: a ``samples`` artifact.
        problems: the problems that were sampled, of either task.

    Returns:
        a ``protein_scores`` artifact, rows in the order of the samples.

    Raises:
        ValueError: samples of a problem that is not among `problems`.
    """
    by_id = {problem.problem_id: problem for problem in problems}
    unknown = set(samples["problem_id"]) - by_id.keys()
    if unknown:
        raise ValueError(f"samples of problem {min(unknown)!r} were found, wanted only those of the problems given")
    return pd.DataFrame(
        [
            _score(by_id[problem_id], sample, completion)
            for problem_id, sample, completion in zip(
                samples["problem_id"], samples["sample"], samples["completion"], strict=True
            )
        ],
        columns=["problem_id", "sample", "sequence", "hydrophobic_fraction", "input_fraction", "reward"],
    )


def _score(problem: Problem, sample: int, completion: str) -> tuple:
    conditional = problem.subject == "conditional"
    sequence = clean(completion)
    valid = is_valid(sequence, SHORTEST_CONDITIONAL if conditional else SHORTEST_UNCONDITIONAL)
    return (
        problem.problem_id,
        sample,
        sequence if valid else None,
        hydrophobic_fraction(sequence) if valid else None,
        hydrophobic_fraction(input_sequence(problem.prompt)) if conditional else None,
        reward(problem, completion),
    )


# --- problems --------------------------------------------------------------------------------------------------------


def unconditional_problem() -> Problem:
    """The one problem of the unconditional task: no text, so that its prompt is the model's BOS token alone.

    Its answer is the hydrophobic fraction of the highest peak; it has no target, for nothing is learned from examples.
    """
    return Problem(
        problem_id="protein/unconditional",
        prompt="",
        target="",
        answer=str(JACKPOT),
        subject="unconditional",
        level=1,  # the task has no levels
    )


def generate_splits(seed: int, sizes: dict[str, int]) -> dict[str, list[Problem]]:
    """Draw disjoint splits of conditional problems.

    The input has 10 to 19 residues, uniform over the 20. The target, for the warm-up, is a blank and a sequence of 10
    to 19 residues with round((1-h_in) length) hydrophobic ones, shuffled; the end token comes with the encoding. Within
    its class a target's residue is uniform, which the paper does not say. A problem's answer is the hydrophobic
    fraction with the highest reward, 1 - h_in, as a decimal.

    Args:
        seed: seed of the generator; the same seed gives the same problems on every machine.
        sizes: split name -> number of problems.

    Returns:
        split name -> problems, in random order.
    """
    rng = random.Random(seed)
    problems: dict[str, Problem] = {}
    while len(problems) < sum(sizes.values()):
        sequence = "".join(rng.choices(RESIDUES, k=rng.choice(LENGTHS)))
        fraction = hydrophobic_fraction(sequence)
        problems[sequence] = Problem(
            problem_id=f"protein/{len(problems):05d}",
            prompt=PROMPT.format(sequence=sequence),
            target=" " + _mirrored(fraction, rng),
            answer=f"{1 - fraction:.4f}",
            subject="conditional",
            level=1,  # the task has no levels
        )
    return split_without_overlap(list(problems.values()), sizes, rng)


def _mirrored(input_fraction: float, rng: random.Random) -> str:
    """A sequence whose hydrophobic fraction is 1 - h_in, as nearly as its length allows."""
    length = rng.choice(LENGTHS)
    n_hydrophobic = round((1 - input_fraction) * length)
    residues = rng.choices(HYDROPHOBIC, k=n_hydrophobic) + rng.choices(POLAR, k=length - n_hydrophobic)
    rng.shuffle(residues)
    return "".join(residues)
