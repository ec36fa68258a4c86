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
        ("token_margin", "Token margin", False),
    ],
)
def test_a_name_says_label_and_whether_success_rates_are_needed(name, label, asks):
    objective = sft_objective(name)
    assert (objective.label, objective.needs_success_rate) == (label, asks)


@pytest.mark.parametrize("name", ["pass", "pass_n0", "majority_n8_k9", "majority_n8_k3_marginal_x", "ce_marginal"])
def test_what_is_no_objective_is_refused(name):
    with pytest.raises(ValueError, match="unknown SFT objective|Pass@N|Majority|n >= 1"):
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


# --- the token margin ------------------------------------------------------------------------------------------------


def slow_token_margin(gold, rivals_of):
    """The loss token by token in plain floats; ``rivals_of`` gives each gold token's rivals."""
    losses = []
    for row in range(ROWS):
        total = 0.0
        for position in range(POSITIONS):
            if not gold.supervised[row, position]:
                continue
            z, target = gold.logits[row, position].tolist(), int(gold.targets[row, position])
            cross_entropy = math.log(sum(math.exp(value) for value in z)) - z[target]
            rivals = rivals_of(row, position)
            contrast = sum(math.log1p(math.exp(z[rival] - z[target])) for rival in rivals) / len(rivals)
            total += 0.5 * cross_entropy + 0.5 * contrast
        losses.append(total)
    return losses


@pytest.fixture
def kept_draws(monkeypatch):
    """The distributions that rivals were drawn from and the draws, a list of (probabilities, rivals)."""
    kept, draw = [], torch.multinomial

    def multinomial(probabilities, n, replacement):
        assert replacement
        kept.append((probabilities, draw(probabilities, n, replacement=True)))
        return kept[-1][1]

    monkeypatch.setattr(torch, "multinomial", multinomial)
    return kept


def test_the_hybrid_is_half_cross_entropy_and_half_the_mean_contrast_with_four_rivals(kept_draws):
    gold = gold_completions()
    torch.manual_seed(3)
    loss = sft_objective("token_margin").loss(gold)
    ((_, rivals),) = kept_draws
    assert rivals.shape == (int(SUPERVISED.sum()), 4)
    place = {tuple(where): i for i, where in enumerate(SUPERVISED.nonzero().tolist())}
    expected = slow_token_margin(gold, lambda row, position: rivals[place[row, position]].tolist())
    assert loss.tolist() == pytest.approx(expected, rel=1e-5)


def test_rivals_are_drawn_from_the_softmax_without_the_gold_token(kept_draws):
    gold = gold_completions()
    sft_objective("token_margin").loss(gold)
    ((probabilities, _),) = kept_draws
    logits, targets = gold.logits[SUPERVISED].detach(), gold.targets[SUPERVISED]
    for row, target, drawn_from in zip(logits.tolist(), targets.tolist(), probabilities.tolist(), strict=True):
        others = [0.0 if token == target else math.exp(value) for token, value in enumerate(row)]
        assert drawn_from == pytest.approx([value / sum(others) for value in others], rel=1e-5)


def test_a_gold_token_is_never_its_own_rival_however_sure_the_model_is(kept_draws):
    gold = gold_completions(scale=200.0)  # the other tokens' probabilities round to 0 beside the largest
    loss = sft_objective("token_margin").loss(gold)
    ((_, rivals),) = kept_draws
    assert (rivals != gold.targets[SUPERVISED][:, None]).all()
    assert torch.isfinite(loss).all()


def test_no_gradient_passes_through_the_draw(kept_draws):
    gold = gold_completions()
    torch.manual_seed(3)
    found, _ = gradient(sft_objective("token_margin"), gold)
    ((_, rivals),) = kept_draws
    # The same loss with the rivals as constants, in float64.
    logits = gold.logits.detach().double().requires_grad_()
    z, targets = logits[SUPERVISED], gold.targets[SUPERVISED][:, None]
    cross_entropy = -log_softmax(z, dim=1).gather(1, targets)[:, 0]
    contrast = torch.log1p(torch.exp(z.gather(1, rivals) - z.gather(1, targets))).mean(dim=1)
    (expected,) = torch.autograd.grad((0.5 * cross_entropy + 0.5 * contrast).sum(), logits)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


def test_the_hybrid_has_no_scalar_weight():
    assert sft_objective("token_margin").weight(gold_completions()).isnan().all()
