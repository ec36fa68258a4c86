"""Advantage rules of reinforcement learning: a name in the config -> GRPO's advantage times a weight, A~ = w A.

(Paper Sec. 3.2, App. B.) A tensor of shape (prompts, group) holds one value per completion, the completions of one
prompt in one row. Apart from ``objectives``, so that a change here retrains nothing that is supervised.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .objectives import made_from_name
from .operators import BestOfN, Majority, Operator, PassAtN

GRPO_EPSILON = 1e-4  # added to the standard deviation
LOG_P_RANGE = (-50.0, 0.0)  # paper, Pass@N: the completion's log-probability is cut to this first,
P_RANGE = (1e-10, 1 - 1e-10)  # and its probability to this
WINDOW_QUANTILE_RANGE = (0.001, 0.999)  # paper, unconditional Best-of-N


@dataclass(frozen=True)
class Rollouts:
    """What an advantage rule may look at: the completions sampled for one update.

    Attributes:
        rewards: shape (prompts, group).
        answers: the normalised answer of each completion, None if it has no valid one; same shape. Majority vote.
        log_p: log-probability of each completion at the sampling temperature, same shape. Pass@N.
        past_rewards: rewards of earlier batches, shape (any,), for a task whose prompts are all the same; None: a
            completion is ranked within its prompt. Best-of-N.
    """

    rewards: Tensor
    answers: Sequence[Sequence[str | None]] | None = None
    log_p: Tensor | None = None
    past_rewards: Tensor | None = None


@dataclass(frozen=True)
class AdvantageSettings:
    """What a recipe fixes about advantages and weights, for all its objectives alike (paper Sec. 3.2, Apps. B, H to J).

    The defaults are the paper's for Pass@N (Table 4).

    Attributes:
        weight_clip: largest weight, applied before normalisation; None: no limit.
        normalize_weights: divide the weights by their mean over the batch.
        advantage_clip: largest size of an advantage, applied before the weight; None: no limit.
        all_wrong_penalty: subtracted from each advantage of a group whose completions are all wrong, before the
            weight. Off a reward it would cancel in the group's mean.
        reward_window: how many past rewards Best-of-N ranks a reward among; None: it ranks within the prompt.
    """

    weight_clip: float | None = 50
    normalize_weights: bool = False
    advantage_clip: float | None = None
    all_wrong_penalty: float = 0
    reward_window: int | None = None


@dataclass(frozen=True)
class RLObjective(ABC):
    """An objective of reinforcement learning: how much each completion's advantage weighs.

    Attributes:
        name: its name in the config, such as ``pass_n16_log``.
        label: its name in tables and figures, as the paper's appendix N writes it.
        per_prompt: whether all completions of a prompt share one weight. Such a weight is normalised only over
            several prompts: over a single one it would cancel, which leaves plain GRPO (paper App. B).
        needs: the fields of ``Rollouts``, beside the rewards, that have to be there for it.
    """

    name: str
    label: str
    per_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def weight(self, rollouts: Rollouts) -> Tensor:
        """The weight of each completion before clip and normalisation, shape (prompts, group), float64."""


@dataclass(frozen=True)
class Unweighted(RLObjective):
    """GRPO itself: every weight is 1."""

    def weight(self, rollouts: Rollouts) -> Tensor:
        return torch.ones_like(rollouts.rewards, dtype=torch.float64)


@dataclass(frozen=True)
class PassWeight(RLObjective):
    """Pass@N, p = the probability of the completion itself, cut as the paper does (paper Sec. 3.2, App. B).

    ``form`` is ``log`` (weight p S'(p)/S(p)) or ``raw`` (weight S'(p)).
    """

    operator: PassAtN
    form: str
    needs: ClassVar[tuple[str, ...]] = ("log_p",)

    def weight(self, rollouts: Rollouts) -> Tensor:
        p = rollouts.log_p.double().clamp(*LOG_P_RANGE).exp().clamp(*P_RANGE)
        return _weight(self.operator, self.form, p.log())


@dataclass(frozen=True)
class MajorityWeight(RLObjective):
    """Majority vote of ``n``, p = (right completions + 1)/(group + 2), threshold from the rival votes (paper Sec. 3.2).

    ``form`` is ``log`` (weight p S'(p)/S(p)) or ``raw`` (weight S'(p)).
    """

    n: int
    form: str
    per_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("answers",)

    def __post_init__(self) -> None:
        if self.n < 2:
            raise ValueError(f"{self.name}: majority vote in RL needs N >= 2, its smallest threshold, got N = {self.n}")

    def weight(self, rollouts: Rollouts) -> Tensor:
        _require_binary(rollouts.rewards, "majority vote")
        group = rollouts.rewards.shape[1]
        p = (rollouts.rewards.double().sum(dim=1) + 1) / (group + 2)
        weights = []
        for row, answers, log_p in zip(rollouts.rewards.tolist(), rollouts.answers, p.log(), strict=True):
            operator = Majority(self.n, majority_threshold(row, answers, self.n))
            weights.append(_weight(operator, self.form, log_p))
        return torch.stack(weights)[:, None].expand(-1, group)


@dataclass(frozen=True)
class BestOfNWeight(RLObjective):
    """Best-of-N: N q^(N-1), q = the quantile of the completion's reward (paper Sec. 3.2, App. B)."""

    operator: BestOfN

    def weight(self, rollouts: Rollouts) -> Tensor:
        if rollouts.past_rewards is None:
            q = quantile_within_prompt(rollouts.rewards)
        else:
            q = quantile_among(rollouts.rewards, rollouts.past_rewards)
        return self.operator.rl_weight(q.log())


def group_advantages(rewards: Tensor) -> Tensor:
    """GRPO's advantage (r - mean) / (sd + 1e-4), mean and sample sd over each row, shape and dtype as ``rewards``.

    The steps and their order are TRL's, so that the result is TRL's to the last bit.
    """
    group = rewards.shape[1]
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    variance = (centred**2).mean(dim=1, keepdim=True) * (group / (group - 1))
    return centred / (variance.sqrt() + GRPO_EPSILON)


def batch_advantages(rewards: Tensor, settings: AdvantageSettings) -> Tensor:
    """GRPO's advantages with a recipe's penalty and clip, before the weight; shape as ``rewards`` (paper Sec. 3.2).

    Raises:
        ValueError: a reward is not finite; or rewards other than 0 and 1 where right and wrong must be told apart.
    """
    if not torch.isfinite(rewards).all():
        raise ValueError(f"rewards must be finite numbers, got {rewards[~torch.isfinite(rewards)][0].item()}")
    advantages = group_advantages(rewards)
    if settings.all_wrong_penalty:
        _require_binary(rewards, "the penalty for all-wrong groups")
        advantages = advantages - settings.all_wrong_penalty * (rewards == 0).all(dim=1, keepdim=True)
    if settings.advantage_clip is not None:
        advantages = advantages.clamp(-settings.advantage_clip, settings.advantage_clip)
    return advantages


def batch_weights(objective: RLObjective, rollouts: Rollouts, settings: AdvantageSettings) -> Tensor:
    """An objective's weights with the clip and the normalisation of a recipe (paper Sec. 3.2, App. B).

    Shape (prompts, group), or with an objective that knows of several batches (..., prompts, group).
    Without normalisation a weight that depends on its completion alone (Pass@N) is the same for any part of a batch.
    """
    weights = objective.weight(rollouts)
    if settings.weight_clip is not None:
        weights = weights.clamp(max=settings.weight_clip)
    prompts = rollouts.rewards.shape[-2]
    if settings.normalize_weights and (prompts > 1 or not objective.per_prompt):
        weights = normalised(weights)
    return weights.to(rollouts.rewards.dtype)


def normalised(weights: Tensor) -> Tensor:
    """Weights over the mean of their batch, so that it is 1; a batch of zeros stays (paper App. B).

    Shape (..., prompts, group) as given, each (prompts, group) a batch.
    """
    mean = weights.mean(dim=(-2, -1), keepdim=True)
    return weights / mean.where(mean != 0, 1.0)


def majority_threshold(rewards: Sequence[float], answers: Sequence[str | None], n: int) -> int:
    """Votes that right answers need among ``n``: max(2, min(N//2+1, floor(N c_max/M)+1)) (paper Sec. 3.2, App. B).

    c_max is the number of votes of the leading wrong answer among the M completions of a prompt; those without a
    valid answer (None) count as one wrong answer.
    """
    votes = Counter(answer for answer, reward in zip(answers, rewards, strict=True) if reward == 0)
    leading = max(votes.values(), default=0)
    return max(2, min(n // 2 + 1, n * leading // len(rewards) + 1))


def quantile_within_prompt(rewards: Tensor) -> Tensor:
    """(number of strictly lower rewards in the row + 1) / (row length + 1), shape as ``rewards``, float64."""
    lower = (rewards[:, None, :] < rewards[:, :, None]).sum(dim=2)
    return (lower + 1).double() / (rewards.shape[1] + 1)


def quantile_among(rewards: Tensor, past_rewards: Tensor) -> Tensor:
    """(number of strictly lower past rewards + 1) / (number of past rewards + 2), cut to [0.001, 0.999], float64."""
    lower = torch.searchsorted(past_rewards.sort().values, rewards, right=False)
    return ((lower + 1).double() / (len(past_rewards) + 2)).clamp(*WINDOW_QUANTILE_RANGE)


def _weight(operator: Operator, form: str, log_p: Tensor) -> Tensor:
    return operator.sft_weight(log_p) if form == "log" else operator.rl_weight(log_p)


def _require_binary(rewards: Tensor, what: str) -> None:
    binary = (rewards == 0) | (rewards == 1)
    if not binary.all():
        raise ValueError(f"{what} needs rewards of 0 (wrong) or 1 (right), got {rewards[~binary][0].item()}")


# pattern of the name -> objective, made from the name and the numbers in it
RL_OBJECTIVES: dict[str, Callable[..., RLObjective]] = {
    r"grpo": lambda name: Unweighted(name, "GRPO"),
    r"pass_n(\d+)_log": lambda name, n: PassWeight(name, f"Pass@{n} log", PassAtN(n), "log"),
    r"pass_n(\d+)_raw": lambda name, n: PassWeight(name, f"Pass@{n} raw", PassAtN(n), "raw"),
    r"majority_n(\d+)_log": lambda name, n: MajorityWeight(name, f"Maj@{n} log", n, "log"),
    r"majority_n(\d+)_raw": lambda name, n: MajorityWeight(name, f"Maj@{n} raw", n, "raw"),
    r"best_of_n(\d+)": lambda name, n: BestOfNWeight(name, f"BoN-{n}", BestOfN(n)),
}


def rl_objective(name: str) -> RLObjective:
    """The RL objective of a config name.

    Raises:
        ValueError: no such objective, or an impossible number in its name.
    """
    return made_from_name(name, RL_OBJECTIVES, "RL objective", name)
