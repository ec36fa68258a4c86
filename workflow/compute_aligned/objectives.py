"""The registry of training objectives: a name in the config -> what a run is trained on.

A new SFT objective is one function or class here and one line of ``SFT_OBJECTIVES``.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .operators import BestOfN, Majority, Operator, PassAtN

# --- supervised fine-tuning ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GoldCompletions:
    """The gold completions of a batch as the model sees them: all that an SFT objective may look at.

    Attributes:
        log_p: log-probability of each completion, summed over its supervised tokens, shape (rows,), differentiable.
        logits: of the next token, at every position where some row is supervised, shape (rows, positions,
            vocabulary), float32, differentiable.
        targets: the gold token there, shape (rows, positions); meaningless where ``supervised`` is False.
        supervised: whether the row is supervised there, shape (rows, positions).
        success_rate: share of right answers among completions sampled for the row's problem, shape (rows,); None
            unless the objective asks for it.
    """

    log_p: Tensor
    logits: Tensor
    targets: Tensor
    supervised: Tensor
    success_rate: Tensor | None = None


class SFTObjective(Protocol):
    """An objective of supervised fine-tuning.

    ``label`` is its name in tables and figures, as the paper writes it; ``needs_success_rate`` says whether it asks
    for ``GoldCompletions.success_rate``.
    """

    label: str
    needs_success_rate: ClassVar[bool]

    def loss(self, gold: GoldCompletions) -> Tensor:
        """The loss of each row, summed over its tokens, shape (rows,), to be differentiated directly."""

    def weight(self, gold: GoldCompletions) -> Tensor:
        """The factor on the row's gradient of cross-entropy, shape (rows,), float64, detached; NaN if there is none."""


@dataclass(frozen=True)
class SequenceForm:
    """-log S(p), p the probability of the whole gold completion (paper Table 1, SFT).

    Cross-entropy is Pass@1, log S = log p.
    """

    operator: PassAtN | Majority
    label: str
    needs_success_rate: ClassVar[bool] = False

    def loss(self, gold: GoldCompletions) -> Tensor:
        return -self.operator.log_success(gold.log_p)

    def weight(self, gold: GoldCompletions) -> Tensor:
        return self.operator.sft_weight(gold.log_p.detach().double())


@dataclass(frozen=True)
class MarginalForm:
    """w(p) times cross-entropy, p the probability of the *answer*: the share of right ones among sampled completions.

    Not in the paper. Of many ways to an answer the gold completion is one, so the sequence form's p is far too small
    where completions are long, and its weight a constant. Here the weight can act; it is the plug-in estimate from the
    sampled success rate (DCO^a, Chen et al., arXiv 2502.07154, without its threshold), a constant of the gradient.
    """

    operator: PassAtN | Majority
    label: str
    needs_success_rate: ClassVar[bool] = True

    def loss(self, gold: GoldCompletions) -> Tensor:
        return -self.weight(gold).to(gold.log_p) * gold.log_p

    def weight(self, gold: GoldCompletions) -> Tensor:
        # log 0 = -inf: no sample was right, and the weight is its limit as p -> 0.
        return self.operator.sft_weight(gold.success_rate.double().log())


@dataclass(frozen=True)
class TokenMargin:
    """Half cross-entropy, half a pairwise contrast of each gold token with sampled rivals (paper, App. A.7).

    Per supervised token: 0.5 CE + 0.5 mean_r[-log sigmoid(z_gold - z_r)], z the logits and r ``RIVALS`` tokens drawn
    with replacement from the softmax without the gold token; no gradient passes through the draw. The draws are
    torch's own, from the generator that the trainer seeds and checkpoints.
    """

    label: str = "Token margin"
    needs_success_rate: ClassVar[bool] = False
    RIVALS: ClassVar[int] = 4

    def loss(self, gold: GoldCompletions) -> Tensor:
        logits, targets = gold.logits[gold.supervised], gold.targets[gold.supervised][:, None]
        # Masked before the softmax: beside a gold token of probability 1 the others would round to nothing.
        others = logits.detach().scatter(1, targets, -torch.inf).softmax(dim=1)
        rivals = torch.multinomial(others, self.RIVALS, replacement=True)
        per_token = -logsigmoid(logits.gather(1, targets) - logits.gather(1, rivals)).mean(dim=1)
        contrast = torch.zeros_like(gold.supervised, dtype=logits.dtype).masked_scatter(gold.supervised, per_token)
        return 0.5 * -gold.log_p + 0.5 * contrast.sum(dim=1)

    def weight(self, gold: GoldCompletions) -> Tensor:
        return torch.full_like(gold.log_p, torch.nan, dtype=torch.float64)


# pattern of the name -> objective, made from the numbers in the name. There, and in labels, k is a vote's threshold.
SFT_OBJECTIVES: dict[str, Callable[..., SFTObjective]] = {
    r"ce": lambda: SequenceForm(PassAtN(1), "CE"),
    r"pass_n(\d+)": lambda n: SequenceForm(PassAtN(n), f"Pass@{n}"),
    r"majority_n(\d+)_k(\d+)": lambda n, threshold: SequenceForm(Majority(n, threshold), f"Maj@{n} k={threshold}"),
    r"pass_n(\d+)_marginal": lambda n: MarginalForm(PassAtN(n), f"Pass@{n} marginal"),
    r"majority_n(\d+)_k(\d+)_marginal": lambda n, threshold: MarginalForm(
        Majority(n, threshold), f"Maj@{n} k={threshold} marginal"
    ),
    r"token_margin": TokenMargin,
}
# The strategies by name, with their labels: what S(p) stands for.
STRATEGIES: dict[str, Callable[..., tuple[Operator, str]]] = {
    r"pass_n(\d+)": lambda n: (PassAtN(n), f"Pass@{n}"),
    r"majority_n(\d+)_k(\d+)": lambda n, threshold: (Majority(n, threshold), f"Maj@{n} k={threshold}"),
    r"best_of_n(\d+)": lambda n: (BestOfN(n), f"BoN-{n}"),
}
# Of a budget in a name. Up to it the binomials of a majority vote take less than a tenth of a second and its tensors,
# N times as large as log p, fit in memory.
LARGEST_NUMBER = 1024
LONGEST_SHOWN = 60  # characters of a wrong name that a sentence repeats


def sft_objective(name: str) -> SFTObjective:
    """The SFT objective of a config name.

    Raises:
        ValueError: no such objective, or impossible numbers in its name (such as k > N).
    """
    return made_from_name(name, SFT_OBJECTIVES, "SFT objective")


def strategy(name: str) -> tuple[Operator, str]:
    """The operator and the label of a strategy's name, such as ``best_of_n4``.

    Raises:
        ValueError: no such strategy, or impossible numbers in its name.
    """
    return made_from_name(name, STRATEGIES, "strategy")


def made_from_name(name: str, registry: dict[str, Callable], kind: str, *first):
    """What a registry makes of a name: the entry whose pattern fits, called with ``first`` and the name's numbers.

    Raises:
        ValueError: no pattern fits; a number begins with 0 or is above ``LARGEST_NUMBER``; or the entry's own, for
            numbers that it cannot take.
    """
    shown = repr(name if len(name) <= LONGEST_SHOWN else f"{name[:LONGEST_SHOWN]}...")
    for pattern, make in registry.items():
        if match := re.fullmatch(pattern, name, re.ASCII):  # \d alone would take digits of every script
            numbers = match.groups()
            if any(re.fullmatch("0.+", number) for number in numbers):
                raise ValueError(f"{kind} {shown}: found a number that begins with 0, wanted it without")
            # By length first: int() refuses thousands of digits.
            if any(len(number) > len(str(LARGEST_NUMBER)) or int(number) > LARGEST_NUMBER for number in numbers):
                raise ValueError(f"{kind} {shown}: found a number above {LARGEST_NUMBER}, wanted at most that")
            return make(*first, *map(int, numbers))
    wanted = ", ".join(pattern.replace(r"n(\d+)", "n<N>").replace(r"k(\d+)", "k<k>") for pattern in registry)
    raise ValueError(f"unknown {kind} {shown}; wanted {wanted}")
