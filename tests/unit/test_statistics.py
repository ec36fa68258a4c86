"""Intervals over seeds and problems, against slow loops, simulated coverage and examples worked by hand."""

import itertools
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import REPO
from scipy import stats

sys.path.insert(0, str(REPO / "benchmarks"))

from bootstrap import pigeonhole_bootstrap  # noqa: E402

from compute_aligned.analysis.effective_share import effective_share, variation  # noqa: E402
from compute_aligned.statistics import (  # noqa: E402
    crossed_interval,
    holm,
    intersection_union_p,
    mean_and_se,
    one_sided_p,
    paired_difference,
    power_at,
    smallest_detectable_effect,
)


def crossed_sample(rng, n_seeds, n_problems, tau, omega, gamma):
    return (
        tau * rng.normal(size=(n_seeds, 1))
        + omega * rng.normal(size=(1, n_problems))
        + gamma * rng.normal(size=(n_seeds, n_problems))
    )


def sums_of_squares(values):
    """Problems, seeds, interaction: the textbook's double loop, one cell at a time."""
    n_seeds, n_problems = len(values), len(values[0])
    grand = sum(map(sum, values)) / (n_seeds * n_problems)
    seed_means = [sum(row) / n_problems for row in values]
    problem_means = [sum(row[i] for row in values) / n_seeds for i in range(n_problems)]
    problems = seeds = interaction = 0.0
    for s in range(n_seeds):
        for i in range(n_problems):
            problems += (problem_means[i] - grand) ** 2
            seeds += (seed_means[s] - grand) ** 2
            interaction += (values[s][i] - seed_means[s] - problem_means[i] + grand) ** 2
    return problems, seeds, interaction


def test_variance_and_degrees_of_freedom_are_those_of_the_two_way_anova():
    values = crossed_sample(np.random.default_rng(0), 4, 7, tau=1.0, omega=1.0, gamma=0.5)
    problems, seeds, interaction = sums_of_squares(values.tolist())
    mp, ms, me = problems / 6, seeds / 3, interaction / 18
    assert mp + ms - me > max(mp, ms)  # the regular case
    interval = crossed_interval(values, level=0.9)
    df = (mp + ms - me) ** 2 / (mp**2 / 6 + ms**2 / 3 + me**2 / 18)
    se = math.sqrt((mp + ms - me) / 28)
    assert interval.se == pytest.approx(se)
    assert interval.df == pytest.approx(df)
    assert interval.high - interval.mean == pytest.approx(stats.t.ppf(0.95, df) * se)
    assert interval.mean - interval.low == pytest.approx(interval.high - interval.mean)
    assert (interval.tau2, interval.omega2, interval.gamma2) == pytest.approx(((ms - me) / 7, (mp - me) / 4, me))
    assert interval.population == "seeds x problems"


def test_variance_components_are_recovered_on_average():
    rng = np.random.default_rng(1)
    intervals = [crossed_interval(crossed_sample(rng, 6, 40, tau=1.0, omega=0.7, gamma=0.5)) for _ in range(400)]
    assert np.mean([i.tau2 for i in intervals]) == pytest.approx(1.0, rel=0.15)
    assert np.mean([i.omega2 for i in intervals]) == pytest.approx(0.49, rel=0.05)
    assert np.mean([i.gamma2 for i in intervals]) == pytest.approx(0.25, rel=0.05)


@pytest.mark.parametrize("tau", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("n_problems", [100, 500])
def test_the_interval_covers_the_truth_as_often_as_it_says(n_problems, tau):
    # Points, as two models' Pass@16; docs/method.md has the table of benchmarks/coverage.py.
    rng = np.random.default_rng(2)
    samples = (crossed_sample(rng, 5, n_problems, tau, omega=10, gamma=25) for _ in range(2000))
    coverage = np.mean([interval.low <= 0 <= interval.high for interval in map(crossed_interval, samples)])
    assert 0.93 <= coverage <= 0.97


def test_an_interval_over_problems_only_is_too_short_where_seeds_differ():
    rng = np.random.default_rng(3)
    samples = [crossed_sample(rng, 5, 60, tau=0.1, omega=0.2, gamma=0.3) for _ in range(400)]
    problems_only = [crossed_interval(sample.mean(axis=0, keepdims=True)) for sample in samples]
    assert np.mean([i.low <= 0 <= i.high for i in problems_only]) < 0.85


def test_seeds_more_alike_than_chance_never_shrink_the_variance_below_that_of_the_problems():
    # Seed means agree exactly: the estimate of tau2 is negative, and MP + MS - ME is below MP.
    values = np.array([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]]) + np.array([0.0, 0.0, 3.0, 3.0])
    problems, seeds, interaction = sums_of_squares(values.tolist())
    assert seeds == 0
    interval = crossed_interval(values)
    assert interval.se == pytest.approx(math.sqrt(problems / 3 / 8))
    assert interval.tau2 == 0
    assert interval.df == pytest.approx((problems / 3) ** 2 / ((problems / 3) ** 2 / 3 + (interaction / 3) ** 2 / 3))


def test_problems_more_alike_than_chance_leave_the_degrees_of_freedom_of_the_seeds():
    values = np.array([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0], [0.5, 0.5, 0.5, 0.5]]) + [[0.0], [1.0], [3.0]]
    problems, seeds, interaction = sums_of_squares(values.tolist())
    assert problems == 0 and interaction > 0
    interval = crossed_interval(values)
    assert interval.se == pytest.approx(math.sqrt(seeds / 2 / 12))
    assert interval.df == 2


def test_a_variance_far_below_the_interaction_leaves_an_interval_that_is_finite():
    values = np.array([[1.0, -1.0, 1.0, -1.0, 1.0], [-1.0, 1.0, -1.0, 1.0, -1.0], [0.0, 0.0, 0.0, 0.0, 1e-4]])
    interval = crossed_interval(values)
    assert interval.df == 2 and 0 < interval.se < 1
    assert interval.high - interval.mean == pytest.approx(stats.t.ppf(0.975, 2) * interval.se)
    assert interval.high < smallest_detectable_effect(interval) < 10 * interval.high


def test_the_degrees_of_freedom_are_those_of_the_variances_spread():
    # Satterthwaite: df = 2 E[V]^2 / Var[V], here of many drawn V of one known population in which both factors vary.
    rng = np.random.default_rng(20)
    intervals = [crossed_interval(crossed_sample(rng, 6, 30, tau=0.3, omega=1.0, gamma=1.0)) for _ in range(4000)]
    variance = np.array([interval.se**2 for interval in intervals])
    wanted = 2 * variance.mean() ** 2 / variance.var()
    assert np.median([interval.df for interval in intervals]) == pytest.approx(wanted, rel=0.1)


def test_differences_are_rarely_found_at_the_levels_of_holms_correction_where_there_are_none():
    # Five seeds, 80 problems, n tau^2 = gamma^2. Degrees of freedom chosen by a pretest (n-1 if MS <= ME) had sizes of
    # 0.015 and 0.010 at these levels; benchmarks/coverage.py has the table.
    rng = np.random.default_rng(21)
    samples = [crossed_sample(rng, 5, 80, tau=math.sqrt(1 / 80), omega=0.0, gamma=1.0) for _ in range(4000)]
    p = np.array([paired_difference(values, np.zeros_like(values)).p_value for values in samples])
    assert np.mean(p < 0.05) < 0.05
    assert np.mean(p < 0.05 / 6) < 0.0095
    assert np.mean(p < 0.05 / 12) < 0.006


def test_pure_interaction_noise_does_not_blow_the_interval_up():
    # MP + MS - ME passes through 0 here; degrees of freedom built on it would, too.
    rng = np.random.default_rng(4)
    values = [crossed_sample(rng, 5, 60, tau=0.0, omega=0.0, gamma=0.3) for _ in range(200)]
    assert max(crossed_interval(v).high - v.mean() for v in values) < 10 * 0.3 / math.sqrt(300)


def test_with_one_seed_the_interval_speaks_about_problems_only():
    values = np.array([[1.0, 0.0, 0.0, 1.0, 1.0]])
    interval = crossed_interval(values)
    assert interval.population == "problems only"
    assert (interval.mean, interval.se) == mean_and_se(values[0])
    assert interval.df == 4
    low, high = stats.ttest_1samp(values[0], 0.0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert math.isnan(interval.tau2) and math.isnan(interval.omega2) and math.isnan(interval.gamma2)


def test_with_one_problem_the_interval_speaks_about_seeds_only():
    interval = crossed_interval([[1.0], [2.0], [4.0]])
    assert interval.population == "seeds only"
    low, high = stats.ttest_1samp([1.0, 2.0, 4.0], 0.0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_a_single_value_has_no_interval():
    interval = crossed_interval([[0.3]])
    assert interval.population == "none"
    assert interval.mean == 0.3
    assert math.isnan(interval.low) and math.isnan(interval.high) and math.isnan(interval.se)
    assert math.isnan(paired_difference([[0.3]], [[0.1]]).p_value)


# --- nothing varies ---


@pytest.mark.parametrize(
    "values",
    [
        np.full((3, 4), 0.25),
        np.full((5, 300), 0.1),  # whose mean is not 0.1 to the last bit
        np.full((1, 7), 0.1),
        np.full((7, 1), 0.0),
        np.array([[0.7, 0.4], [0.9, 0.3]]) - np.array([[0.6, 0.3], [0.8, 0.2]]),  # 0.1, each rounded otherwise
        np.array([[0.0, 1.0], [1.0, 0.0]]),  # varies, but the means of seeds and of problems do not
    ],
)
def test_without_spread_there_is_no_interval_and_no_p_value(values):
    interval = crossed_interval(values)
    assert interval.mean == pytest.approx(values.mean())
    assert all(map(math.isnan, (interval.low, interval.high, interval.se, interval.df)))
    assert math.isnan(one_sided_p(interval, -1.0)) and math.isnan(one_sided_p(interval, 1.0, "less"))
    assert math.isnan(paired_difference(values, np.zeros_like(values)).p_value)
    assert math.isnan(smallest_detectable_effect(interval))
    bootstrap = pigeonhole_bootstrap(values, np.random.default_rng(0))
    if np.ptp(values) < 0.5:
        assert math.isnan(bootstrap.low) and math.isnan(bootstrap.high)
        assert math.isnan(mean_and_se(values.ravel())[1])


def test_one_value_that_differs_is_spread():
    values = np.zeros((5, 80))
    values[2, 7] = 1e-3
    interval = crossed_interval(values, within=(0.0, 1.0))
    assert interval.low < 0 < interval.high < 1e-4 and interval.within is None


@pytest.mark.parametrize(("n_seeds", "n_problems", "independent"), [(1, 40, 40), (5, 1, 5), (5, 40, 5), (60, 40, 40)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_equal_shares_have_the_binomial_interval_of_their_independent_number(n_seeds, n_problems, independent, level):
    none, all_of_them = (stats.binomtest(hits, independent).proportion_ci(level, "exact") for hits in (0, independent))
    interval = crossed_interval(np.zeros((n_seeds, n_problems)), level, within=(0.0, 1.0))
    assert (interval.mean, interval.low) == (0, 0)
    assert interval.high == pytest.approx(none.high)
    interval = crossed_interval(np.ones((n_seeds, n_problems)), level, within=(0.0, 1.0))
    assert (interval.low, interval.high) == pytest.approx((all_of_them.low, 1.0))
    # In points, as a difference and around a value within the range: c - q (c - a), c + q (b - c).
    interval = crossed_interval(np.full((n_seeds, n_problems), 20.0), level, within=(-100.0, 100.0))
    assert (interval.low, interval.high) == pytest.approx((20 - 120 * none.high, 20 + 80 * none.high))


def test_p_values_of_equal_shares_are_chances_of_all_being_equal():
    interval = crossed_interval(np.zeros((1, 40)), within=(0.0, 1.0))
    assert one_sided_p(interval, 0.05, "less") == pytest.approx(stats.binom.pmf(0, 40, 0.05))
    assert one_sided_p(interval, 0.05) == 1 and one_sided_p(interval, 0.0, "less") == 1
    assert one_sided_p(interval, interval.high, "less") == pytest.approx(0.025)  # where the interval ends
    difference = paired_difference(np.ones((3, 40)), np.zeros((3, 40)), within=(0.0, 1.0))
    # +1 every time, of three independent: by chance 1 in 8 if +1 and -1 were as likely.
    assert difference.p_value == pytest.approx(2 / 8)
    assert paired_difference(np.zeros((3, 40)), np.zeros((3, 40)), within=(0.0, 1.0)).p_value == 1


def test_equal_values_outside_their_range_are_refused():
    with pytest.raises(ValueError, match=r"all values are 1.5, wanted from 0.0 to 1.0"):
        crossed_interval([[1.5, 1.5]], within=(0.0, 1.0))


@pytest.mark.parametrize("share", [0.002, 0.01, 0.03])
def test_rare_hits_are_covered_also_by_the_draws_without_any(share):
    rng = np.random.default_rng(22)
    draws = (rng.random((4000, 40)) < share).astype(float)
    assert 0.25 < np.mean(~draws.any(axis=1)) < 0.95  # draws without a hit matter
    intervals = [crossed_interval(draw[None], within=(0.0, 1.0)) for draw in draws]
    assert np.mean([interval.low <= share <= interval.high for interval in intervals]) >= 0.95


def test_equal_values_bound_the_mean_of_a_population_in_which_seeds_decide():
    # A model of 3 in 10 seeds is right everywhere, else nowhere: n S values are no n S independent ones.
    rng = np.random.default_rng(23)
    covered = []
    for _ in range(4000):
        values = np.repeat((rng.random((5, 1)) < 0.3).astype(float), 20, axis=1)
        interval = crossed_interval(values, within=(0.0, 1.0))
        covered.append(interval.low <= 0.3 <= interval.high)
    assert np.mean(covered) >= 0.95


def test_a_difference_of_runs_is_judged_by_its_pairs():
    rng = np.random.default_rng(5)
    baseline = crossed_sample(rng, 3, 50, tau=0.0, omega=5.0, gamma=0.1)  # problems differ far more than models
    difference = paired_difference(baseline + 0.3 + 0.1 * rng.normal(size=(3, 50)), baseline)
    assert 0 < difference.low < 0.3 < difference.high
    assert difference.p_value < 1e-3
    assert crossed_interval(baseline).se > 10 * difference.se


def test_with_one_seed_the_p_value_is_that_of_the_paired_t_test():
    rng = np.random.default_rng(6)
    values, baseline = rng.normal(size=(2, 1, 30))
    wanted = stats.ttest_rel(values[0], baseline[0]).pvalue
    assert paired_difference(values, baseline).p_value == pytest.approx(wanted)


def test_the_p_value_is_below_five_percent_exactly_when_the_interval_excludes_zero():
    rng = np.random.default_rng(7)
    for shift in np.linspace(-0.6, 0.6, 41):
        values = shift + crossed_sample(rng, 3, 20, tau=0.1, omega=0.3, gamma=0.5)
        difference = paired_difference(values, np.zeros_like(values))
        assert (difference.p_value < 0.05) == (not difference.low <= 0 <= difference.high)


def test_identical_models_differ_by_nothing():
    values = np.random.default_rng(8).random((3, 10))
    assert paired_difference(values, values, within=(0.0, 1.0)).p_value == 1
    assert math.isnan(paired_difference(values, values).p_value)


def test_swapping_the_models_mirrors_the_interval():
    rng = np.random.default_rng(9)
    one, other = rng.random((2, 4, 12))
    forward, backward = paired_difference(one, other), paired_difference(other, one)
    assert (forward.low, forward.high) == pytest.approx((-backward.high, -backward.low))
    assert forward.p_value == pytest.approx(backward.p_value)


def test_the_standard_error_of_a_run_is_that_of_its_problems():
    # 3 of 4 right: sd = 1/2, se = 1/4.
    assert mean_and_se([1, 1, 1, 0]) == pytest.approx((0.75, 0.25))
    mean, se = mean_and_se([0.5])
    assert mean == 0.5 and math.isnan(se)


def test_the_bootstrap_agrees_with_the_interval_where_both_apply():
    values = crossed_sample(np.random.default_rng(10), 20, 80, tau=1.0, omega=1.0, gamma=1.0)
    interval, bootstrap = crossed_interval(values), pigeonhole_bootstrap(values, np.random.default_rng(0))
    assert bootstrap.mean == interval.mean
    assert bootstrap.se == pytest.approx(interval.se, rel=0.15)
    assert (bootstrap.low, bootstrap.high) == pytest.approx((interval.low, interval.high), abs=0.3 * interval.se)


def test_the_variance_of_the_bootstrap_is_the_known_one():
    # Owen 2007; where seeds alone vary it is (1 - 1/S) tau2 / S.
    values = np.repeat([[0.0], [1.0], [5.0]], 10, axis=1)
    bootstrap = pigeonhole_bootstrap(values, np.random.default_rng(0), n_resamples=20_000)
    assert bootstrap.se**2 == pytest.approx(np.var([0.0, 1.0, 5.0]) / 3, rel=0.05)


def test_the_bootstrap_draws_seeds_and_problems_with_all_their_combinations_equally_likely():
    values = np.array([[0.0, 1.0, 4.0], [2.0, 0.5, 3.0]])
    means = [
        values[np.ix_(seeds, problems)].mean()
        for seeds in itertools.product(range(2), repeat=2)
        for problems in itertools.product(range(3), repeat=3)
    ]
    bootstrap = pigeonhole_bootstrap(values, np.random.default_rng(0), n_resamples=40_000, level=0.8)
    assert bootstrap.se == pytest.approx(np.std(means), rel=0.02)
    assert bootstrap.low == pytest.approx(np.quantile(means, 0.1), abs=0.05)
    assert bootstrap.high == pytest.approx(np.quantile(means, 0.9), abs=0.05)


def test_the_bootstrap_is_a_function_of_its_generator():
    values = np.random.default_rng(11).random((3, 9))
    first, second = (pigeonhole_bootstrap(values, np.random.default_rng(1), 200) for _ in range(2))
    assert first == second


# --- one-sided tests, equivalence, several at once, power ---


@pytest.mark.parametrize("bound", [-0.3, 0.0, 0.2])
def test_a_one_sided_p_value_is_that_of_the_t_test(bound):
    values = np.random.default_rng(14).normal(0.2, 1.0, size=(1, 25))
    interval = crossed_interval(values)
    wanted = stats.ttest_1samp(values[0], bound, alternative="greater").pvalue
    assert one_sided_p(interval, bound) == pytest.approx(wanted)
    # Below 2.5 % exactly when the 95 % interval lies above the bound.
    assert (one_sided_p(interval, interval.low - 1e-9) < 0.025) and (one_sided_p(interval, interval.low + 1e-9) > 0.025)


def test_the_p_value_of_the_other_side_is_its_own_tail_however_small():
    interval = crossed_interval(np.random.default_rng(24).normal(5.0, 1.0, size=(1, 25)))
    assert one_sided_p(interval, 5.2, "less") == pytest.approx(1 - one_sided_p(interval, 5.2))
    assert 0 < one_sided_p(interval, 10.0, "less") < 1e-16
    assert math.isnan(one_sided_p(crossed_interval([[0.5]]), 0))


def test_the_power_is_the_share_of_simulated_t_tests_that_find_the_effect_on_its_side():
    rng = np.random.default_rng(27)
    data = rng.normal(0.6, 1.0, size=(40_000, 12))
    t = (data.mean(axis=1) - 0.2) * math.sqrt(12) / data.std(axis=1, ddof=1)
    interval = replace(crossed_interval(data[:1]), se=1 / math.sqrt(12))
    for level in (0.05, 0.05 / 6):
        found = (t > stats.t.ppf(1 - level / 2, 11)).mean()
        assert power_at(interval, 0.4, level) == pytest.approx(found, abs=0.01)
    assert power_at(interval, smallest_detectable_effect(interval, 0.05, 0.8)) == pytest.approx(0.8)
    assert power_at(interval, -5.0) == pytest.approx(0) and math.isnan(power_at(interval, math.nan))


def test_all_of_several_are_rarely_found_where_one_does_not_hold():
    # The largest p value is uniform where one effect is 0 and the others are sure, and larger where more are 0.
    rng = np.random.default_rng(17)
    one_zero = [intersection_union_p([1e-9, 1e-6, rng.random()]) < 0.05 for _ in range(4000)]
    assert np.mean(one_zero) == pytest.approx(0.05, abs=0.01)
    assert np.mean([intersection_union_p(rng.random(3)) < 0.05 for _ in range(4000)]) < 0.01
    assert math.isnan(intersection_union_p([0.1, math.nan]))
    with pytest.raises(ValueError, match="at least one p value"):
        intersection_union_p([])


def test_the_smallest_detectable_effect_is_found_as_often_as_its_power_says():
    rng = np.random.default_rng(18)
    sd, n = 2.0, 12
    spread = rng.normal(size=n)
    values = sd * (spread - spread.mean()) / spread.std(ddof=1)  # a sample whose sd is the true one
    effect = smallest_detectable_effect(crossed_interval(values[None]), level=0.05, power=0.8)
    found = stats.ttest_1samp(rng.normal(effect, sd, size=(20_000, n)), 0.0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.01)


def test_with_many_problems_2_80_standard_errors_are_detectable():
    interval = crossed_interval(np.random.default_rng(19).normal(size=(1, 5000)))
    assert smallest_detectable_effect(interval) / interval.se == pytest.approx(2.80, abs=0.005)
    # Seeds alone: 3.3 tau at three seeds, 1.7 at five (one component, se = tau / sqrt(S)).
    for n_seeds, times in ((3, 3.3), (5, 1.7)):
        seeds = np.linspace(-1, 1, n_seeds)
        interval = crossed_interval((seeds / seeds.std(ddof=1))[:, None])
        assert smallest_detectable_effect(interval) == pytest.approx(times, abs=0.1)


def test_a_detectable_effect_needs_spread_and_a_power_above_the_level():
    assert math.isnan(smallest_detectable_effect(crossed_interval(np.zeros((2, 3)))))
    assert math.isnan(smallest_detectable_effect(crossed_interval([[0.3]])))
    with pytest.raises(ValueError, match="power must be between the level 0.05 and 1, got 0.01"):
        smallest_detectable_effect(crossed_interval([[0.0, 1.0]]), power=0.01)


# --- families ---


def test_holm_agrees_with_an_example_worked_by_hand():
    # Sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04, made monotone: .02 .03 .06 .06.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])


def test_holm_lies_between_no_correction_and_bonferroni():
    p = np.random.default_rng(12).random(50) ** 3
    adjusted = holm(p)
    assert (adjusted >= p).all() and (adjusted <= np.minimum(1.0, 50 * p)).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    assert holm([0.03]) == [0.03]
    assert holm([]).shape == (0,)


def test_holm_rarely_rejects_anything_in_a_family_without_effects():
    p = np.random.default_rng(13).random((2000, 20))
    assert np.mean([(holm(family) < 0.05).any() for family in p]) == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("level", [0.0, 1.0, 1.5, -0.1, math.nan])
def test_a_level_that_is_no_probability_is_refused(level):
    message = rf"ci `level` must be in the open interval \(0, 1\), got {level}"
    with pytest.raises(ValueError, match=message):
        crossed_interval([[1.0, 2.0]], level)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.0], r"shape \(seeds, problems\), got an array of shape \(2,\)"),
        (np.empty((0, 3)), r"at least one value, got shape \(0, 3\)"),
        ([[1.0, math.nan]], r"finite values of shape \(seeds, problems\), got nan at index \(0, 1\)"),
        ([[1.0], [math.inf]], r"got inf at index \(1, 0\)"),
    ],
)
def test_values_that_are_no_seeds_by_problems_array_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        crossed_interval(values)


def test_runs_of_different_problems_are_not_compared():
    with pytest.raises(ValueError, match=r"same seeds and problems on both sides, got shapes \(2, 3\) and \(2, 4\)"):
        paired_difference(np.zeros((2, 3)), np.zeros((2, 4)))


def test_p_values_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"p values in \[0, 1\], got nan"):
        holm([0.1, math.nan])
    with pytest.raises(ValueError, match=r"p values in \[0, 1\], got 1.2"):
        holm([0.1, 1.2])
    with pytest.raises(ValueError, match="list of p values"):
        holm(np.zeros((2, 2)))


# --- weights ---


def test_effective_share_is_1_for_equal_weights_and_1_over_n_for_a_single_one():
    assert effective_share(np.full(5, 3.0)) == pytest.approx(1)
    assert effective_share([0.0, 0, 7, 0]) == pytest.approx(1 / 4)
    assert effective_share([1.0, 2.0]) == pytest.approx(9 / 10)
    assert np.isnan(effective_share([0.0, 0.0])) and np.isnan(effective_share([1.0, np.nan]))


def test_the_variation_of_weights_is_their_standard_deviation_over_their_mean():
    weights = np.random.default_rng(20).random(30)
    assert variation(effective_share(weights)) == pytest.approx(weights.std() / weights.mean())
    assert variation(1.0) == 0
    assert np.isnan(variation(np.nan))
