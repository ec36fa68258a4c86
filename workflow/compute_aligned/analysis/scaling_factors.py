"""What the weights do over p, without a model: alignment of training with test, waste, starvation, variance, step size.

Averages are over p uniform on [0, 1] (paper, App. G) unless a distribution is named.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import beta as beta_distribution

from ..advantages import AdvantageSettings, RLObjective, Rollouts, batch_advantages, batch_weights, normalised
from ..operators import Operator, PassAtN

# A simulated ratio of variances needs events: each batch of draws must hold this many pivotal samples.
BATCHES = 20
MIN_EVENTS = 20


def weight(operator: Operator, form: str, p: float | np.ndarray) -> np.ndarray:
    """An operator's weight at p in (0, 1], shape as ``p``.

    Args:
        operator: the strategy.
        form: ``sft`` for w(p) = p S'(p) / S(p), ``rl`` for S'(p).
        p: chance that one sample is right; for best-of-N in RL the quantile q of the sample's reward.
    """
    method = {"sft": operator.sft_weight, "rl": operator.rl_weight}[form]
    return method(torch.as_tensor(np.log(p), dtype=torch.float64)).numpy()


# --- alignment of the SFT weights of two strategies ------------------------------------------------------------------


def alignment(train: Operator, test: Operator) -> float:
    """The cosine of two SFT weights as functions of p (paper, App. G): 1 if proportional, near 0 if apart.

    A = int w_train w_test dp / sqrt(int w_train^2 dp int w_test^2 dp).
    """
    return mean_product(train, test) / math.sqrt(mean_product(train, train) * mean_product(test, test))


@lru_cache(maxsize=1024)
def mean_product(first: Operator, second: Operator, low: float = 0.0, high: float = 1.0) -> float:
    """int of w_first(p) w_second(p) dp from ``low`` to ``high``, by adaptive quadrature."""

    def integrand(p: float) -> float:
        return float(weight(first, "sft", p) * weight(second, "sft", p))

    value, _ = quad(integrand, low, high, epsabs=1e-11, epsrel=1e-10, limit=500)
    return value


def negligible_from(operator: Operator, threshold: float) -> float:
    """The p from which on the SFT weight, which falls with p, is below ``threshold`` (< 1); 1 if it never is."""
    if weight(operator, "sft", 1.0) >= threshold:
        return 1.0
    return brentq(lambda p: float(weight(operator, "sft", p)) - threshold, 1e-12, 1.0, xtol=1e-14)


def wasted_share(train: Operator, test: Operator, threshold: float) -> float:
    """Share of the training weight that lies where the test weight is below ``threshold`` (paper: waste)."""
    return _share_beyond(train, test, threshold)


def starved_share(train: Operator, test: Operator, threshold: float) -> float:
    """Share of the test weight that lies where the training weight is below ``threshold`` (paper: starvation)."""
    return _share_beyond(test, train, threshold)


def _share_beyond(weighed: Operator, other: Operator, threshold: float) -> float:
    one = PassAtN(1)  # its weight is 1
    beyond = mean_product(weighed, one, negligible_from(other, threshold), 1.0)
    return beyond / mean_product(weighed, one)


# --- variance of two estimators of the same policy gradient ----------------------------------------------------------


def estimator_variances(n: int, p: float) -> dict[str, float]:
    """Mean and variances of estimators of d S / d theta for Pass@N and one binary logit, p = sigmoid(theta).

    A sample is pivotal if it is right and the other N - 1 are wrong: probability g = p S'(p) / N. The score of a right
    sample is 1 - p. CAT replaces "pivotal" by its chance given the sample (Rao-Blackwell), at the true p.

    Returns:
        mean: N p (1-p)^N, of all four;
        pivotal: variance of N (1-p) [the first sample is pivotal];
        cat: variance of S'(p) (1-p) [the sample is right];
        pivotal_summed: variance of (1-p) [any of the N samples is pivotal];
        cat_averaged: variance of CAT's mean over the same N samples.
    """
    slope = float(weight(PassAtN(n), "rl", p))
    g = p * slope / n
    cat = (slope * (1 - p)) ** 2 * p * (1 - p)
    return {
        "mean": slope * p * (1 - p),
        "pivotal": (n * (1 - p)) ** 2 * g * (1 - g),
        "cat": cat,
        "pivotal_summed": (1 - p) ** 2 * n * g * (1 - n * g),
        "cat_averaged": cat / n,
    }


def simulated_estimators(n: int, p: float, draws: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """``draws`` values of each of the four estimators of ``estimator_variances``, from groups of N random samples."""
    slope = float(weight(PassAtN(n), "rl", p))
    first = random.random(draws) < p
    n_right = first + random.binomial(n - 1, p, draws)
    return {
        "pivotal": n * (1 - p) * (first & (n_right == 1)),
        "cat": slope * (1 - p) * first,
        "pivotal_summed": (1 - p) * (n_right == 1),
        "cat_averaged": slope * (1 - p) * n_right / n,
    }


def simulated_ratio(numerator: np.ndarray, denominator: np.ndarray) -> tuple[float, float]:
    """Ratio of the variances of two simulated estimators and its standard error, from batches of draws.

    Both are NaN where a batch holds too few values of ``denominator`` other than 0 to tell its variance.
    """
    events = np.count_nonzero(denominator.reshape(BATCHES, -1), axis=1)
    if events.min() < MIN_EVENTS:
        return math.nan, math.nan
    ratios = numerator.reshape(BATCHES, -1).var(axis=1, ddof=1) / denominator.reshape(BATCHES, -1).var(axis=1, ddof=1)
    return float(numerator.var(ddof=1) / denominator.var(ddof=1)), float(ratios.std(ddof=1) / math.sqrt(BATCHES))


# --- normalisation of the RL weights (paper, App. B) -----------------------------------------------------------------

# Nothing but the weight and its normalisation: no clip, no penalty.
BARE = AdvantageSettings(
    weight_clip=None, normalize_weights=True, advantage_clip=None, all_wrong_penalty=0.0, reward_window=None
)


@dataclass(frozen=True)
class KnownChance(RLObjective):
    """S'(p) at the true p of a prompt, whose log the rollouts hold in place of a completion's own."""

    operator: Operator
    per_prompt: ClassVar[bool] = True

    def weight(self, rollouts: Rollouts) -> torch.Tensor:
        return self.operator.rl_weight(rollouts.log_p)


def normalised_weights(operator: Operator, p: np.ndarray) -> np.ndarray:
    """Weights of batches of prompts as the trainer of GRPO normalises them (``advantages.batch_weights``).

    Args:
        operator: the strategy.
        p: chance that one sample of a prompt is right, shape (batches, prompts).

    Returns:
        weights, the same shape; a batch of one prompt keeps its raw weight, as in training.
    """
    log_p = torch.from_numpy(np.log(p))[:, :, None]  # one sample stands for all that share the weight
    rollouts = Rollouts(torch.zeros_like(log_p), log_p=log_p)
    return batch_weights(KnownChance("known chance", "S'(p)", operator), rollouts, BARE).squeeze(2).numpy()


def mean_rl_weight(operator: Operator, a: float, b: float) -> float:
    """Mean of S'(p) over prompts with p from Beta(a, b), by quadrature; 1 for uniform p, as S goes from 0 to 1."""
    prompts = beta_distribution(a, b)

    def integrand(quantile: float) -> float:  # over quantiles, where a density infinite at p = 0 does no harm
        return float(weight(operator, "rl", prompts.ppf(quantile)))

    value, _ = quad(integrand, 0.0, 1.0, epsabs=1e-10, epsrel=1e-8, limit=1000)
    return value


def gradient_norms(weights: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Length of the expected GRPO gradient of batches of prompts, each prompt one binary logit of its own.

    In large groups a prompt's advantages are (r - p) / sqrt(p (1-p)) and the score of a sample is r - p, so the
    expected gradient of its logit is w sqrt(p (1-p)); the loss is the mean over the batch.

    Args:
        weights: weight of each prompt, shape (batches, prompts).
        p: chance that one sample of the prompt is right, the same shape.

    Returns:
        shape (batches,).
    """
    return np.sqrt((weights**2 * p * (1 - p)).sum(axis=-1)) / p.shape[-1]


def ratio_of_means(numerator: np.ndarray, denominator: np.ndarray) -> tuple[float, float]:
    """Ratio of the means of paired draws and its standard error (delta method)."""
    ratio = numerator.mean() / denominator.mean()
    se = (numerator - ratio * denominator).std(ddof=1) / math.sqrt(len(numerator)) / denominator.mean()
    return float(ratio), float(se)


def change_within_prompt(objective: RLObjective, rollouts: Rollouts) -> tuple[float, float]:
    """What normalising within one prompt leaves of its weights: 0 and 0 if they cancel (paper, App. B).

    Weights and advantages are those of the training (``advantages``). Training itself never normalises a weight that a
    prompt's samples share within the prompt; this is what it would do.

    Args:
        objective: the objective whose weights are normalised.
        rollouts: the samples of one prompt, rewards of shape (1, samples), float64.

    Returns:
        largest distance of a normalised weight from 1, and largest distance of a weighted advantage from GRPO's.
    """
    within, advantages = normalised(objective.weight(rollouts)), batch_advantages(rollouts.rewards, BARE)
    return float((within - 1).abs().max()), float((within * advantages - advantages).abs().max())
