"""Advantage rules against groups worked by hand, slow plain loops and the claims about normalisation."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_ins import weighted_advantages

from compute_aligned.advantages import (
    RL_OBJECTIVES,
    AdvantageSettings,
    Rollouts,
    group_advantages,
    majority_threshold,
    normalised,
    quantile_among,
    quantile_within_prompt,
    rl_objective,
)

PLAIN = AdvantageSettings(
    weight_clip=None, normalize_weights=False, advantage_clip=None, all_wrong_penalty=0.0, reward_window=None
)
# as the paper has them (Sec. 3.2, Apps. B, H to J)
PASS = AdvantageSettings(50.0, False, None, 0.0, None)
MAJORITY = AdvantageSettings(10.0, True, None, 0.5, None)
CONDITIONAL_PROTEIN = AdvantageSettings(None, True, 5.0, 0.0, None)


def binary(*rows):
    """Rewards from strings such as "1001"."""
    return torch.tensor([[float(reward) for reward in row] for row in rows])


def numbered(rewards):
    """Answers: the gold one for right completions, a different one for each wrong completion."""
    return [["gold" if r == 1 else f"wrong {i}" for i, r in enumerate(row)] for row in rewards.tolist()]


# --- independent ways to the same numbers ----------------------------------------------------------------------------


def slow_advantage(row):
    mean = math.fsum(row) / len(row)
    sd = math.sqrt(math.fsum((r - mean) ** 2 for r in row) / (len(row) - 1))
    return [(r - mean) / (sd + 1e-4) for r in row]


def slow_success(n, k, p):
    """Probability of at least k successes in n, by counting all 2^n outcomes."""
    return sum(
        p ** bin(outcome).count("1") * (1 - p) ** (n - bin(outcome).count("1"))
        for outcome in range(2**n)
        if bin(outcome).count("1") >= k
    )


def slow_weight(n, k, p, form):
    """S'(p) or p S'(p)/S(p), S' from a central difference of exact fractions, whose error is of order 1e-20."""
    p, h = Fraction(p), Fraction(1, 10**10) * min(Fraction(p), 1 - Fraction(p))
    slope = (slow_success(n, k, p + h) - slow_success(n, k, p - h)) / (2 * h)
    return float(slope if form == "raw" else p * slope / slow_success(n, k, p))


def slow_majority(rewards, answers, n, form, rule):
    """The whole majority recipe for lists, one step after the other."""
    advantages, weights = [], []
    for row, names in zip(rewards, answers, strict=True):
        votes = {}
        for reward, name in zip(row, names, strict=True):
            if reward == 0:
                votes[name] = votes.get(name, 0) + 1
        leading = max(votes.values()) if votes else 0
        k = max(2, min(n // 2 + 1, math.floor(Fraction(n * leading, len(row))) + 1))
        p = Fraction(int(sum(row)) + 1, len(row) + 2)
        weights.append(min(slow_weight(n, k, p, form), rule.weight_clip))
        advantages.append([a - (rule.all_wrong_penalty if sum(row) == 0 else 0) for a in slow_advantage(row)])
    if len(weights) > 1 and sum(weights) > 0:
        mean = sum(weights) / len(weights)
        weights = [w / mean for w in weights]
    return [[w * a for a in row] for w, row in zip(weights, advantages, strict=True)]


# --- GRPO ------------------------------------------------------------------------------------------------------------


def test_grpo_is_the_reward_less_the_groups_mean_over_its_sample_sd():
    # one of four right: mean 1/4, sample variance (3 (1/4)^2 + (3/4)^2) / 3 = 1/4, sd 1/2
    rewards = binary("1000", "1100")
    advantages, weights = weighted_advantages(rl_objective("grpo"), Rollouts(rewards), PLAIN)
    first = 0.5 + 1e-4
    second = math.sqrt(1 / 3) + 1e-4
    expected = [[0.75 / first, *[-0.25 / first] * 3], [0.5 / second, 0.5 / second, -0.5 / second, -0.5 / second]]
    torch.testing.assert_close(advantages, torch.tensor(expected))
    assert (weights == 1).all() and weights.shape == (2, 4)


@given(st.lists(st.lists(st.floats(-20, 20), min_size=5, max_size=5), min_size=1, max_size=4))
def test_group_advantages_agree_with_a_plain_loop(rows):
    rewards = torch.tensor(rows, dtype=torch.float64)
    expected = torch.tensor([slow_advantage(row) for row in rows], dtype=torch.float64)
    torch.testing.assert_close(group_advantages(rewards), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["grpo", "pass_n4_log", "pass_n16_raw", "majority_n8_raw", "majority_n4_log"])
def test_a_group_whose_completions_are_all_right_has_no_advantages_and_no_penalty(name):
    rewards = binary("1111", "1010")
    rollouts = Rollouts(rewards, numbered(rewards), torch.full((2, 4), -3.0))
    advantages, _ = weighted_advantages(rl_objective(name), rollouts, MAJORITY)
    assert (advantages[0] == 0).all() and (advantages[1] != 0).all()


@pytest.mark.parametrize("name", ["grpo", "majority_n4_raw", "majority_n8_log"])
def test_each_advantage_of_an_all_wrong_group_is_half_a_point_lower_before_its_weight(name):
    rewards = binary("0000", "1000")
    rollouts = Rollouts(rewards, numbered(rewards))
    advantages, weights = weighted_advantages(rl_objective(name), rollouts, MAJORITY)
    torch.testing.assert_close(advantages[0], -0.5 * weights[0])
    without, _ = weighted_advantages(
        rl_objective(name), rollouts, AdvantageSettings(10.0, True, None, all_wrong_penalty=0.0, reward_window=None)
    )
    assert (without[0] == 0).all()
    torch.testing.assert_close(advantages[1], without[1])


def test_advantages_are_cut_before_the_weight():
    rewards = torch.tensor([[1000.0, *range(39)]])  # one outlier in 40: its advantage is near 6.2
    uncut = group_advantages(rewards)
    assert uncut[0, 0] > 5
    advantages, weights = weighted_advantages(rl_objective("best_of_n4"), Rollouts(rewards), CONDITIONAL_PROTEIN)
    assert advantages[0, 0] == 5 * weights[0, 0] and weights[0, 0] > 3
    torch.testing.assert_close(advantages[0, 1:], uncut[0, 1:] * weights[0, 1:])


# --- Pass@N ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["log", "raw"])
@pytest.mark.parametrize("n", [1, 4, 8])
def test_pass_weights_are_those_of_the_completions_own_probability(n, form):
    p = torch.tensor([[0.5, 0.1, 1e-3, 0.9]])
    _, weights = weighted_advantages(
        rl_objective(f"pass_n{n}_{form}"), Rollouts(binary("1000"), log_p=p.double().log()), PASS
    )
    expected = torch.tensor([[slow_weight(n, 1, value, form) for value in p[0].tolist()]])
    torch.testing.assert_close(weights, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("form", "limit"), [("log", 1.0), ("raw", 16.0)])
def test_the_log_weight_tends_to_1_and_the_raw_weight_to_n_as_p_falls(form, limit):
    log_p = torch.tensor([[-5.0, -10.0, -20.0, -49.0, -51.0, -1e4]])
    _, weights = weighted_advantages(rl_objective(f"pass_n16_{form}"), Rollouts(binary("100000"), log_p=log_p), PASS)
    distance = (weights - limit).abs()[0]
    assert (distance.diff() <= 0).all() and distance[0] > 1e-3 * limit
    assert distance[-1] == distance[-2] <= 1e-6 * limit  # p below 1e-10 is 1e-10


def test_a_certain_completion_has_next_to_no_pass_weight_and_no_nan():
    for form in ("log", "raw"):
        _, weights = weighted_advantages(
            rl_objective(f"pass_n2_{form}"), Rollouts(binary("10"), log_p=torch.tensor([[0.0, 1e-6]])), PASS
        )
        assert weights[0].tolist() == pytest.approx([2e-10, 2e-10], rel=1e-5)  # p = 1 - 1e-10, N (1-p)


def test_pass_weights_are_cut_at_50_and_not_normalised():
    rollouts = Rollouts(binary("10", "01"), log_p=torch.full((2, 2), -30.0))
    _, weights = weighted_advantages(rl_objective("pass_n64_raw"), rollouts, PASS)
    assert (weights == 50).all()


# --- majority vote ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rewards", "answers", "n", "k"),
    [
        ("11100000", "gggaabcd", 8, 3),  # leading wrong answer: 2 of 8 votes, floor(8*2/8)+1
        ("11100000", "gggaabcd", 4, 2),  # floor(4*2/8)+1 = 2
        ("10000000", "gaaaaaaa", 8, 5),  # 8 votes wanted, never more than a strict majority, 8//2+1
        ("11111111", "gggggggg", 8, 2),  # no rival: never below 2
        ("0000", "abcd", 4, 2),
        ("0000", "aaab", 16, 9),  # N > M: floor(16*3/4)+1 = 13, a strict majority of 16 is 9
        ("1100", "ggab", 16, 5),  # N > M: floor(16*1/4)+1
        ("100", "gab", 2, 2),
    ],
)
def test_the_threshold_follows_the_leading_wrong_answer(rewards, answers, n, k):
    assert majority_threshold([float(r) for r in rewards], list(answers), n) == k


def test_completions_without_a_valid_answer_vote_together():
    rewards = [1.0, 0.0, 0.0, 0.0]
    assert majority_threshold(rewards, ["7", None, None, None], 8) == 5
    assert majority_threshold(rewards, ["7", None, None, "3"], 8) == 5
    assert majority_threshold(rewards, ["7", None, "4", "3"], 8) == 3


def test_right_answers_written_in_two_ways_are_no_rivals_of_each_other():
    assert majority_threshold([1.0, 1.0, 1.0, 0.0], ["0.5", "0.5", r"\frac{1}{2}", "2"], 8) == 3


@settings(deadline=None)
@given(
    st.integers(2, 8),
    st.sampled_from(["log", "raw"]),
    st.lists(
        st.lists(st.sampled_from([(1.0, "g"), (0.0, "a"), (0.0, "b"), (0.0, None)]), min_size=4, max_size=4),
        min_size=1,
        max_size=3,
    ),
)
def test_the_majority_recipe_agrees_with_a_plain_loop(n, form, rows):
    rewards = [[reward for reward, _ in row] for row in rows]
    answers = [[answer for _, answer in row] for row in rows]
    rollouts = Rollouts(torch.tensor(rewards), answers)
    advantages, _ = weighted_advantages(rl_objective(f"majority_n{n}_{form}"), rollouts, MAJORITY)
    expected = torch.tensor(slow_majority(rewards, answers, n, form, MAJORITY))
    torch.testing.assert_close(advantages, expected, rtol=1e-5, atol=1e-6)


def test_majority_weights_are_cut_before_they_are_normalised():
    # M = 8, N = 64, k = 33 for both prompts: S'(1/2) = 64 C(63,32) / 2^63 = 6.36, S'(1/10) next to nothing
    rewards = binary("00001111", "00000000")
    answers = [["a"] * 4 + ["g"] * 4, ["a"] * 8]
    _, raw = weighted_advantages(rl_objective("majority_n64_raw"), Rollouts(rewards, answers), PLAIN)
    assert raw[0].tolist() == pytest.approx([64 * math.comb(63, 32) / 2**63] * 8)
    cut_at_4 = AdvantageSettings(4.0, True, None, 0.5, None)
    _, weights = weighted_advantages(rl_objective("majority_n64_raw"), Rollouts(rewards, answers), cut_at_4)
    torch.testing.assert_close(weights, raw.clamp(max=4.0) / raw.clamp(max=4.0).mean())


# --- normalisation ---------------------------------------------------------------------------------------------------


@given(st.integers(2, 64), st.sampled_from(["log", "raw"]))
def test_within_one_prompt_a_common_weight_would_cancel_so_it_stays_raw(n, form):
    rewards = binary("1000")
    rollouts = Rollouts(rewards, numbered(rewards))
    advantages, weights = weighted_advantages(rl_objective(f"majority_n{n}_{form}"), rollouts, MAJORITY)
    plain = group_advantages(rewards)
    torch.testing.assert_close(advantages / weights.mean(), plain)  # what self-normalisation would leave: plain GRPO
    _, raw = weighted_advantages(
        rl_objective(f"majority_n{n}_{form}"), rollouts, AdvantageSettings(10.0, False, None, 0.5, None)
    )
    assert torch.equal(weights, raw)


def test_over_a_batch_of_prompts_the_weights_have_mean_1_and_do_not_cancel():
    rewards = binary("1000", "1110", "0000", "1100")
    rollouts = Rollouts(rewards, numbered(rewards))
    for name in ("majority_n4_raw", "majority_n8_log"):
        advantages, weights = weighted_advantages(rl_objective(name), rollouts, MAJORITY)
        assert weights.mean() == pytest.approx(1, rel=1e-6)
        assert (weights == weights[:, :1]).all() and len(weights[:, 0].unique()) > 1
        grpo, _ = weighted_advantages(rl_objective("grpo"), rollouts, MAJORITY)
        torch.testing.assert_close(advantages, weights * grpo)


def test_batches_that_are_stacked_are_normalised_each_by_its_own_mean():
    stack = torch.tensor([[[1.0, 3.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]], [[0.5, 0.5], [0.5, 0.5]]])
    expected = [[[0.5, 1.5], [0.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]]
    assert normalised(stack).tolist() == expected
    assert [normalised(batch).tolist() for batch in stack] == expected


def test_weights_that_are_all_zero_stay_zero():
    # p = 1 - 1e-10: the raw weight 64 (1-p)^63 is smaller than any number
    rollouts = Rollouts(binary("10", "01"), log_p=torch.zeros(2, 2))
    normalized = AdvantageSettings(50.0, True, None, 0.0, None)
    advantages, weights = weighted_advantages(rl_objective("pass_n64_raw"), rollouts, normalized)
    assert (weights == 0).all() and (advantages == 0).all()


def test_best_of_n_weights_are_normalised_within_a_single_prompt_too_where_they_do_not_cancel():
    rewards = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    _, weights = weighted_advantages(rl_objective("best_of_n2"), Rollouts(rewards), CONDITIONAL_PROTEIN)
    # q = 1/5 .. 4/5, weights 2q, mean of q = 1/2
    assert weights[0].tolist() == pytest.approx([0.4, 0.8, 1.2, 1.6])


# --- Best-of-N -------------------------------------------------------------------------------------------------------


def test_tied_rewards_have_one_rank_the_lowest():
    rewards = torch.tensor([[3.0, 1.0, 1.0, 5.0], [2.0, 2.0, 2.0, 2.0]])
    expected = [[3 / 5, 1 / 5, 1 / 5, 4 / 5], [1 / 5] * 4]
    assert quantile_within_prompt(rewards).tolist() == [pytest.approx(row) for row in expected]


def test_a_reward_is_ranked_within_its_own_prompt_alone():
    rewards = torch.tensor([[1.0, 2.0], [101.0, 102.0]])
    assert torch.equal(quantile_within_prompt(rewards)[0], quantile_within_prompt(rewards)[1])


@given(
    st.lists(st.integers(-5, 5).map(float), max_size=30),
    st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=5),
)
def test_the_rank_among_past_rewards_agrees_with_counting(past, rewards):
    q = quantile_among(torch.tensor([rewards]), torch.tensor(past))
    for reward, value in zip(rewards, q[0].tolist(), strict=True):
        lower = sum(1 for other in past if other < reward)
        assert value == pytest.approx(min(max((lower + 1) / (len(past) + 2), 0.001), 0.999))


def test_without_past_rewards_every_quantile_is_one_half():
    rewards = torch.tensor([[1.0, 7.0]])
    assert quantile_among(rewards, torch.tensor([])).tolist() == [[0.5, 0.5]]
    advantages, weights = weighted_advantages(
        rl_objective("best_of_n8"), Rollouts(rewards, past_rewards=torch.tensor([])), CONDITIONAL_PROTEIN
    )
    assert weights.tolist() == [[1.0, 1.0]]
    torch.testing.assert_close(advantages, group_advantages(rewards))


def test_quantiles_among_many_past_rewards_stay_off_0_and_1():
    past = torch.arange(4000.0)
    assert quantile_among(torch.tensor([[-1.0, 5000.0]]), past).tolist() == [[0.001, 0.999]]


@pytest.mark.parametrize("n", [2, 4, 8])
def test_best_of_n_weights_are_the_density_of_the_best_of_n_at_the_rank(n):
    rewards = torch.tensor([[0.3, -1.0, 2.0, 0.3], [9.0, 8.0, 7.0, 6.0]])
    advantages, weights = weighted_advantages(rl_objective(f"best_of_n{n}"), Rollouts(rewards), CONDITIONAL_PROTEIN)
    raw = [[n * (sum(o < r for o in row) + 1) ** (n - 1) / 5 ** (n - 1) for r in row] for row in rewards.tolist()]
    mean = sum(sum(row) for row in raw) / 8
    expected = torch.tensor([[w / mean for w in row] for row in raw])
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(advantages, expected * group_advantages(rewards))


# --- the registry ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("grpo", "GRPO"),
        ("pass_n4_log", "Pass@4 log"),
        ("pass_n16_raw", "Pass@16 raw"),
        ("majority_n4_raw", "Maj@4 raw"),
        ("majority_n8_log", "Maj@8 log"),
        ("best_of_n8", "BoN-8"),
    ],
)
def test_names_and_labels_are_the_papers(name, label):
    objective = rl_objective(name)
    assert (objective.name, objective.label) == (name, label)


@pytest.mark.parametrize("name", ["pass_n4", "majority_n4_k2", "ce", "best_of_n4_log", "grpo_n4", "pass_n_log", ""])
def test_an_unknown_name_is_refused_with_the_names_that_exist(name):
    with pytest.raises(ValueError, match="unknown RL objective .*; wanted grpo, pass_n<N>_log"):
        rl_objective(name)


@pytest.mark.parametrize("name", ["pass_n0_log", "best_of_n0", "majority_n1_raw"])
def test_an_impossible_number_is_refused(name):
    with pytest.raises(ValueError, match="needs .*got .* = [01]"):
        rl_objective(name)


def test_no_name_has_two_meanings():
    names = [pattern.replace(r"(\d+)", "4") for pattern in RL_OBJECTIVES]
    assert len(names) == len({rl_objective(name).label for name in names})


def test_rewards_other_than_right_and_wrong_are_refused_where_they_have_no_meaning():
    rewards = torch.tensor([[0.0, 0.3]])
    with pytest.raises(ValueError, match="majority vote needs rewards of 0 .* got 0.3"):
        weighted_advantages(rl_objective("majority_n4_raw"), Rollouts(rewards, [["a", "b"]]), PLAIN)
    with pytest.raises(ValueError, match="penalty for all-wrong groups needs rewards of 0"):
        weighted_advantages(rl_objective("grpo"), Rollouts(rewards), MAJORITY)


def test_a_reward_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="rewards must be finite numbers, got nan"):
        weighted_advantages(rl_objective("grpo"), Rollouts(torch.tensor([[0.0, math.nan]])), PLAIN)
