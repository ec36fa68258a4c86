"""The diagonal approximation, against enumeration of all N-tuples of answers and automatic differentiation of it.

Theorem 3 of the paper ("the diagonal never flips the gradient's direction") holds under its assumption, which a
softmax meets for two answers and on the target's own logit, and not in general. Both are shown here.
"""

import itertools
import math
import random

import numpy as np
import pytest
import torch

from compute_aligned.analysis.diagonal import (
    answers_of_pool,
    answers_of_rewards,
    compare_gradients,
    diagonal_ratio,
    forced_draws,
    gradients,
    invalid_of,
    ratio_summary,
    softmax,
)
from compute_aligned.operators import BestOfN, Majority

# Best-of-32, from worst to best; the target is the second worst.
FLIPPED = np.array([0.8424, 0.0819, 0.0085, 0.0211, 0.0460])
FLIPPED /= FLIPPED.sum()


def majority_rho(
    answers,
    target,
    n,
    rng=None,
    none_votes=False,
):
    """rho of majority voting among `n` draws from a pool's relative frequencies, for the answer `target`.

    None uses up draws and never wins; with `none_votes` all of them are one wrong answer. A target that does not
    occur in the pool has p_target = 0; rho is then undefined unless y could win by a single vote (N = 1, or draws
    that do not vote).
    Errors and `rng`: those of `answers_of_pool` and `diagonal_ratio`.
    """
    distinct, p = answers_of_pool(answers)
    if target not in distinct:
        distinct, p = [target, *distinct], np.concatenate([[0.0], p])
    return diagonal_ratio(p, distinct.index(target), "majority", n, rng, invalid=invalid_of(distinct, none_votes))


def best_of_n_rho(rewards, n, target=None):
    """rho of best-of-N among `n` draws from a pool's relative frequencies; the target is its highest reward.

    `target`: another reward of the pool to be the target.
    Errors: those of `answers_of_rewards`; ValueError for a target that is not in the pool.
    """
    values, p = answers_of_rewards(rewards)
    if target is not None and target not in values:
        raise ValueError(f"the target must be a reward of the pool, got {target}")
    index = len(values) - 1 if target is None else int(np.searchsorted(values, target))
    return diagonal_ratio(p, index, "best_of_n", n)


def success_probability(p, target, strategy, n, *, invalid=None):
    """P, the chance that the strategy returns the target among `n` draws. Errors: as `diagonal_ratio`.

    P is homogeneous of degree N in the p_j, so N P = sum_j p_j s_j (Euler).
    """
    return float(np.asarray(p) @ forced_draws(p, target, strategy, n, invalid=invalid).s) / n


def returns(draws, target, strategy, invalid=None):
    """Whether the strategy returns the target from a tuple of answers."""
    if strategy == "best_of_n":
        return max(draws) == target
    rivals = [draws.count(j) for j in set(draws) - {target, invalid}]
    return draws.count(target) > max(rivals, default=0)


def enumerated_success(p, target, strategy, n, invalid=None):
    """Sum over all N-tuples of the product of their p_j; a polynomial also off the simplex. For torch and numpy."""
    total = 0.0
    for draws in itertools.product(range(len(p)), repeat=n):
        if returns(draws, target, strategy, invalid):
            total = total + math.prod(p[j] for j in draws)
    return total


def enumerated_forced(p, target, strategy, n, invalid=None):
    """s_j by its words: N times the chance, over the other N-1 draws, that y is returned with one draw being j."""
    s = np.zeros(len(p))
    for others in itertools.product(range(len(p)), repeat=n - 1):
        chance = math.prod(p[j] for j in others)
        for j in range(len(p)):
            s[j] += n * chance * returns((*others, j), target, strategy, invalid)
    return s


def rho_by_words(p, target, strategy, n, invalid=None):
    s = enumerated_forced(p, target, strategy, n, invalid)
    c = sum(p[j] * s[j] for j in range(len(p)) if j != target) / (1 - p[target])
    return s[target] / (s[target] - c)


def small_cases(number, seed=0):
    """Answer sets that can be enumerated: (p, target, strategy, n, index of the invalid answer or None)."""
    rng = np.random.default_rng(seed)
    for i in range(number):
        size, n = int(rng.integers(2, 5)), int(rng.integers(1, 6))
        p, target = rng.dirichlet(np.full(size, rng.choice([0.3, 1.0, 3.0]))), int(rng.integers(size))
        strategy = ("majority", "best_of_n")[i % 2]
        invalid = (target + 1) % size if strategy == "majority" and rng.random() < 0.4 else None
        yield p, target, strategy, n, invalid


def random_comparisons(number, strategy, seed=0, choose_target=None):
    """p, target, n and the compared gradients of random answer sets of 2-6 answers."""
    rng = np.random.default_rng(seed)
    for _ in range(number):
        size, n = int(rng.integers(2, 7)), int(rng.choice([2, 3, 4, 8, 16]))
        p = rng.dirichlet(np.full(size, rng.choice([0.3, 1.0, 3.0]))) + 1e-9
        target = int(rng.integers(size)) if choose_target is None else choose_target(rng, size)
        yield p / p.sum(), target, n, compare_gradients(np.log(p), target, strategy, n)


def not_best(rng, size):
    return int(rng.integers(size - 1))


# What is computed


def test_forced_draws_equal_enumeration_of_the_other_draws():
    for p, target, strategy, n, invalid in small_cases(80):
        wanted = enumerated_forced(p, target, strategy, n, invalid)
        forced = forced_draws(p, target, strategy, n, invalid=invalid)
        np.testing.assert_allclose(forced.s, wanted, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(forced.pivotal * wanted[target], wanted[target] - wanted, rtol=1e-9, atol=1e-13)


def test_rho_equals_its_definition_by_enumeration():
    n_checked = 0
    for p, target, strategy, n, invalid in small_cases(80, seed=1):
        ratio = diagonal_ratio(p, target, strategy, n, invalid=invalid)
        assert ratio.exact and ratio.se == 0
        assert ratio.p_target == pytest.approx(p[target])
        wanted = rho_by_words(p, target, strategy, n, invalid)
        if wanted < 1e6:  # beyond, a - C of the enumeration has lost its digits
            assert ratio.rho == pytest.approx(wanted, rel=1e-8)
            assert ratio.a / (ratio.a - ratio.c) == pytest.approx(wanted, rel=1e-8)
            n_checked += 1
    assert n_checked > 60


def test_a_tie_is_a_loss():
    assert success_probability([0.5, 0.5], 0, "majority", 2) == pytest.approx(0.25)
    assert success_probability([0.5, 0.5], 0, "majority", 1) == pytest.approx(0.5)


def test_an_invalid_answer_uses_up_draws_and_never_wins():
    p = [0.2, 0.8]
    assert success_probability(p, 0, "majority", 4, invalid=1) == pytest.approx(1 - 0.8**4)
    assert success_probability(p, 0, "majority", 4) == pytest.approx(0.2**4 + 4 * 0.2**3 * 0.8)


def test_success_probability_equals_enumeration():
    for p, target, strategy, n, invalid in small_cases(60, seed=2):
        wanted = enumerated_success(p, target, strategy, n, invalid)
        assert success_probability(p, target, strategy, n, invalid=invalid) == pytest.approx(wanted, rel=1e-11)


def test_rho_of_the_best_answer_is_a_power_of_its_rivals_share():
    for p in [0.015625, 0.1, 0.5, 0.9]:
        for n in [1, 2, 8, 64]:
            ratio = diagonal_ratio([0.6 * (1 - p), 0.4 * (1 - p), p], 2, "best_of_n", n)
            assert ratio.rho == pytest.approx((1 - p) ** -(n - 1), rel=1e-12)
            assert ratio.a == n


def test_rho_of_the_worst_answer_of_best_of_n_is_1():
    assert diagonal_ratio([0.3, 0.5, 0.2], 0, "best_of_n", 8).rho == pytest.approx(1, abs=1e-15)


def test_rho_keeps_its_digits_where_the_diagonal_nearly_cancels():
    # Against one rival, with N = 2m, a vote counts if the others split m to m-1.
    p, n = 0.999, 64
    pivotal = n * math.comb(63, 32) * p**32 * (1 - p) ** 31
    wins = n * sum(math.comb(63, i) * p**i * (1 - p) ** (63 - i) for i in range(32, 64))
    assert wins / pivotal > 1e70
    assert diagonal_ratio([p, 1 - p], 0, "majority", n).rho == pytest.approx(wins / pivotal, rel=1e-9)


def test_draws_agree_with_the_exact_value_within_their_standard_error():
    deviations = []
    rng = np.random.default_rng(3)
    for p, target, invalid in [([0.3, 0.3, 0.2, 0.2], 1, 3), ([0.5, 0.2, 0.3], 1, None), ([0.1] * 10, 4, None)]:
        for strategy, n in [("majority", 8), ("majority", 16), ("best_of_n", 8)]:
            absent = invalid if strategy == "majority" else None
            exact = diagonal_ratio(p, target, strategy, n, invalid=absent)
            drawn = diagonal_ratio(p, target, strategy, n, rng, invalid=absent, method="draws")
            assert not drawn.exact and drawn.se > 0
            deviations.append((drawn.rho - exact.rho) / drawn.se)
            assert drawn.a == pytest.approx(exact.a, rel=0.5) and drawn.c == pytest.approx(exact.c, rel=0.5)
    assert np.abs(deviations).max() < 4
    assert np.mean(np.square(deviations)) < 3


def test_the_standard_error_of_the_draws_is_their_spread():
    rng = np.random.default_rng(4)
    drawn = [diagonal_ratio([0.4, 0.3, 0.3], 0, "majority", 8, rng, method="draws", n_draws=1000) for _ in range(200)]
    assert np.mean([ratio.se for ratio in drawn]) == pytest.approx(np.std([ratio.rho for ratio in drawn]), rel=0.2)


def test_draws_are_the_same_for_the_same_seed():
    results = [diagonal_ratio([0.4, 0.6], 0, "majority", 8, np.random.default_rng(5), method="draws") for _ in "ab"]
    assert results[0] == results[1]


def test_draws_miss_the_large_values():
    p = [0.99, 0.01]
    assert diagonal_ratio(p, 0, "majority", 8).rho == pytest.approx(29743, rel=1e-4)
    assert math.isnan(diagonal_ratio(p, 0, "majority", 8, np.random.default_rng(6), method="draws").rho)


def test_too_many_votes_to_count_are_drawn():
    p = np.full(10, 0.1)
    assert not diagonal_ratio(p, 0, "majority", 1000, np.random.default_rng(7), n_draws=100).exact
    assert diagonal_ratio(p, 0, "best_of_n", 1000).exact
    with pytest.raises(ValueError, match="random generator"):
        diagonal_ratio(p, 0, "majority", 1000)


# What rho says


def test_forcing_a_rival_never_helps_more_than_forcing_the_target():
    for p, target, strategy, n, invalid in small_cases(60, seed=8):
        s = enumerated_forced(p, target, strategy, n, invalid)
        assert (s <= s[target] + 1e-12).all() and (s >= 0).all()


def test_rho_is_at_least_1_by_construction_and_defined_where_the_target_and_a_rival_occur():
    rng = np.random.default_rng(9)
    for _ in range(300):
        p = rng.dirichlet(np.full(rng.integers(2, 8), 0.5)) + 1e-6
        target, n = int(rng.integers(len(p))), int(rng.integers(1, 13))
        for strategy in ["majority", "best_of_n"]:
            ratio = diagonal_ratio(p / p.sum(), target, strategy, n)
            assert ratio.rho >= 1 and 0 <= ratio.c <= ratio.a


def test_rho_is_undefined_for_an_absent_target_and_for_a_certain_one():
    for p, target in [([0.0, 0.5, 0.5], 0), ([1.0, 0.0], 0), ([1.0], 0)]:
        ratio = diagonal_ratio(p, target, "majority", 8)
        assert math.isnan(ratio.rho) and ratio.p_target in (0, 1)
    assert math.isnan(diagonal_ratio([0.0, 1.0], 1, "best_of_n", 8).rho)
    assert math.isnan(diagonal_ratio([0.0, 1.0], 0, "best_of_n", 8).rho)


def test_rho_is_the_diagonal_over_the_total_derivative_when_rivals_shrink_in_proportion():
    step, n_checked = 1e-6, 0
    for p, target, strategy, n, invalid in small_cases(40, seed=10):
        if not 0.05 < p[target] < 0.8:
            continue
        n_checked += 1
        alone = np.eye(len(p))[target]
        in_proportion = np.where(alone == 1, 1.0, -p / (1 - p[target]))

        def slope(direction, p=p, case=(target, strategy, n, invalid)):
            up, down = (enumerated_success(p + sign * step * direction, *case) for sign in (1, -1))
            return (up - down) / (2 * step)

        ratio = diagonal_ratio(p, target, strategy, n, invalid=invalid)
        assert slope(alone) == pytest.approx(ratio.a, rel=1e-6, abs=1e-8)
        assert slope(in_proportion) == pytest.approx(ratio.a - ratio.c, rel=1e-5, abs=1e-8)
    assert n_checked > 15


def test_rho_grows_without_bound_as_the_target_becomes_certain():
    rhos = [diagonal_ratio([p, 1 - p], 0, "majority", 8).rho for p in [0.1, 0.3, 0.5, 0.7, 0.9]]
    assert rhos == pytest.approx([1.069, 1.296, 1.829, 3.852, 43.43], rel=1e-3)


def test_the_weight_trained_with_for_the_best_answer_is_the_total_derivative_and_not_a():
    p, n = 0.3, 8
    ratio = diagonal_ratio([0.5, 0.2, p], 2, "best_of_n", n)
    weight = float(BestOfN(n).rl_weight(torch.tensor(math.log(1 - p), dtype=torch.float64)))
    assert weight == pytest.approx(ratio.a - ratio.c)
    assert ratio.rho > 10


@pytest.mark.parametrize("n", [3, 4, 8, 9])
def test_the_weight_trained_with_against_a_single_rival_is_the_total_derivative(n):
    p = 0.4
    ratio = diagonal_ratio([p, 1 - p], 0, "majority", n)
    weight = float(Majority(n, n // 2 + 1).rl_weight(torch.tensor(math.log(p), dtype=torch.float64)))
    assert weight == pytest.approx(ratio.a - ratio.c)


def test_the_majority_weight_trained_with_can_lie_on_either_side_of_the_total_derivative():
    ratio = diagonal_ratio([0.3, 0.25, 0.25, 0.2], 0, "majority", 8)
    weights = [float(Majority(8, k).rl_weight(torch.tensor(math.log(0.3), dtype=torch.float64))) for k in (3, 4, 5)]
    assert weights == pytest.approx([2.541, 1.815, 0.778], abs=1e-3)
    assert ratio.a - ratio.c == pytest.approx(2.038, abs=1e-3)
    assert ratio.a == pytest.approx(3.674, abs=1e-3)


# The gradients, and Theorem 3


def test_the_exact_gradient_equals_automatic_differentiation_of_the_enumeration():
    for p, target, strategy, n, invalid in small_cases(60, seed=11):
        logits = torch.tensor(np.log(p) + 1.7, requires_grad=True)
        enumerated_success(logits.softmax(0), target, strategy, n, invalid).backward()
        computed, _ = gradients(logits.detach().numpy(), target, strategy, n, invalid=invalid)
        np.testing.assert_allclose(computed, logits.grad.numpy(), rtol=1e-9, atol=1e-13)


def test_the_diagonal_gradient_holds_the_rivals_fixed():
    """Automatic differentiation with the p_j of the rivals cut out of the graph."""
    for p, target, strategy, n, invalid in small_cases(60, seed=12):
        logits = torch.tensor(np.log(p) - 0.3, requires_grad=True)
        q = logits.softmax(0)
        q = [q[j] if j == target else q[j].detach() for j in range(len(p))]
        success = enumerated_success(q, target, strategy, n, invalid)
        success.backward()
        _, computed = gradients(logits.detach().numpy(), target, strategy, n, invalid=invalid)
        np.testing.assert_allclose(computed, logits.grad.numpy(), rtol=1e-9, atol=1e-13)


def test_on_the_targets_own_logit_a_softmax_is_proportional_decay():
    for p, target, n, _ in random_comparisons(60, "majority", seed=13):
        logits = np.log(p)
        for strategy in ["majority", "best_of_n"]:
            exact, diagonal = (gradient[target] for gradient in gradients(logits, target, strategy, n))
            if exact < 1e-290:  # p^N out of float64's reach
                continue
            assert diagonal == pytest.approx(diagonal_ratio(p, target, strategy, n).rho * exact, rel=1e-9)


def test_theorem_3_holds_where_rivals_decay_in_proportion():
    """exact = (a - C) grad p_y, a multiple >= 0 of the diagonal; the omitted term -C grad p_y points against it."""
    rng = np.random.default_rng(14)
    for p, target, strategy, n, invalid in small_cases(40, seed=14):
        grad_p = rng.normal(size=6)  # of p_y, in any parameters
        decay = np.outer(p / (1 - p[target]), -grad_p)
        decay[target] = grad_p
        forced = forced_draws(p, target, strategy, n, invalid=invalid)
        exact, diagonal = forced.s @ decay, forced.s[target] * grad_p
        assert exact @ diagonal >= 0
        assert (exact - diagonal) @ diagonal <= 1e-12 * (diagonal @ diagonal)


@pytest.mark.parametrize("strategy, target", [("majority", 0), ("best_of_n", 0), ("best_of_n", 1)])
def test_theorem_3_holds_for_two_answers(strategy, target):
    for p in [0.01, 0.4, 0.9]:
        assert compare_gradients(np.log([p, 1 - p]), target, strategy, 8).cosine == pytest.approx(1, abs=1e-9)


def test_the_direction_is_exact_where_the_strategy_depends_on_the_targets_probability_alone():
    rng = np.random.default_rng(15)
    for _ in range(40):
        logits = rng.normal(size=5) * 2
        assert compare_gradients(logits, 4, "best_of_n", 8).cosine == pytest.approx(1, abs=1e-9)  # pass@N
        assert compare_gradients(logits, 2, "majority", 3).cosine == pytest.approx(1, abs=1e-9)  # 2 of 3


def test_plurality_keeps_the_direction_on_random_answer_sets():
    cosines = [comparison.cosine for *_, comparison in random_comparisons(500, "majority", seed=16)]
    assert min(cosines) > 0.8
    assert np.mean(np.array(cosines) > 0.9) > 0.98


def test_many_rivals_turn_a_plurality_further_than_random_answer_sets_show():
    p = np.array([1e-8, 0.3] + [0.7 / 60] * 60)
    assert compare_gradients(np.log(p / p.sum()), 0, "majority", 32).cosine == pytest.approx(0.484, abs=1e-3)


def test_theorem_3_fails_for_best_of_n_with_a_target_that_is_not_the_best():
    comparison = compare_gradients(np.log(FLIPPED), 1, "best_of_n", 32)
    ratio = diagonal_ratio(FLIPPED, 1, "best_of_n", 32)
    assert ratio.a > ratio.c and ratio.rho == pytest.approx(7.46, abs=0.01)
    assert comparison.cosine == pytest.approx(-0.39, abs=0.005)
    # "Inner product >= 0" is true here with error = diagonal - exact, and says nothing about the direction.
    exact, diagonal = gradients(np.log(FLIPPED), 1, "best_of_n", 32)
    assert (diagonal - exact) @ diagonal > 0


def test_where_it_fails_a_step_along_the_diagonal_lowers_the_success():
    logits, n = np.log(FLIPPED), 32
    before = success_probability(FLIPPED, 1, "best_of_n", n)
    steps = [1e-3 * gradient for gradient in gradients(logits, 1, "best_of_n", n)]
    exact, diagonal = (success_probability(softmax(logits + step), 1, "best_of_n", n) for step in steps)
    assert diagonal < before < exact


def test_it_fails_because_the_worse_answers_are_no_rivals():
    """The gain lies in taking from the better answers; the diagonal takes from the most frequent ones."""
    exact, diagonal = gradients(np.log(FLIPPED), 1, "best_of_n", 32)
    assert exact[0] > exact[1] > 0 and (exact[2:] < 0).all()
    assert diagonal[0] < diagonal[2:].min() < 0


def test_it_fails_in_a_few_percent_of_random_cases():
    cosines = [
        comparison.cosine for *_, comparison in random_comparisons(4000, "best_of_n", seed=17, choose_target=not_best)
    ]
    assert 0.002 < np.nanmean(np.array(cosines) < 0) < 0.03


def test_no_sign_of_the_error_holds_for_a_softmax():
    """Theorem 3's inner product, by either convention: both signs occur, for both strategies."""
    for strategy, choose_target in [("majority", None), ("best_of_n", not_best)]:
        cases = [case for *case, _ in random_comparisons(400, strategy, seed=18, choose_target=choose_target)]
        found = [gradients(np.log(p), target, strategy, n) for p, target, n in cases]
        omitted = np.array([(exact - diagonal) @ diagonal for exact, diagonal in found])
        too_short, too_long = np.mean(omitted > 1e-12), np.mean(omitted < -1e-12)
        assert 0.01 < too_short < 0.15 and too_long > 0.3


def test_the_diagonal_gradient_can_be_shorter_than_the_exact_one_although_rho_is_at_least_1():
    p = np.array([1e-3, 0.699, 0.1, 0.1, 0.1])
    assert compare_gradients(np.log(p), 0, "majority", 8).ratio < 0.8
    assert diagonal_ratio(p, 0, "majority", 8).rho > 1


def test_a_vanishing_gradient_has_no_direction():
    assert math.isnan(compare_gradients([0.0, -800.0], 1, "majority", 4).cosine)


# Pools and summaries


def test_a_pool_gives_relative_frequencies_with_invalid_completions_last():
    answers, p = answers_of_pool([None, "3", "7", None, "7", None])
    assert answers == ["7", "3", None]
    np.testing.assert_allclose(p, [2 / 6, 1 / 6, 3 / 6])


def test_equal_rewards_are_one_answer_and_unusable_completions_are_left_out():
    values, p = answers_of_rewards([2.0, None, -1.0, 2.0, 0.5, None])
    assert values.tolist() == [-1.0, 0.5, 2.0]
    np.testing.assert_allclose(p, [0.25, 0.25, 0.5])


def test_rho_of_a_pool_does_not_depend_on_its_order():
    pool = ["a"] * 5 + ["b"] * 4 + ["c"] * 2 + [None] * 3
    shuffled = random.Random(0).sample(pool, len(pool))
    assert majority_rho(pool, "a", 8) == majority_rho(shuffled, "a", 8)


def test_invalid_completions_abstain_or_vote_as_one_wrong_answer():
    pool = ["a"] * 2 + [None] * 2
    assert majority_rho(pool, "a", 3).rho == pytest.approx(rho_by_words([0.5, 0.5], 0, "majority", 3, 1))
    assert majority_rho(pool, "a", 3, none_votes=True).rho == pytest.approx(rho_by_words([0.5, 0.5], 0, "majority", 3))


def test_a_target_that_is_not_in_the_pool_is_undefined():
    ratio = majority_rho(["a", "b", "b"], "z", 8)
    assert math.isnan(ratio.rho) and ratio.p_target == 0


def test_the_target_of_best_of_n_is_the_highest_reward_unless_named():
    rewards = [1.0, 2.0, 2.0, 5.0, None]
    assert best_of_n_rho(rewards, 8).rho == pytest.approx(0.75**-7)
    assert best_of_n_rho(rewards, 8, target=2.0).rho == pytest.approx(
        rho_by_words([0.25, 0.5, 0.25], 1, "best_of_n", 8)
    )
    with pytest.raises(ValueError, match="reward of the pool"):
        best_of_n_rho(rewards, 8, target=3.0)


def test_the_best_answer_of_64_cannot_have_a_rho_of_1():
    # The smallest value of the paper's Figure 10 is 1.00; a pool of 64 gives its best answer at least 1.117.
    assert best_of_n_rho(list(range(64)), 8).rho == pytest.approx(1.1165, abs=1e-4)


def test_undefined_problems_are_counted_and_left_out():
    summary = ratio_summary([1.0, 1.5, math.nan, 4.0])
    assert (summary.n_undefined, summary.share_at_least_one) == (1, 1.0)
    assert (summary.mean, summary.median, summary.min, summary.max) == (pytest.approx(6.5 / 3), 1.5, 1.0, 4.0)
    assert math.isnan(ratio_summary([math.nan]).median) and ratio_summary([]).n_undefined == 0


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: diagonal_ratio([0.5, 0.6], 0, "majority", 4), "sum to 1"),
        (lambda: diagonal_ratio([1.5, -0.5], 0, "majority", 4), ">= 0"),
        (lambda: diagonal_ratio([0.5, 0.5], 2, "majority", 4), "index 2"),
        (lambda: diagonal_ratio([0.5, 0.5], 0, "majority", 0), "n >= 1"),
        (lambda: diagonal_ratio([0.5, 0.5], 0, "mean", 4), "strategy"),
        (lambda: diagonal_ratio([0.5, 0.5], 0, "majority", 4, method="guess"), "method"),
        (lambda: diagonal_ratio([0.5, 0.5], 0, "majority", 4, invalid=0), "invalid"),
        (lambda: diagonal_ratio([0.5, 0.5], 0, "best_of_n", 4, invalid=1), "invalid"),
        (lambda: gradients([0.0, math.inf], 0, "majority", 4), "finite logits"),
        (lambda: answers_of_pool([]), "at least one answer"),
        (lambda: answers_of_pool(["a", 3]), "str or None"),
        (lambda: answers_of_rewards([None]), "usable"),
        (lambda: answers_of_rewards([1.0, math.nan]), "finite rewards"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
