"""How often a nominal 95 % interval of a paired difference covers the truth, which is 0, and how often its test finds
a difference at the levels of Holm's correction: two tables in Markdown.

PYTHONPATH=workflow python benchmarks/coverage.py
"""

import numpy as np
from bootstrap import pigeonhole_bootstrap
from scipy import stats

from compute_aligned.metrics import pass_curve
from compute_aligned.statistics import crossed_interval, mean_and_se

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


DRAWS = 200_000
LEVELS = (0.05, 0.05 / 6, 0.05 / 12)  # alone; the smallest p value of a family of 6, and of one of 12
RATIOS = (0, 0.5, 1, 2, 8)


def found(rng: np.random.Generator, n_seeds: int, n_problems: int, seeds: float, problems: float) -> np.ndarray:
    """Shares of two-sided p values below LEVELS, shape (2, levels): by `crossed_interval`'s degrees of freedom, and by
    a pretest (n-1 if MS <= ME, S-1 if MP <= ME, else Satterthwaite's).

    Of normal values the mean and the mean squares are independent, so these are drawn and not the values; gamma = 1,
    seeds is n tau^2 and problems S omega^2.
    """
    df_p, df_s = n_problems - 1, n_seeds - 1
    mp = (1 + problems) * rng.chisquare(df_p, DRAWS) / df_p
    ms = (1 + seeds) * rng.chisquare(df_s, DRAWS) / df_s
    me = rng.chisquare(df_p * df_s, DRAWS) / (df_p * df_s)
    total = np.maximum(np.maximum(mp, ms), mp + ms - me)
    t = np.abs(rng.normal(size=DRAWS)) * np.sqrt((1 + seeds + problems) / total)
    satterthwaite = total**2 / (mp**2 / df_p + ms**2 / df_s + me**2 / (df_p * df_s))
    pretest = np.where(ms <= me, df_p, np.where(mp <= me, df_s, satterthwaite))
    rules = (np.maximum(satterthwaite, min(df_p, df_s)), pretest)
    return np.array([[np.mean(2 * stats.t.sf(t, df) < level) for level in LEVELS] for df in rules])


def sizes() -> None:
    """A table of the sizes; one seed has the t test of one sample, whose size is the level."""
    heads = [f"{level:.4f}".rstrip("0") for level in LEVELS]
    print(f"\n{DRAWS} repetitions; two-sided size at the level, in brackets that of the pretest\n")
    print(f"| S | n | S omega^2 / gamma^2 | n tau^2 / gamma^2 | {' | '.join(heads)} |")
    print(f"|---|---|---|---|{'---|' * len(LEVELS)}")
    for n_seeds in (3, 5, 20):
        for n_problems in (80, 300):
            for problems in (0, 1, 8):
                for seeds in RATIOS:
                    new, old = found(np.random.default_rng(0), n_seeds, n_problems, seeds, problems)
                    cells = (f"{ours:.4f} ({pretest:.4f})" for ours, pretest in zip(new, old, strict=True))
                    print(f"| {n_seeds} | {n_problems} | {problems:g} | {seeds:g} | {' | '.join(cells)} |")


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
    sizes()


if __name__ == "__main__":
    main()
