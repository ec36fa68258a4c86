"""What the baseline must have done: learning, size, plateau; against scipy and curves whose shape is known."""

import numpy as np
import pytest
from scipy import stats

from compute_aligned.analysis.preconditions import large_enough, learned, plateau


def test_learning_is_a_one_sided_test_of_the_gains_of_seeds():
    rng = np.random.default_rng(1)
    start = rng.random((5, 80))
    for gain in (0.01, 0.05):
        trained = start + gain + 0.02 * rng.normal(size=(5, 1)) + 0.1 * rng.normal(size=(5, 80))
        found = stats.ttest_1samp((trained - start).mean(axis=1), 0, alternative="greater")
        check = learned(trained, start, 0.05, "points")
        assert check.met == (found.pvalue < 0.05)
        low = found.confidence_interval(0.95).low
        assert f"bound {low:+.2f}, wanted above 0" in check.said


def test_with_one_seed_problems_speak():
    rng = np.random.default_rng(2)
    start = rng.random((1, 50))
    trained = start + 0.05 + 0.1 * rng.normal(size=(1, 50))
    p = stats.ttest_1samp((trained - start)[0], 0, alternative="greater").pvalue
    assert learned(trained, start, 1.01 * p, "points").met and not learned(trained, start, 0.99 * p, "points").met


def test_a_baseline_that_stands_still_in_every_seed_has_not_learned():
    start = np.full((5, 20), 0.3)
    assert not learned(start, start, 0.05, "points", (0.0, 1.0)).met
    check = learned(start, start, 0.05, "reward units")
    assert not check.met and check.said.startswith("at one sample it gains +0.00 reward units over its start without")


def test_noise_alone_is_called_learning_in_one_case_of_twenty():
    rng = np.random.default_rng(3)
    found = [learned(rng.normal(size=(5, 30)), rng.normal(size=(5, 30)), 0.05, "points").met for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.05, abs=0.015)


def test_a_plateau_is_where_the_last_fifth_gains_less_than_a_tenth():
    t = np.arange(100.0)
    assert not plateau([t], 0.2, 0.1)  # a quarter
    assert plateau([1 - np.exp(-t / 20)], 0.2, 0.1)
    assert not plateau([1 - np.exp(-t / 60)], 0.2, 0.1)
    assert plateau([np.minimum(t, 70)], 0.2, 0.1)
    # By hand: the last block gains 0.9 of 10.9, then 1.2 of 11.2.
    blocks = np.repeat([0.0, 5.0, 9.0, 10.0, 10.9], 20)
    assert plateau([blocks], 0.2, 0.1) and not plateau([blocks + 0.3 * (t >= 80)], 0.2, 0.1)


def test_what_gained_nothing_or_has_few_steps_has_no_plateau():
    assert not plateau([np.zeros(50)], 0.2, 0.1)
    assert not plateau([-np.arange(50.0)], 0.2, 0.1)
    assert not plateau([np.array([0.0, 1.0])], 0.2, 0.1)


def test_seeds_are_averaged_before_the_plateau_is_looked_for_over_the_steps_that_all_have():
    rng = np.random.default_rng(4)
    curve = 1 - np.exp(-np.arange(100.0) / 10)
    curves = [curve[: 95 + i] + 0.3 * rng.normal(size=95 + i) for i in range(5)]
    assert plateau(curves, 0.2, 0.1) == plateau([np.mean([c[:95] for c in curves], axis=0)], 0.2, 0.1)


def test_half_of_the_papers_completions_or_a_plateau_are_enough():
    rising, flat = np.arange(50.0), np.minimum(np.arange(50.0), 10)
    assert large_enough(500, 1000, [rising], 0.5, 0.2, 0.1).met
    short = large_enough(499, 1000, [rising], 0.5, 0.2, 0.1)
    assert not short.met and short.said == "it was trained on 499 completions, the paper's on 1,000, and to no plateau"
    assert large_enough(499, 1000, [flat], 0.5, 0.2, 0.1).met
