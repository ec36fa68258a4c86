"""Inference strategies as maps S: the chance p that one sample is right -> the chance that the strategy is.

An operator knows three things about its strategy, all as functions of log p:

==============  =============================  ==========================================================
method          value                          use
==============  =============================  ==========================================================
`log_success`   log S(p)                       the loss of supervised training is -log S(p)
`sft_weight`    w(p) = p S'(p) / S(p)          d log S / d log p: cross-entropy's gradient times w ("log")
`rl_weight`     S'(p)                          the weight of a policy gradient ("raw")
==============  =============================  ==========================================================

(Compute Aligned Training, Table 1.) In supervised training p is the probability of a whole sequence and may
be e^-10000, so everything is computed in log space and float64 whatever the input's dtype. Nothing is
clamped.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

_LOG_HALF = -math.log(2.0)
# Below this log p, p is still a normal float64 while every correction of relative size N p has long vanished.
_LOG_NEGLIGIBLE = -600.0
# exp(_LOG_LARGE) is the size at which a coefficient stops growing where it is multiplied by an exact zero.
_LOG_LARGE = 700.0


class Operator(ABC):
    """A strategy's S(p). A subclass says what the three functions are for a float64 tensor of log p.

    The public methods take a tensor of any shape and floating dtype holding log-probabilities (natural log,
    <= 0) and return one of the same shape and dtype. They are differentiable, at log p = 0 too.
    Errors: TypeError for a tensor of integers.
    """

    def log_success(self, log_p: Tensor) -> Tensor:
        """log S(p), whose gradient is `sft_weight` exactly, also where S rounds to 0 or to 1."""
        return _LogSuccess.apply(_floating(log_p), self)

    def sft_weight(self, log_p: Tensor) -> Tensor:
        """w(p) = p S'(p) / S(p) = d log S / d log p, the "log" weight (paper, Table 1)."""
        return self._sft_weight(_floating(log_p).double()).to(log_p.dtype)

    def rl_weight(self, log_p: Tensor) -> Tensor:
        """S'(p), the "raw" weight (paper, Table 1)."""
        return self._rl_weight(_floating(log_p).double()).to(log_p.dtype)

    @abstractmethod
    def _log_success(self, log_p: Tensor) -> Tensor:
        """The value of log S; its gradient is taken from `_sft_weight`, so it need not be differentiable."""

    @abstractmethod
    def _sft_weight(self, log_p: Tensor) -> Tensor:
        """w, from differentiable operations whose gradients are finite."""

    @abstractmethod
    def _rl_weight(self, log_p: Tensor) -> Tensor:
        """S', from differentiable operations whose gradients are finite."""


@dataclass(frozen=True)
class PassAtN(Operator):
    """Pass@N: right if any of `n` samples is. S(p) = 1 - (1-p)^N (paper, Table 1).

    Trained by SFT this is DCO (Chen et al. 2025, arXiv 2502.07154). w -> 1 as p -> 0, and w = 1 at N = 1,
    where the loss is cross-entropy. Errors: ValueError unless `n` is an integer >= 1.
    """

    n: int

    def __post_init__(self) -> None:
        _require_budget(type(self).__name__, self.n)

    def _log_success(self, log_p: Tensor) -> Tensor:
        # For negligible p, 1-p rounds to 1 and S = N p (1 + O(N p)).
        return torch.where(log_p < _LOG_NEGLIGIBLE, math.log(self.n) + log_p, _log1mexp(self.n * _log1mexp(log_p)))

    def _sft_weight(self, log_p: Tensor) -> Tensor:
        negligible = log_p < _LOG_NEGLIGIBLE
        log_p = torch.where(negligible, -1.0, log_p)  # any harmless value: p / S is 1/N there
        p, failure = log_p.exp(), -torch.expm1(log_p)
        small = p < 0.5
        success = torch.where(
            small,
            -torch.expm1(self.n * torch.log1p(-torch.where(small, p, 0.5))),  # 1 - (1-p)^N would cancel
            1.0 - failure**self.n,  # log(1-p) would be infinite at p = 1
        )
        weight = self.n * failure ** (self.n - 1) * (p / success)
        return torch.where(negligible, 1.0, weight)

    def _rl_weight(self, log_p: Tensor) -> Tensor:
        """N (1-p)^(N-1)."""
        return self.n * (-torch.expm1(log_p)) ** (self.n - 1)


@dataclass(frozen=True)
class Majority(Operator):
    """Majority vote: right if at least `threshold` of `n` samples are (paper, Table 1).

    With threshold t (k in the paper), S(p) = Pr[Binomial(N, p) >= t] = sum_{i>=t} binom(N,i) p^i (1-p)^(N-i). The
    fixed threshold stands in for the votes of the rival answers (the paper's diagonal approximation).

    w -> t as p -> 0 and w = N if t = N; t = 1 is Pass@N. Table 1 of the paper prints w without the factor t;
    the derivation has it (Eq. 7 and Eq. 16), and so has this class: w = t binom(N,t) p^t (1-p)^(N-t) / S(p).

    Memory is that of the input times N. Errors: ValueError unless `n` >= 1 and 1 <= `threshold` <= `n`, integers.
    """

    n: int
    threshold: int

    def __post_init__(self) -> None:
        _require_budget("Majority", self.n)
        if not _is_integer(self.threshold) or not 1 <= self.threshold <= self.n:
            raise ValueError(f"Majority needs an integer threshold from 1 to n = {self.n}, got {self.threshold!r}")

    def _log_success(self, log_p: Tensor) -> Tensor:
        n, t = self.n, self.threshold
        if t == n:
            return t * log_p
        log_q = _log1mexp(log_p)
        log_choose = log_p.new_tensor(_log_binomials(n))
        votes = torch.arange(t, dtype=log_p.dtype, device=log_p.device)
        log_failure = torch.logsumexp(
            log_choose[:t] + votes * log_p.unsqueeze(-1) + (n - votes) * log_q.unsqueeze(-1), dim=-1
        )
        log_leading = log_choose[t] + t * log_p + (n - t) * log_q
        log_success = log_leading + torch.logaddexp(torch.zeros_like(log_p), self._log_excess(log_p, log_q))
        # The sum of terms near log 1 = 0 would lose every digit of log S; the failure probability keeps them.
        return torch.where(log_failure < _LOG_HALF, torch.log1p(-log_failure.exp()), log_success)

    def _sft_weight(self, log_p: Tensor) -> Tensor:
        n, t = self.n, self.threshold
        if t == n:
            return t + 0.0 * log_p  # constant, and still part of the graph
        certain = log_p == 0
        inner = torch.where(certain, -1.0, log_p)
        # t / (1 + excess): no term of size t log p appears, so nothing is lost at log p = -1e4.
        weight = t * torch.exp(logsigmoid(-self._log_excess(inner, _log1mexp(inner))))
        # Around p = 1, S = 1 - O((1-p)^(N-t+1)), so the numerator alone has w's value and first derivatives.
        log_coefficient = math.log(t) + _log_binomials(n)[t]
        at_one = _term_at_one(log_p, log_coefficient, t, n - t)
        return torch.where(certain, at_one, weight)

    def _rl_weight(self, log_p: Tensor) -> Tensor:
        """N binom(N-1,t-1) p^(t-1) (1-p)^(N-t)."""
        log_coefficient = math.log(self.n) + _log_binomials(self.n - 1)[self.threshold - 1]
        successes, failures = self.threshold - 1, self.n - self.threshold
        if failures == 0:
            return torch.exp(log_coefficient + successes * log_p)
        certain = log_p == 0
        inner = torch.where(certain, -1.0, log_p)
        weight = torch.exp(log_coefficient + successes * inner + failures * _log1mexp(inner))
        return torch.where(certain, _term_at_one(log_p, log_coefficient, successes, failures), weight)

    def _log_excess(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """log of Pr[X > t] / Pr[X = t] = sum_{j=1}^{N-t} binom(N,t+j)/binom(N,t) (p/(1-p))^j; needs t < N."""
        n, t = self.n, self.threshold
        log_choose = _log_binomials(n)
        log_ratios = log_p.new_tensor([value - log_choose[t] for value in log_choose[t + 1 :]])
        j = torch.arange(1, n - t + 1, dtype=log_p.dtype, device=log_p.device)
        return torch.logsumexp(log_ratios + j * (log_p - log_q).unsqueeze(-1), dim=-1)


@dataclass(frozen=True)
class BestOfN(PassAtN):
    """Best-of-N: the highest reward of `n` samples is returned (paper, Table 1).

    SFT towards the best target asks that it be among the N samples, which is Pass@N: `log_success` and
    `sft_weight` are those of `PassAtN`. `rl_weight` takes log q instead of log p, where q = P[R(Y') < R(y)]
    is the quantile of the completion's own reward (the paper writes < in App. B.2 and <= in B.3; the strict
    one is meant here).
    Errors: ValueError unless `n` is an integer >= 1.
    """

    def rl_weight(self, log_q: Tensor) -> Tensor:
        """N q^(N-1), the density ratio of the best of N at quantile q (paper, Table 1)."""
        return super().rl_weight(log_q)

    def _rl_weight(self, log_q: Tensor) -> Tensor:
        return self.n * log_q.exp() ** (self.n - 1)


class _LogSuccess(torch.autograd.Function):
    """log S whose derivative is the operator's own weight.

    Differentiating the formulas would multiply 0 by infinity at p = 1 and cancel at p -> 0; w does neither.
    The backward pass is made of differentiable operations, so second derivatives work.
    """

    @staticmethod
    def forward(ctx, log_p: Tensor, operator: Operator) -> Tensor:
        ctx.save_for_backward(log_p)
        ctx.operator = operator
        return operator._log_success(log_p.double()).to(log_p.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (log_p,) = ctx.saved_tensors
        return gradient * ctx.operator.sft_weight(log_p), None


def _log1mexp(x: Tensor) -> Tensor:
    """log(1 - e^x) for x <= 0 (Maechler 2012); -inf at 0. Gradient finite for x < 0."""
    near_zero = x > _LOG_HALF
    # Each branch sees only arguments it is good for: `where` would spread the other one's infinite gradient.
    return torch.where(
        near_zero,
        torch.log(-torch.expm1(torch.where(near_zero, x, -1.0))),
        torch.log1p(-torch.exp(torch.where(near_zero, -1.0, x))),
    )


def _term_at_one(log_p: Tensor, log_coefficient: float, successes: int, failures: int) -> Tensor:
    """coefficient * p^successes * (1-p)^failures, for use at p = 1 with failures >= 1.

    The coefficient counts only in the derivative of order `failures`; capping it keeps infinity times zero
    away and leaves value and first derivative as they are, since with one failure it is at most N^2.
    """
    coefficient = math.exp(min(log_coefficient, _LOG_LARGE))
    return coefficient * torch.exp(successes * log_p) * (-torch.expm1(log_p)) ** failures


@lru_cache(maxsize=256)
def _log_binomials(n: int) -> tuple[float, ...]:
    """log binom(n, 0), ..., log binom(n, n), from exact integers."""
    return tuple(math.log(math.comb(n, i)) for i in range(n + 1))


def _floating(log_p: Tensor) -> Tensor:
    if not log_p.is_floating_point():
        raise TypeError(f"log-probabilities must be a floating-point tensor, got {log_p.dtype}")
    return log_p


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _require_budget(name: str, n: object) -> None:
    if not _is_integer(n) or n < 1:
        raise ValueError(f"{name} needs an integer budget n >= 1, got n = {n!r}")
