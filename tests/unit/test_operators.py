"""Weights of strategies, against 400-digit arithmetic, automatic differentiation and limits known by hand."""

import math

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_aligned.operators import BestOfN, Majority, PassAtN

LOG_P = [
    -1e4,
    -5e3,
    -750.0,
    -700.0,
    -601.0,
    -599.0,
    -300.0,
    -100.0,
    -50.0,
    -37.0,
    -20.0,
    -10.0,
    -5.0,
    -3.0,
    -2.0,
]
LOG_P += [-1.0, -math.log(2.0), -0.69, -0.5, -0.3, -0.1, -0.05, -0.01, -1e-3, -1e-5, -1e-7, -1e-9]
PASS_BUDGETS = [1, 2, 4, 16, 64, 512]
MAJORITY_BUDGETS = [
    (1, 1),
    (2, 1),
    (2, 2),
    (4, 2),
    (4, 3),
    (8, 3),
    (16, 4),
    (16, 16),
    (64, 1),
    (64, 26),
    (64, 33),
]
MAJORITY_BUDGETS += [(64, 63), (512, 1), (512, 100), (512, 257), (512, 511), (512, 512)]
OPERATORS = [PassAtN(n) for n in PASS_BUDGETS] + [Majority(n, k) for n, k in MAJORITY_BUDGETS]
SMALL_OPERATORS = [
    PassAtN(1),
    PassAtN(2),
    PassAtN(16),
    Majority(2, 2),
    Majority(8, 3),
    Majority(8, 7),
    Majority(9, 9),
]

# float64 keeps 11 digits over the whole grid; float32 and the half types are rounded once, at the end.
RELATIVE_ERROR = {torch.float64: 1e-11, torch.float32: 1e-7, torch.bfloat16: 2**-8, torch.float16: 2**-11}


def exact(operator, log_p):
    """log S, w and S' from the binomial sum with 400 digits: enough to see 1 - S = 1e-300."""
    n, k = operator.n, getattr(operator, "threshold", 1)
    with mpmath.workdps(400):
        p = mpmath.exp(mpmath.mpf(log_p))
        q = 1 - p
        term = mpmath.binomial(n, k) * p**k * q ** (n - k)
        derivative = k * term / p
        success = mpmath.mpf(0)
        odds = p / q
        for i in range(k, n + 1):
            success += term
            term *= odds * (n - i) / (i + 1)
        return mpmath.log(success), p * derivative / success, derivative


def assert_equal_to_exact(computed, wanted, dtype):
    # Results below the smallest normal number may round to 0.
    limits = torch.finfo(dtype)
    for value, true in zip(computed.tolist(), wanted, strict=True):
        if abs(true) > limits.max:
            assert math.isinf(value)
        else:
            assert abs(value - true) <= RELATIVE_ERROR[dtype] * abs(true) + limits.tiny


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_every_value_agrees_with_high_precision_arithmetic(operator, dtype):
    log_p = torch.tensor(LOG_P, dtype=dtype)
    wanted = list(zip(*[exact(operator, value) for value in log_p.tolist()], strict=True))
    methods = [operator.log_success, operator.sft_weight, operator.rl_weight]
    for method, true in zip(methods, wanted, strict=True):
        assert method(log_p).dtype == dtype
        assert_equal_to_exact(method(log_p), true, dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_costs_only_the_final_rounding(dtype):
    log_p = torch.tensor([-1e4, -20.0, -3.0, -1.0, -0.25, -0.01], dtype=dtype)
    for operator in SMALL_OPERATORS:
        wanted = list(zip(*[exact(operator, value) for value in log_p.tolist()], strict=True))
        assert_equal_to_exact(operator.log_success(log_p), wanted[0], dtype)
        assert_equal_to_exact(operator.sft_weight(log_p), wanted[1], dtype)


def test_log_success_near_certainty_keeps_the_digits_of_the_failure_probability():
    # p = 1 - 1e-9: three of four wrong has probability 4e-27 + ..., far below the spacing of floats at 1.
    log_p = torch.tensor([math.log1p(-1e-9)], dtype=torch.float64)
    assert PassAtN(4).log_success(log_p).item() == pytest.approx(-1e-36, rel=1e-6)
    assert Majority(4, 2).log_success(log_p).item() == pytest.approx(-4e-27, rel=1e-6)


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_the_gradient_of_log_success_is_the_sft_weight_everywhere(operator):
    log_p = torch.tensor([*LOG_P, 0.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(operator.log_success(log_p).sum(), log_p)
    assert torch.equal(gradient, operator.sft_weight(log_p))
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("operator", SMALL_OPERATORS, ids=str)
def test_weights_are_derivatives_of_the_binomial_sum(operator):
    n, k = operator.n, getattr(operator, "threshold", 1)
    p = torch.linspace(0.02, 0.98, 49, dtype=torch.float64, requires_grad=True)
    success = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
    (derivative,) = torch.autograd.grad(success.sum(), p)
    log_p = p.detach().log()
    torch.testing.assert_close(operator.log_success(log_p), success.detach().log(), rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(operator.rl_weight(log_p), derivative, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(operator.sft_weight(log_p), (p * derivative / success).detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("operator", SMALL_OPERATORS, ids=str)
def test_first_and_second_derivatives_agree_with_finite_differences(operator):
    log_p = torch.tensor([-40.0, -5.0, -1.0, -0.6, -0.1], dtype=torch.float64, requires_grad=True)
    for method in (operator.log_success, operator.sft_weight, operator.rl_weight):
        assert torch.autograd.gradcheck(method, log_p)
    assert torch.autograd.gradgradcheck(operator.log_success, log_p)


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_weights_have_finite_gradients_from_vanishing_p_to_certainty(operator):
    for method in (operator.sft_weight, operator.rl_weight):
        log_p = torch.tensor([*LOG_P, 0.0], dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(method(log_p).sum(), log_p)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("operator", SMALL_OPERATORS, ids=str)
def test_the_gradient_of_the_weights_is_continuous_at_certainty(operator):
    for method in (operator.sft_weight, operator.rl_weight):
        log_p = torch.tensor([-1e-12, 0.0], dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(method(log_p).sum(), log_p)
        assert gradient[0].item() == pytest.approx(gradient[1].item(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("n", PASS_BUDGETS)
def test_pass_weight_tends_to_one_as_p_vanishes(n):
    vanishing = torch.tensor([-1e4, -601.0, -599.0, -60.0], dtype=torch.float64)
    torch.testing.assert_close(PassAtN(n).sft_weight(vanishing), torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize(("n", "k"), MAJORITY_BUDGETS)
def test_majority_weight_tends_to_the_threshold_as_p_vanishes(n, k):
    vanishing = torch.tensor([-1e4, -601.0, -60.0], dtype=torch.float64)
    torch.testing.assert_close(Majority(n, k).sft_weight(vanishing), torch.full((3,), float(k), dtype=torch.float64))


def test_with_one_sample_the_loss_is_cross_entropy():
    log_p = torch.tensor([*LOG_P, 0.0], dtype=torch.float64)
    for operator in (PassAtN(1), Majority(1, 1), BestOfN(1)):
        torch.testing.assert_close(operator.log_success(log_p), log_p, rtol=1e-13, atol=0)
        torch.testing.assert_close(operator.sft_weight(log_p), torch.ones_like(log_p), rtol=1e-13, atol=0)
        torch.testing.assert_close(operator.rl_weight(log_p), torch.ones_like(log_p), rtol=1e-13, atol=0)


@pytest.mark.parametrize("n", PASS_BUDGETS)
def test_majority_with_threshold_one_is_pass_at_n(n):
    log_p = torch.tensor([*LOG_P, 0.0], dtype=torch.float64)
    for name in ("log_success", "sft_weight", "rl_weight"):
        majority, pass_at_n = getattr(Majority(n, 1), name)(log_p), getattr(PassAtN(n), name)(log_p)
        torch.testing.assert_close(majority, pass_at_n, rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("n", PASS_BUDGETS)
def test_unanimity_weighs_every_problem_by_n(n):
    log_p = torch.tensor([*LOG_P, 0.0], dtype=torch.float64)
    assert torch.equal(Majority(n, n).sft_weight(log_p), torch.full_like(log_p, float(n)))
    assert torch.equal(Majority(n, n).log_success(log_p), n * log_p)


@pytest.mark.parametrize("operator", [PassAtN(2), PassAtN(512), Majority(4, 2), Majority(512, 257)], ids=str)
def test_a_solved_problem_has_no_loss_and_no_weight(operator):
    certain = torch.zeros(1)
    assert operator.log_success(certain).item() == 0
    assert operator.sft_weight(certain).item() == 0
    assert operator.rl_weight(certain).item() == 0


def test_weights_of_best_of_n_integrate_to_one_over_the_quantiles():
    # N q^(N-1) is the density of the best of N, so that the expected weight is 1.
    q = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    for n in (1, 2, 8, 64):
        assert BestOfN(n).rl_weight(q.log()).mean().item() == pytest.approx(1.0, abs=1e-6)


def test_best_of_n_weighs_by_the_quantile_in_rl_and_is_pass_at_n_in_sft():
    log_q = torch.tensor([-1e4, -3.0, -0.1, 0.0], dtype=torch.float64)
    wanted = torch.tensor([float(8 * mpmath.exp(7 * value)) for value in log_q.tolist()], dtype=torch.float64)
    torch.testing.assert_close(BestOfN(8).rl_weight(log_q), wanted, rtol=1e-12, atol=0)
    assert torch.equal(BestOfN(8).log_success(log_q), PassAtN(8).log_success(log_q))
    assert torch.equal(BestOfN(8).sft_weight(log_q), PassAtN(8).sft_weight(log_q))


def test_the_lowest_reward_of_all_has_weight_zero_unless_n_is_one():
    lowest = torch.tensor([-math.inf])
    assert BestOfN(4).rl_weight(lowest).item() == 0
    assert BestOfN(1).rl_weight(lowest).item() == 1


def test_budgets_beyond_the_range_of_binomial_coefficients_stay_finite():
    log_p = torch.tensor([-1e4, -0.8, -0.69, -0.5, 0.0], dtype=torch.float64, requires_grad=True)
    operator = Majority(3000, 1501)
    for method in (operator.log_success, operator.sft_weight, operator.rl_weight):
        (gradient,) = torch.autograd.grad(method(log_p).sum(), log_p)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 4)])
def test_shape_is_kept(shape):
    log_p = torch.full(shape, -2.0)
    for operator in (PassAtN(4), Majority(4, 2), Majority(4, 4), BestOfN(4)):
        for method in (operator.log_success, operator.sft_weight, operator.rl_weight):
            assert method(log_p).shape == log_p.shape


log_probabilities = st.floats(min_value=-1e4, max_value=0.0, width=32)
budgets = st.integers(1, 64).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


@settings(max_examples=200, deadline=None)
@given(log_probabilities, budgets)
def test_success_is_a_probability_and_weights_stay_between_zero_and_the_threshold(log_p, budget):
    n, k = budget
    point = torch.tensor(log_p, dtype=torch.float64)
    assert Majority(n, k).log_success(point).item() <= 0
    assert 0 <= Majority(n, k).sft_weight(point).item() <= k * (1 + 1e-12)
    assert 0 <= Majority(n, k).rl_weight(point).item() <= n * (1 + 1e-12)
    assert 0 <= PassAtN(n).sft_weight(point).item() <= 1 + 1e-12


@settings(max_examples=200, deadline=None)
@given(log_probabilities, log_probabilities, budgets)
def test_success_rises_and_the_weight_falls_with_p(one, other, budget):
    pair = torch.tensor(sorted([one, other]), dtype=torch.float64)
    log_success, weight = Majority(*budget).log_success(pair), Majority(*budget).sft_weight(pair)
    assert log_success[0] <= log_success[1] + 1e-11 * abs(log_success[1])
    assert weight[0] >= weight[1] * (1 - 1e-11)


@settings(max_examples=200, deadline=None)
@given(log_probabilities, st.integers(1, 63))
def test_more_samples_never_hurt_pass_at_n(log_p, n):
    point = torch.tensor(log_p, dtype=torch.float64)
    fewer, more = PassAtN(n).log_success(point).item(), PassAtN(n + 1).log_success(point).item()
    assert fewer <= more + 1e-12 * abs(more)


@settings(max_examples=200, deadline=None)
@given(st.floats(min_value=-700.0, max_value=-1e-6), budgets)
def test_log_weight_times_success_is_p_times_raw_weight(log_p, budget):
    point = torch.tensor(log_p, dtype=torch.float64)
    operator = Majority(*budget)
    log_side = operator.sft_weight(point) * operator.log_success(point).exp()
    raw_side = operator.rl_weight(point) * point.exp()
    torch.testing.assert_close(log_side, raw_side, rtol=1e-10, atol=1e-300)


@pytest.mark.parametrize("n", [0, -1, 2.0, "4", True, None])
def test_an_impossible_budget_is_refused(n):
    for strategy in (PassAtN, BestOfN):
        with pytest.raises(ValueError, match=rf"{strategy.__name__} needs an integer budget n >= 1, got n = "):
            strategy(n)
    with pytest.raises(ValueError, match="Majority needs an integer budget n >= 1"):
        Majority(n, 1)


@pytest.mark.parametrize("k", [0, 9, 2.0, None])
def test_a_threshold_outside_the_budget_is_refused(k):
    with pytest.raises(ValueError, match=r"Majority needs an integer threshold from 1 to n = 8, got "):
        Majority(8, k)


def test_integer_tensors_are_refused():
    with pytest.raises(TypeError, match="floating-point tensor, got torch.int64"):
        PassAtN(4).sft_weight(torch.tensor([-1]))
