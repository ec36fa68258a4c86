"""Objectives of supervised fine-tuning, each against plain arithmetic and autograd."""

import math

import pytest
import torch
from torch.nn.functional import log_softmax

from compute_aligned.objectives import GoldCompletions, sft_objective

ROWS, POSITIONS, VOCABULARY = 3, 5, 7
SUPERVISED = torch.tensor([[0, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 1, 1, 0]], dtype=torch.bool)


def gold_completions(seed=0, scale=1.0, success_rate=None):
    """Random logits and targets; the logits are a leaf that autograd follows."""
    random = torch.Generator().manual_seed(seed)
    logits = (scale * torch.randn(ROWS, POSITIONS, VOCABULARY, generator=random)).requires_grad_()
    targets = torch.randint(VOCABULARY, (ROWS, POSITIONS), generator=random)
    per_token = log_softmax(logits, dim=-1).gather(2, targets[:, :, None])[:, :, 0]
    log_p = per_token.masked_fill(~SUPERVISED, 0).sum(dim=1)
    return GoldCompletions(log_p, logits, targets, SUPERVISED, success_rate)


def gradient(objective, gold):
    """Gradient of the summed loss with respect to the logits, and of cross-entropy of each row."""
    loss = objective.loss(gold)
    assert loss.shape == (ROWS,)
    (found,) = torch.autograd.grad(loss.sum(), gold.logits, retain_graph=True)
    (plain,) = torch.autograd.grad(-gold.log_p.sum(), gold.logits, retain_graph=True)
    return found, plain


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "label", "asks"),
    [
        ("ce", "CE", False),
        ("pass_n16", "Pass@16", False),
        ("majority_n8_k3", "Maj@8 k=3", False),
        ("pass_n16_marginal", "Pass@16 marginal", True),
        ("majority_n8_k3_marginal", "Maj@8 k=3 marginal", True),
    ],
)
def test_a_name_says_label_and_whether_success_rates_are_needed(name, label, asks):
    objective = sft_objective(name)
    assert (objective.label, objective.needs_success_rate) == (label, asks)


@pytest.mark.parametrize("name", ["pass", "pass_n0", "majority_n8_k9", "majority_n8_k3_marginal_x", "ce_marginal"])
def test_what_is_no_objective_is_refused(name):
    with pytest.raises(ValueError, match="unknown SFT objective|Pass@N|Majority|k <= n|n >= 1"):
        sft_objective(name)


# --- the marginal form -----------------------------------------------------------------------------------------------


def success(n, k, p):
    """S(p) from the definition: at least k of n samples are right."""
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


@pytest.mark.parametrize(("name", "n", "k"), [("pass_n16_marginal", 16, 1), ("majority_n8_k3_marginal", 8, 3)])
def test_a_row_pulls_with_the_weight_of_its_success_rate_times_the_gradient_of_cross_entropy(name, n, k):
    rates = torch.tensor([0.0625, 0.25, 0.5], dtype=torch.float64)
    gold = gold_completions(success_rate=rates)
    found, plain = gradient(sft_objective(name), gold)
    h = 1e-6
    for row, p in enumerate(rates.tolist()):
        # d log S / d log p by differences of the definition
        weight = p * (success(n, k, p + h) - success(n, k, p - h)) / (2 * h) / success(n, k, p)
        torch.testing.assert_close(found[row], weight * plain[row], rtol=1e-5, atol=1e-7)
        assert float(sft_objective(name).weight(gold)[row]) == pytest.approx(weight, rel=1e-5)


@pytest.mark.parametrize(("name", "limit"), [("pass_n16_marginal", 1), ("majority_n8_k3_marginal", 3)])
def test_the_weight_of_a_problem_never_solved_is_the_limit_and_of_one_always_solved_is_0(name, limit):
    gold = gold_completions(success_rate=torch.tensor([0.0, 1.0, 0.0]))
    assert sft_objective(name).weight(gold).tolist() == [limit, 0.0, limit]
    found, plain = gradient(sft_objective(name), gold)
    torch.testing.assert_close(found, torch.tensor([limit, 0, limit])[:, None, None] * plain)


def test_the_marginal_weight_does_not_depend_on_how_improbable_the_gold_completion_is():
    rates = torch.tensor([0.1, 0.2, 0.3])
    weights = [
        sft_objective("pass_n16_marginal").weight(gold_completions(scale=scale, success_rate=rates))
        for scale in (0.1, 30)
    ]
    assert torch.equal(*weights)
