"""How often a nominal 95 % interval of a paired difference covers the truth, which is 0: a table in Markdown.

PYTHONPATH=workflow python benchmarks/coverage.py
"""

import numpy as np
from scipy import stats

from compute_aligned.metrics import pass_curve
from compute_aligned.statistics import crossed_interval, mean_and_se, pigeonhole_bootstrap

SEEDS, REPETITIONS = 5, 4000
BOOTSTRAPS, RESAMPLES = 500, 200  # the first repetitions alone: a bootstrap takes 50 times as long
SAMPLES, K = 64, 16
# Standard deviations between problems and of the interaction, points; the last row draws pools of samples.
NORMAL = {"normal, problems 10, interaction 25": (10, 25), "normal, interaction 25 alone": (0, 25)}
METHODS = ["ANOVA", "problems only", "seeds only"]
CURVE = np.array([pass_curve(SAMPLES, right, [K])[0] for right in range(SAMPLES + 1)])


def normal_effects(rng: np.random.Generator, n_problems: int, problems: float, interaction: float) -> np.ndarray:
    """Differences in points, shape (seeds, problems)."""
    return problems * rng.normal(size=n_problems) + interaction * rng.normal(size=(SEEDS, n_problems))


def pools(rng: np.random.Generator, n_problems: int) -> np.ndarray:
    """Differences of the exact Pass@16 of two models' pools of 64, points, shape (seeds, problems).

    A problem's chance has mean 0.1; the models' logits differ by a normal number of standard deviation 0.5, so that
    neither is better.
    """
    chance = rng.beta(0.5, 4.5, size=n_problems).clip(1e-6)
    logit, apart = np.log(chance / (1 - chance)), 0.25 * rng.normal(size=n_problems)
    right = [rng.binomial(SAMPLES, 1 / (1 + np.exp(-(logit + side * apart))), (SEEDS, n_problems)) for side in (1, -1)]
    return 100 * (CURVE[right[0]] - CURVE[right[1]])


def covers(differences: np.ndarray) -> list[bool]:
    """Whether the interval of each of METHODS holds 0."""
    crossed = crossed_interval(differences)
    by_problem, by_seed = (mean_and_se(differences.mean(axis=axis)) for axis in (0, 1))
    return [
        crossed.low <= 0 <= crossed.high,
        *(
            abs(mean) <= stats.t.ppf(0.975, count - 1) * se
            for (mean, se), count in ((by_problem, differences.shape[1]), (by_seed, SEEDS))
        ),
    ]


def main() -> None:
    print(f"{SEEDS} seeds; tau in points; {REPETITIONS} repetitions, {BOOTSTRAPS} of the bootstrap\n")
    print(f"| differences | n | tau | {' | '.join(METHODS)} | pigeonhole bootstrap |")
    print(f"|---|---|---|{'---|' * len(METHODS)}---|")
    for name in [*NORMAL, "pools of 64, Pass@16"]:
        for n_problems in (100, 500):
            for tau in (0, 0.5, 2):
                rng = np.random.default_rng(0)
                hits, bootstrapped = np.zeros(len(METHODS)), 0
                for repetition in range(REPETITIONS):
                    drawn = normal_effects(rng, n_problems, *NORMAL[name]) if name in NORMAL else pools(rng, n_problems)
                    drawn = drawn + tau * rng.normal(size=(SEEDS, 1))
                    hits += covers(drawn)
                    if repetition < BOOTSTRAPS:
                        interval = pigeonhole_bootstrap(drawn, rng, RESAMPLES)
                        bootstrapped += interval.low <= 0 <= interval.high
                shares = [*(hits / REPETITIONS), bootstrapped / BOOTSTRAPS]
                print(f"| {name} | {n_problems} | {tau:g} | {' | '.join(f'{100 * share:.1f}' for share in shares)} |")


if __name__ == "__main__":
    main()
