"""The registry of training objectives: a name in the config -> what a run is trained on.

A new SFT objective is one entry here: a name pattern and the operator it stands for.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from .operators import BestOfN, Majority, Operator, PassAtN


@dataclass(frozen=True)
class SFTObjective:
    """An objective of supervised fine-tuning, per sequence.

    Attributes:
        name: its name in the config, such as ``pass_n16``.
        label: its name in tables and figures, as the paper writes it.
        operator: the strategy S whose log S(p) is maximised; cross-entropy is Pass@1, log S = log p.
    """

    name: str
    label: str
    operator: PassAtN | Majority

    def loss(self, log_p: Tensor) -> Tensor:
        """-log S(p) of each sequence (PAPER Table 1, SFT), to be differentiated directly.

        Args:
            log_p: log-probability of each gold completion, summed over its tokens, shape (sequences,).
        """
        return -self.operator.log_success(log_p)

    def weight(self, log_p: Tensor) -> Tensor:
        """The scalar by which the gradient of cross-entropy is multiplied, shape as ``log_p``."""
        return self.operator.sft_weight(log_p)


# pattern of the name -> (operator, label), both made from the numbers in the name
SFT_OBJECTIVES: dict[str, tuple[Callable, str]] = {
    r"ce": (lambda: PassAtN(1), "CE"),
    r"pass_n(\d+)": (PassAtN, "Pass@{}"),
    r"majority_n(\d+)_k(\d+)": (Majority, "Maj@{} k={}"),
}
# The strategies by name: those above (cross-entropy's is pass_n1), and best-of-N, which SFT replaces by Pass@N.
STRATEGIES = {pattern: made for pattern, made in SFT_OBJECTIVES.items() if pattern != "ce"}
STRATEGIES[r"best_of_n(\d+)"] = (BestOfN, "BoN-{}")


def sft_objective(name: str) -> SFTObjective:
    """The SFT objective of a config name.

    Raises:
        ValueError: no such objective, or impossible numbers in its name (such as k > N).
    """
    if made := _made(name, SFT_OBJECTIVES):
        operator, label = made
        return SFTObjective(name, label, operator)
    raise ValueError(f"unknown SFT objective {name!r}; wanted ce, pass_n<N> or majority_n<N>_k<k>")


def strategy(name: str) -> tuple[Operator, str]:
    """The operator and the label of a strategy's name, such as ``best_of_n4``.

    Raises:
        ValueError: no such strategy, or impossible numbers in its name.
    """
    if made := _made(name, STRATEGIES):
        return made
    raise ValueError(f"unknown strategy {name!r}; wanted pass_n<N>, majority_n<N>_k<k> or best_of_n<N>")


def _made(name: str, registry: dict[str, tuple[Callable, str]]) -> tuple[Operator, str] | None:
    for pattern, (operator, label) in registry.items():
        if match := re.fullmatch(pattern, name):
            numbers = [int(number) for number in match.groups()]
            return operator(*numbers), label.format(*numbers)
    return None
