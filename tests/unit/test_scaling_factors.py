"""Weights over p: alignment, waste and variance, against mpmath, exact enumeration and the paper's values."""

import itertools
import math

import mpmath
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import REPO
from stand_ins import weighted_advantages

from compute_aligned import advantages
from compute_aligned.advantages import AdvantageSettings, Rollouts, rl_objective
from compute_aligned.analysis.scaling_factors import (
    alignment,
    change_within_prompt,
    estimator_variances,
    gradient_norms,
    mean_product,
    mean_rl_weight,
    negligible_from,
    normalised_weights,
    ratio_of_means,
    simulated_estimators,
    simulated_ratio,
    starved_share,
    wasted_share,
    weight,
)
from compute_aligned.operators import Majority, PassAtN

BUDGETS = [1, 2, 4, 8, 16, 32, 64]
PAIRS = list(itertools.combinations(BUDGETS, 2))
CE = PassAtN(1)


def mp_pass_weight(n):
    return lambda p: n * p * (1 - p) ** (n - 1) / (1 - (1 - p) ** n)


def mp_majority_weight(n, k):
    def value(p):
        terms = [mpmath.binomial(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1)]
        return k * terms[0] / mpmath.fsum(terms)

    return value


def mp_alignment(train, test):
    def product(first, second):
        return mpmath.quad(lambda p: first(p) * second(p), [0, 0.05, 0.2, 1])

    with mpmath.workdps(30):
        return product(train, test) / mpmath.sqrt(product(train, train) * product(test, test))


# --- alignment -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", [(1, 4), (1, 16), (1, 64), (4, 16), (4, 64), (16, 64)])
def test_alignment_is_what_the_paper_reports(pair):
    reported = pd.read_csv(REPO / "config" / "reported.csv").query("metric == 'alignment'")
    (row,) = reported[(reported["model"] == f"Pass@{pair[0]}") & (reported["k"] == pair[1])].itertuples()
    assert round(alignment(PassAtN(pair[0]), PassAtN(pair[1])), 3) == row.value


@pytest.mark.parametrize(("train", "test"), PAIRS)
def test_alignment_agrees_with_high_precision_quadrature(train, test):
    wanted = mp_alignment(mp_pass_weight(train), mp_pass_weight(test))
    assert alignment(PassAtN(train), PassAtN(test)) == pytest.approx(float(wanted), abs=1e-9)


def test_alignment_of_a_majority_agrees_with_high_precision_quadrature():
    wanted = mp_alignment(mp_pass_weight(1), mp_majority_weight(16, 4))
    assert alignment(CE, Majority(16, 4)) == pytest.approx(float(wanted), abs=1e-9)


@pytest.mark.parametrize("n", BUDGETS)
def test_the_mean_weight_of_pass_at_n_is_the_harmonic_number_of_one_over_n(n):
    # int N p u^(N-1) / (1 - u^N) dp with u = 1 - p, expanded in powers of u^N: sum over m of 1 / (m (N m + 1)).
    assert mean_product(PassAtN(n), CE) == pytest.approx(float(mpmath.harmonic(mpmath.mpf(1) / n)), abs=1e-10)


def test_alignment_is_a_symmetric_cosine_that_is_one_with_itself_and_falls_with_the_distance_of_the_budgets():
    for train, test in PAIRS:
        assert alignment(PassAtN(train), PassAtN(test)) == alignment(PassAtN(test), PassAtN(train))
    for n in BUDGETS:
        assert alignment(PassAtN(n), PassAtN(n)) == pytest.approx(1, abs=1e-12)
    values = [alignment(CE, PassAtN(n)) for n in BUDGETS]
    assert values == sorted(values, reverse=True)


def test_a_weight_that_is_a_constant_multiple_is_perfectly_aligned():
    assert alignment(CE, Majority(16, 16)) == pytest.approx(1, abs=1e-12)  # w = 16 everywhere


# --- waste and starvation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "from_p"), [(4, 0.744), (16, 0.255), (64, 0.069)])
def test_the_test_weight_is_negligible_from_here_on(n, from_p):
    p = negligible_from(PassAtN(n), 0.05)
    assert round(p, 3) == from_p
    assert weight(PassAtN(n), "sft", p) == pytest.approx(0.05, abs=1e-12)


def test_a_weight_that_never_vanishes_is_negligible_nowhere():
    assert negligible_from(CE, 0.05) == 1.0
    assert negligible_from(Majority(8, 8), 0.05) == 1.0


def test_cross_entropy_wastes_what_lies_beyond_the_last_useful_p_and_starves_nothing():
    for n in (4, 16, 64):
        assert wasted_share(CE, PassAtN(n), 0.05) == pytest.approx(1 - negligible_from(PassAtN(n), 0.05), abs=1e-9)
        assert starved_share(CE, PassAtN(n), 0.05) == 0


@pytest.mark.parametrize(("small", "large"), itertools.combinations((1, 4, 16, 64), 2))
def test_waste_and_starvation_are_the_shares_of_a_weight_beyond_the_last_useful_p_of_the_other(small, large):
    def share(weighed, other):
        """By quadrature in 30 digits, the last useful p being found by bisection."""
        with mpmath.workdps(30):
            if other == 1:
                return 0.0  # a weight of 1 everywhere
            end = mpmath.findroot(lambda p: mp_pass_weight(other)(p) - 0.05, (0.01, 0.99), solver="bisect")
            beyond = mpmath.quad(mp_pass_weight(weighed), [end, (end + 1) / 2, 1])
            return float(beyond / mpmath.quad(mp_pass_weight(weighed), [0, 0.05, 0.2, 1]))

    train, test = PassAtN(small), PassAtN(large)
    # Trained for the smaller budget, most of what is wasted is weight that the larger one has no use for.
    assert wasted_share(train, test, 0.05) == pytest.approx(share(small, large), abs=1e-9)
    assert starved_share(train, test, 0.05) == pytest.approx(share(large, small), abs=1e-9)
    assert wasted_share(test, train, 0.05) == pytest.approx(share(large, small), abs=1e-9)
    assert starved_share(test, train, 0.05) == pytest.approx(share(small, large), abs=1e-9)
    assert share(small, large) > 0.05 > share(large, small)


def test_a_strategy_wastes_no_more_on_itself_than_its_own_negligible_tail():
    for n in BUDGETS[1:]:
        assert 0 < wasted_share(PassAtN(n), PassAtN(n), 0.05) < 0.05


# --- variance --------------------------------------------------------------------------------------------------------

P = [0.001, 0.01, 0.1, 0.3, 0.5, 0.9, 0.99]


def enumerated(n, p):
    """Mean and variance of the four estimators over all 2^N outcomes."""
    outcomes = list(itertools.product((0, 1), repeat=n))
    chance = np.array([p ** sum(o) * (1 - p) ** (n - sum(o)) for o in outcomes])
    score = 1 - p
    values = {
        "pivotal": [n * score * (o[0] == 1 and sum(o) == 1) for o in outcomes],
        "cat": [n * (1 - p) ** (n - 1) * score * o[0] for o in outcomes],
        "pivotal_summed": [score * (sum(o) == 1) for o in outcomes],
        "cat_averaged": [n * (1 - p) ** (n - 1) * score * sum(o) / n for o in outcomes],
    }
    means = {name: float(chance @ np.array(value)) for name, value in values.items()}
    return means, {name: float(chance @ (np.array(value) - means[name]) ** 2) for name, value in values.items()}


@pytest.mark.parametrize("n", [1, 2, 4, 8])
@pytest.mark.parametrize("p", P)
def test_means_and_variances_are_those_of_all_outcomes(n, p):
    means, variances = enumerated(n, p)
    computed = estimator_variances(n, p)
    for name, variance in variances.items():
        assert means[name] == pytest.approx(computed["mean"], rel=1e-9)
        assert computed[name] == pytest.approx(variance, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("n", BUDGETS)
def test_the_mean_is_the_gradient_of_success_in_the_logit(n):
    theta = mpmath.mpf("-1.2")
    gradient = mpmath.diff(lambda t: 1 - (1 - 1 / (1 + mpmath.exp(-t))) ** n, theta)
    p = float(1 / (1 + mpmath.exp(-theta)))
    assert estimator_variances(n, p)["mean"] == pytest.approx(float(gradient), rel=1e-9)


@pytest.mark.parametrize("n", BUDGETS)
def test_cat_never_has_the_larger_variance_per_sample_or_per_group_of_n(n):
    for p in np.linspace(0.001, 0.999, 500):
        variances = estimator_variances(n, p)
        assert variances["cat"] <= variances["pivotal"] * (1 + 1e-12)
        assert variances["cat_averaged"] <= variances["pivotal_summed"] * (1 + 1e-12)


@pytest.mark.parametrize("n", BUDGETS)
@pytest.mark.parametrize("p", P)
def test_the_ratio_is_the_chance_that_all_fail_among_the_groups_that_do_not_speak(n, p):
    variances, g = estimator_variances(n, p), p * (1 - p) ** (n - 1)
    assert variances["cat"] / variances["pivotal"] == pytest.approx((1 - p) ** n / (1 - g), rel=1e-9)
    summed = variances["cat_averaged"] / variances["pivotal_summed"]
    assert summed == pytest.approx((1 - p) ** n / (1 - n * g), rel=1e-9)


def test_with_one_sample_the_two_estimators_are_one():
    variances = estimator_variances(1, 0.3)
    assert variances["cat"] == pytest.approx(variances["pivotal"], rel=1e-12)


@pytest.mark.parametrize(("n", "p"), [(1, 0.3), (4, 0.1), (16, 0.1), (64, 0.01)])
def test_the_simulation_agrees_with_the_closed_form(n, p):
    simulated = simulated_estimators(n, p, 200_000, np.random.default_rng(3))
    exact = estimator_variances(n, p)
    for name, values in simulated.items():
        assert abs(values.mean() - exact["mean"]) < 5 * math.sqrt(exact[name] / len(values))
    for top, bottom in (("cat", "pivotal"), ("cat_averaged", "pivotal_summed")):
        ratio, se = simulated_ratio(simulated[top], simulated[bottom])
        assert abs(ratio - exact[top] / exact[bottom]) <= 5 * se + 1e-12


def test_a_simulation_without_events_says_nothing():
    simulated = simulated_estimators(64, 0.5, 20_000, np.random.default_rng(3))
    assert all(math.isnan(value) for value in simulated_ratio(simulated["cat"], simulated["pivotal"]))


# --- normalisation ---------------------------------------------------------------------------------------------------


def test_weights_are_normalised_over_the_prompts_of_each_batch():
    # Pass@2: S' = 2 (1-p); 1, 1/2, 1/4 have mean 7/12, and 2, 0, 1 have mean 1.
    p = np.array([[0.5, 0.75, 0.875], [1e-300, 1.0, 0.5]])
    assert normalised_weights(PassAtN(2), p) == pytest.approx(np.array([[12 / 7, 6 / 7, 3 / 7], [2, 0, 1]]), rel=1e-14)


def test_a_batch_of_zeros_stays_and_a_batch_of_one_prompt_keeps_its_weight():
    assert normalised_weights(PassAtN(4), np.ones((2, 3))).tolist() == [[0] * 3] * 2
    assert normalised_weights(PassAtN(2), np.array([[0.25], [0.5]])) == pytest.approx(np.array([[1.5], [1]]), rel=1e-14)


@pytest.mark.parametrize("operator", [PassAtN(1), PassAtN(16), PassAtN(64), Majority(16, 9), Majority(64, 33)])
@pytest.mark.parametrize(("a", "b"), [(1, 1), (0.5, 4.5)])
def test_the_mean_weight_over_prompts_is_a_ratio_of_beta_functions(operator, a, b):
    n, k = operator.n, getattr(operator, "threshold", 1)
    # E[N C(N-1,k-1) p^(k-1) (1-p)^(N-k)] over Beta(a, b)
    wanted = n * mpmath.binomial(n - 1, k - 1) * mpmath.beta(a + k - 1, b + n - k) / mpmath.beta(a, b)
    assert mean_rl_weight(operator, a, b) == pytest.approx(float(wanted), rel=1e-6)
    if (a, b) == (1, 1):
        assert wanted == pytest.approx(1)


def test_the_gradients_length_is_that_of_automatic_differentiation_of_the_expected_surrogate():
    rng = np.random.default_rng(2)
    p, weights = rng.uniform(0.05, 0.95, (3, 5)), rng.uniform(0, 4, (3, 5))
    for chances, scale, length in zip(p, weights, gradient_norms(weights, p), strict=True):
        logits = torch.tensor(np.log(chances / (1 - chances)), requires_grad=True)
        surrogate = 0
        for reward in (0.0, 1.0):
            chance = torch.tensor(chances if reward else 1 - chances)
            advantage = torch.tensor((reward - chances) / np.sqrt(chances * (1 - chances)))
            log_p = torch.nn.functional.logsigmoid(logits if reward else -logits)
            surrogate = surrogate + (torch.tensor(scale) * chance * advantage * log_p).mean()
        surrogate.backward()
        assert length == pytest.approx(logits.grad.norm().item(), rel=1e-12)


@pytest.mark.parametrize("normalize", [False, True])
def test_the_gradients_length_is_that_of_the_trainers_advantages_on_a_large_group(normalize):
    """A batch of prompts whose groups hold exactly their expected share of right samples; the loss of `sequence`."""
    size, right = 5000, torch.tensor([250, 1000, 2500, 4500])
    rewards = (torch.arange(size) < right[:, None]).double()
    answers = [["right" if r else f"wrong {i}" for i, r in enumerate(row)] for row in rewards.tolist()]
    rule = AdvantageSettings(None, normalize, None, 0.0, None)
    weighted, _ = weighted_advantages(rl_objective("majority_n4_raw"), Rollouts(rewards, answers), rule)
    p = right.double() / size
    logits = p.logit().requires_grad_()
    log_p = torch.where(rewards == 1, logits[:, None].sigmoid(), 1 - logits[:, None].sigmoid()).log()
    (-weighted * log_p).mean().backward()
    p = p.numpy()
    weights = 12 * p * (1 - p) ** 2  # of 4 votes 2 suffice where all wrong answers differ
    weights = weights / weights.mean() if normalize else weights
    assert logits.grad.norm().item() == pytest.approx(gradient_norms(weights[None], p[None])[0], rel=2e-3)


def test_a_weight_that_a_prompts_samples_share_cancels_bit_for_bit():
    rewards = torch.tensor([[1.0, 0, 0, 1, 0, 0, 0, 0]], dtype=torch.float64)
    answers = [["7", "1", "1", "7", "2", None, "3", "4"]]
    for name in ("majority_n4_raw", "majority_n8_log", "majority_n64_raw"):
        assert change_within_prompt(rl_objective(name), Rollouts(rewards, answers)) == (0.0, 0.0)


def test_weights_per_sample_do_not_cancel():
    # Best-of-2 of two samples: q = 1/3, 2/3, weights 2/3, 4/3 of mean 1; advantages -1/2 and 1/2 over sd + 1e-4.
    rewards = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    weights, advantages = change_within_prompt(rl_objective("best_of_n2"), Rollouts(rewards))
    assert weights == pytest.approx(1 / 3, rel=1e-14)
    assert advantages == pytest.approx(1 / 3 * 0.5 / (math.sqrt(0.5) + 1e-4), rel=1e-14)


@pytest.mark.parametrize(
    ("rule", "other", "measured", "expected"),
    [
        (
            "normalised",
            lambda weights: weights / weights.amax(dim=(-2, -1), keepdim=True),
            lambda: normalised_weights(PassAtN(2), np.array([[0.5, 0.75, 0.875]]))[0].tolist(),
            [1, 0.5, 0.25],
        ),
        (
            "quantile_within_prompt",
            lambda rewards: torch.full_like(rewards, 0.5),  # one quantile for all: one weight, which cancels
            lambda: change_within_prompt(rl_objective("best_of_n2"), Rollouts(torch.tensor([[1.0, 2.0]]).double())),
            (0, 0),
        ),
        (
            "group_advantages",
            lambda rewards: rewards,
            lambda: change_within_prompt(rl_objective("best_of_n2"), Rollouts(torch.tensor([[1.0, 2.0]]).double())),
            (1 / 3, 2 / 3),  # weights 2/3 and 4/3 of the rewards 1 and 2 themselves
        ),
    ],
    ids=["normalisation", "quantile", "advantage"],
)
def test_another_rule_of_the_trainer_is_another_result_as_there_is_no_second_copy_of_it(
    monkeypatch, rule, other, measured, expected
):
    assert measured() != pytest.approx(expected, rel=1e-6)
    monkeypatch.setattr(advantages, rule, other)
    assert measured() == pytest.approx(expected, rel=1e-12)


def test_the_standard_error_of_a_ratio_of_means_is_the_spread_of_the_ratio():
    rng = np.random.default_rng(5)
    draws = rng.uniform(1, 2, (400, 500))
    pairs = [ratio_of_means(3 * x + rng.normal(0, 1, len(x)), x) for x in draws]
    ratios, errors = np.array(pairs).T
    assert ratios.mean() == pytest.approx(3, abs=0.01)
    assert errors.mean() == pytest.approx(ratios.std(ddof=1), rel=0.15)
