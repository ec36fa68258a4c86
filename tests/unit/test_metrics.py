"""Exact metrics against enumeration of every ordered draw in exact fractions, and against simulation."""

import itertools
import math
import random
from fractions import Fraction

import numpy as np
import pytest

from compute_aligned.metrics import best_of_curve, best_of_k, majority_at_k, majority_curve, pass_at_k, pass_curve

RELATIVE_ERROR = 1e-13


def mean_over_ordered_draws(pool, k, score):
    draws = [Fraction(score(draw)) for draw in itertools.permutations(pool, k)]
    return sum(draws) / len(draws)


def winner(draw):
    """Most frequent valid answer, ties to the one drawn first."""
    valid = [answer for answer in draw if answer is not None]
    return max(valid, key=lambda answer: (valid.count(answer), -valid.index(answer)), default=None)


def random_answer_pools(number, seed=0):
    rng = random.Random(seed)
    for _ in range(number):
        alphabet = ["a", "b", "c", "d", None][rng.randint(0, 3) :] + ["a"]
        pool = [rng.choice(alphabet) for _ in range(rng.randint(2, 7))]
        yield pool, rng.sample(["a", "b", "c"], rng.choice([1, 1, 1, 2]))


def test_majority_equals_enumeration_of_every_ordered_draw():
    n_cases = 0
    for pool, correct in random_answer_pools(320):
        ks = range(1, len(pool) + 1)
        for k, computed in zip(ks, majority_curve(pool, correct, ks), strict=True):
            wanted = mean_over_ordered_draws(pool, k, lambda draw, correct=correct: winner(draw) in correct)
            assert computed == pytest.approx(float(wanted), rel=RELATIVE_ERROR, abs=0)
            n_cases += 1
    assert n_cases > 1000


def test_best_of_k_equals_enumeration_of_every_ordered_draw():
    rng = random.Random(1)
    for _ in range(150):
        rewards = [rng.choice([-5.0, 0.25, 1.5, 3.0, 12.0]) for _ in range(rng.randint(1, 6))]
        for k in range(1, len(rewards) + 1):
            wanted = float(mean_over_ordered_draws(rewards, k, max))
            assert best_of_k(rewards, k) == pytest.approx(wanted, rel=RELATIVE_ERROR, abs=1e-14)


def test_pass_at_k_equals_enumeration_of_every_ordered_draw():
    for m in range(1, 7):
        for c in range(m + 1):
            for k in range(1, m + 1):
                wanted = mean_over_ordered_draws([True] * c + [False] * (m - c), k, any)
                assert pass_at_k(m, c, k) == pytest.approx(float(wanted), rel=RELATIVE_ERROR, abs=0)


def test_pass_at_k_is_exact_where_the_complement_would_cancel():
    ks = [1, 10, 5000]
    wanted = [float(1 - Fraction(math.comb(10**6 - 1, k), math.comb(10**6, k))) for k in ks]
    np.testing.assert_allclose(pass_curve(10**6, 1, ks), wanted, rtol=1e-11)


def counting_majority(counts, n_invalid, k):
    """P[class 0 wins] by enumerating the multivariate hypergeometric draws in exact integers."""
    favourable = Fraction(0)
    for votes in itertools.product(*[range(count + 1) for count in counts]):
        if 0 <= k - sum(votes) <= n_invalid and votes[0] == max(votes) > 0:
            ways = math.prod(math.comb(n, v) for n, v in zip(counts, votes, strict=True))
            favourable += Fraction(ways * math.comb(n_invalid, k - sum(votes)), votes.count(votes[0]))
    return float(favourable / math.comb(sum(counts) + n_invalid, k))


@pytest.mark.parametrize("counts", [[10, 14, 6, 3], [12, 12, 12], [5, 20, 1, 1, 1, 1, 1], [1, 30], [30, 29, 4]])
def test_majority_of_a_pool_too_large_to_enumerate_equals_counting_subsets(counts):
    n_invalid = 8
    pool = [None] * n_invalid + [str(j) for j, count in enumerate(counts) for _ in range(count)]
    ks = [1, 2, 3, 4, 7, 16, len(pool) - 1, len(pool)]
    wanted = [counting_majority(counts, n_invalid, k) for k in ks]
    np.testing.assert_allclose(majority_curve(pool, "0", ks), wanted, rtol=RELATIVE_ERROR)


def test_majority_of_a_large_pool_agrees_with_simulation():
    rng = np.random.default_rng(0)
    counts, k, n_trials = [30, 36, 20, 5, 1, 1, 1, 1], 16, 20_000
    pool = np.repeat([*range(len(counts)), -1], [*counts, 33])
    orders = rng.permuted(np.tile(pool, (n_trials, 1)), axis=1)[:, :k]
    wins = 0
    for drawn in orders:
        valid = drawn[drawn >= 0]
        wins += len(valid) > 0 and valid[np.argmax(np.bincount(valid)[valid])] == 0
    answers = [None if code < 0 else str(code) for code in pool]
    exact = majority_at_k(answers, "0", k)
    assert wins / n_trials == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / n_trials))


def test_pools_beyond_a_thousand_samples_neither_overflow_nor_lose_digits():
    # Two answers and an odd number of draws: a hypergeometric tail, in exact integers.
    pool, k = ["a"] * 590 + ["b"] * 610, 401
    favourable = sum(math.comb(590, i) * math.comb(610, k - i) for i in range(201, k + 1))
    wanted = float(Fraction(favourable, math.comb(1200, k)))
    assert majority_at_k(pool, "a", k) == pytest.approx(wanted, rel=1e-11)
    # The whole pool: the larger class wins for certain.
    np.testing.assert_allclose(majority_curve(pool, "b", [1, 1200]), [610 / 1200, 1.0], rtol=1e-12)


def test_both_ways_of_counting_agree_where_they_meet():
    def pool(n_invalid):
        return ["a"] * 350 + ["b"] * 380 + ["c"] * 200 + ["d", "e"] * 10 + [None] * n_invalid

    ks = [1, 3, 64]
    # One invalid sample more or less hardly matters; a change of method must not either.
    curves = [majority_curve(pool(n_invalid), "a", ks) for n_invalid in (49, 50, 51, 52)]
    steps = np.diff(curves, axis=0)
    np.testing.assert_allclose(steps[1], (steps[0] + steps[2]) / 2, atol=1e-7)


def test_curves_rise_with_the_budget():
    rng = np.random.default_rng(2)
    for _ in range(20):
        m = int(rng.integers(2, 100))
        ks = np.arange(1, m + 1)
        assert (np.diff(pass_curve(m, int(rng.integers(0, m + 1)), ks)) >= -1e-14).all()
        assert (np.diff(best_of_curve(rng.normal(size=m), ks)) >= -1e-12).all()


def test_majority_of_one_or_two_draws_is_the_pass_rate():
    # The second draw can only tie, and ties go to the first.
    pool = ["a"] * 5 + ["b"] * 3 + ["c"] * 9
    np.testing.assert_allclose(majority_curve(pool, "a", [1, 2]), 5 / 17, rtol=1e-14)
    assert pass_at_k(17, 5, 1) == pytest.approx(5 / 17, rel=1e-14)


def test_with_one_answer_and_invalid_ones_majority_is_pass_at_k():
    pool = ["a"] * 7 + [None] * 57
    ks = range(1, 65)
    np.testing.assert_allclose(majority_curve(pool, "a", ks), pass_curve(64, 7, ks), rtol=1e-13)


def test_a_clear_leader_wins_for_certain_once_the_whole_pool_is_drawn():
    pool = ["a"] * 5 + ["b"] * 4 + [None] * 20
    assert majority_at_k(pool, "a", 29) == 1
    assert majority_at_k(pool, "b", 29) == 0
    assert majority_at_k(["a", "b", "c"] * 4, "a", 12) == pytest.approx(1 / 3)


def test_two_ways_of_writing_the_right_answer_vote_apart_and_add_up():
    pool = ["1/2"] * 4 + ["0.5"] * 3 + ["2"] * 5
    both = majority_curve(pool, {"1/2", "0.5"}, [1, 4, 12])
    np.testing.assert_allclose(both, majority_curve(pool, "1/2", [1, 4, 12]) + majority_curve(pool, "0.5", [1, 4, 12]))
    # Together they hold the pool, apart they lose it.
    np.testing.assert_allclose(both[[0, 2]], [7 / 12, 0.0])


def test_an_answer_nobody_gave_never_wins():
    assert (majority_curve(["a", "b", None], "c", [1, 2, 3]) == 0).all()
    assert (majority_curve([None, None], "c", [1, 2]) == 0).all()
    assert (majority_curve(["a", "b"], [], [1, 2]) == 0).all()


def test_best_of_the_whole_pool_is_its_maximum_and_of_one_its_mean():
    rewards = np.random.default_rng(3).normal(size=512)
    np.testing.assert_allclose(best_of_curve(rewards, [1, 512]), [rewards.mean(), rewards.max()], rtol=1e-12)


def test_metrics_do_not_depend_on_the_order_of_the_pool():
    rng = random.Random(4)
    answers, rewards = ["a", "b", "b", "c", "a", None, "d", "a"], [3.0, -1.0, 2.0, 2.0, 5.0, 0.0, 1.0, 7.0]
    first = majority_curve(answers, "a", [1, 3, 5]), best_of_curve(rewards, [1, 3, 5])
    rng.shuffle(answers)
    rng.shuffle(rewards)
    np.testing.assert_allclose(majority_curve(answers, "a", [1, 3, 5]), first[0], rtol=1e-14)
    np.testing.assert_allclose(best_of_curve(rewards, [1, 3, 5]), first[1], rtol=1e-14)


@pytest.mark.parametrize("k", [0, 5, -1, 1.5])
def test_more_draws_than_samples_are_refused(k):
    found = rf"needs an integer 1 <= k <= 4 \(the size of the pool\), got k = {k}"
    with pytest.raises(ValueError, match=f"pass@k {found}"):
        pass_at_k(4, 2, k)
    with pytest.raises(ValueError, match=f"maj@k {found}"):
        majority_at_k(["a", "b", "c", None], "a", k)
    with pytest.raises(ValueError, match=f"best-of-k {found}"):
        best_of_k([0.0, 1.0, 2.0, 3.0], k)


def test_impossible_pools_are_refused():
    with pytest.raises(ValueError, match="0 <= n_correct <= n_samples = 4, got n_correct = 5"):
        pass_at_k(4, 5, 1)
    with pytest.raises(ValueError, match="finite rewards, got nan"):
        best_of_k([1.0, math.nan], 1)
    # A missing answer read back from a table is often NaN; as a vote it would count as valid.
    with pytest.raises(ValueError, match=r"str or None, got nan \(float\)"):
        majority_at_k(["a", math.nan], "a", 1)
