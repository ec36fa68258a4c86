"""The registry of training objectives: a name in the config -> what a run is trained on.

A new SFT objective is one entry here: a name pattern and the operator it stands for.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from .operators import Majority, PassAtN


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


def sft_objective(name: str) -> SFTObjective:
    """The SFT objective of a config name.

    Raises:
        ValueError: no such objective, or impossible numbers in its name (such as k > N).
    """
    for pattern, (operator, label) in SFT_OBJECTIVES.items():
        if match := re.fullmatch(pattern, name):
            numbers = [int(number) for number in match.groups()]
            return SFTObjective(name, label.format(*numbers), operator(*numbers))
    raise ValueError(f"unknown SFT objective {name!r}; wanted ce, pass_n<N> or majority_n<N>_k<k>")
