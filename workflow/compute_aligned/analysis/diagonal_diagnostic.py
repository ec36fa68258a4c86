"""The diagonal approximation on our own pools, and Theorem 3 on random answer sets."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..config.settings.diagonal import DiagonalPools, DiagonalSettings
from ..provenance.artifacts import read_artifact, write_artifact
from .diagonal import (
    answers_of_pool,
    answers_of_rewards,
    compare_gradients,
    decay_deviation,
    diagonal_ratio,
    invalid_of,
    most_frequent_right,
    random_answer_sets,
    ratio_summary,
)

REPORTED_MODELS = {"majority": "Majority N={n}", "best_of_n": "Best-of-N N={n}"}  # in reported.csv
# Strategies and targets of the random answer sets: any answer; the best, or another one, in the order of rewards.
TARGETS = [("majority", "any"), ("best_of_n", "best"), ("best_of_n", "another")]
ROUNDING = 1e-9  # relative; differences of gradients below it count as none


def measure_diagonal(
    settings: DiagonalSettings,
    runs: Sequence[dict],
    reported: pd.DataFrame,
    path_to_ratios: str,
    path_to_rho: str,
    path_to_theorem3: str,
) -> dict:
    """Compute everything that the experiment's figures show, and the table of random answer sets.

    Args:
        settings: of the experiment.
        runs: recipe, objective, seed and path of scores of each run that a figure shows.
        reported: the paper's values, ``config/reported.csv``.
        path_to_ratios: rho and cosine of each figure, seed and problem.
        path_to_rho: their summary, a row per figure, with the paper's values.
        path_to_theorem3: directions of exact and diagonal gradient on random answer sets.

    Returns:
        counts for the manifest.
    """
    ratios = pd.concat(
        [figure_ratios(settings, name, figure, runs) for name, figure in settings.figures.items()],
        ignore_index=True,
    )
    write_artifact(ratios, "diagonal_ratios", path_to_ratios)
    rho = pd.DataFrame(
        [
            figure_summary(settings, figure, ratios[ratios["figure"] == name], reported)
            for name, figure in settings.figures.items()
        ]
    )
    write_artifact(rho, "diagonal_rho", path_to_rho)
    write_artifact(random_targets(**settings.theorem3.plain()), "theorem3", path_to_theorem3)
    return {"n_pools": len(ratios), "n_undefined": int(ratios["rho"].isna().sum())}


# --- our own pools ---------------------------------------------------------------------------------------------------


def figure_ratios(settings: DiagonalSettings, name: str, figure: DiagonalPools, runs: Sequence[dict]) -> pd.DataFrame:
    """rho and cosine of every problem of the runs that a figure shows."""
    rng = np.random.default_rng(settings.seed)
    measure_pool = {"majority": majority_pool, "best_of_n": best_of_n_pool}[figure.strategy]
    rows = []
    for run in runs:
        if (run["recipe"], run["objective"]) != (figure.recipe, figure.objective):
            continue
        for problem_id, pool in read_artifact("scores", run["scores"]).groupby("problem_id", sort=False):
            rows.append(
                {
                    "figure": name,
                    "strategy": figure.strategy,
                    **{key: run[key] for key in ("recipe", "objective", "seed")},
                    "problem_id": problem_id,
                    "n_samples": len(pool),
                    **measure_pool(pool, settings.n, settings.draws, rng),
                }
            )
    return pd.DataFrame(rows)


def majority_pool(pool: pd.DataFrame, n: int, draws: int, rng: np.random.Generator) -> dict:
    """The target is the most frequent right answer; an invalid answer uses up draws and never wins."""
    answers = [None if pd.isna(answer) else answer for answer in pool["answer"]]
    right = set(pool.loc[pool["correct"], "answer"].dropna())
    distinct, p = answers_of_pool(answers)
    counts = {"n_answers": len(distinct), "n_right": len(right)}
    target = most_frequent_right(answers, right)
    if target is None:
        absent = dict.fromkeys(("a", "c", "rho"), np.nan) | {"exact": True, "se": 0.0}
        return counts | {"p_target": 0.0} | absent | {"rho_drawn": np.nan, "cosine": np.nan}
    return counts | compared(p, distinct.index(target), "majority", n, draws, rng, invalid_of(distinct))


def best_of_n_pool(pool: pd.DataFrame, n: int, draws: int, rng: np.random.Generator) -> dict:
    """The target is the highest reward of the pool; completions of equal reward are one answer."""
    values, p = answers_of_rewards(pool["reward"].tolist())
    counts = {"n_answers": len(values), "n_right": np.nan}
    return counts | compared(p, len(values) - 1, "best_of_n", n, draws, rng)


def compared(
    p: np.ndarray,
    target: int,
    strategy: str,
    n: int,
    draws: int,
    rng: np.random.Generator,
    invalid: int | None = None,
) -> dict:
    """rho of one pool, the paper's estimate of it by draws, and the cosine of the softmax's gradients."""
    ratio = diagonal_ratio(p, target, strategy, n, rng, invalid=invalid, n_draws=draws)
    drawn = diagonal_ratio(p, target, strategy, n, rng, invalid=invalid, method="draws", n_draws=draws)
    # The gradients are computed exactly alone.
    cosine = compare_gradients(np.log(p), target, strategy, n, invalid=invalid).cosine if ratio.exact else np.nan
    return {
        **{key: getattr(ratio, key) for key in ("p_target", "a", "c", "rho", "exact", "se")},
        "rho_drawn": drawn.rho,
        "cosine": cosine,
    }


def figure_summary(
    settings: DiagonalSettings, figure: DiagonalPools, ratios: pd.DataFrame, reported: pd.DataFrame
) -> dict:
    """One figure in numbers, with the paper's beside them."""
    exact, drawn, cosines = ratio_summary(ratios["rho"]), ratio_summary(ratios["rho_drawn"]), ratios["cosine"].dropna()
    undefined, n = ratios[ratios["rho"].isna()], settings.n
    power = (ratios["rho"] * (1 - ratios["p_target"]) ** (n - 1) - 1).abs().max()
    paper = reported_values(settings.name, figure, n, reported)
    return {
        **ratios.iloc[0][["figure", "strategy", "recipe", "objective"]],
        "n": n,
        "draws": settings.draws,
        "n_seeds": ratios["seed"].nunique(),
        "n_problems": ratios["problem_id"].nunique(),
        "n_samples": ratios["n_samples"].max(),
        "n_pools": len(ratios),
        "n_undefined": exact.n_undefined,
        "n_without_target": int((undefined["p_target"] == 0).sum()),
        "n_without_rival": int((undefined["p_target"] == 1).sum()),
        "n_several_right": int((ratios["n_right"] > 1).sum()),
        **{key: getattr(exact, key) for key in ("share_at_least_one", "mean", "median", "min", "max")},
        "drawn_undefined": drawn.n_undefined,
        "drawn_mean": drawn.mean,
        "drawn_max": drawn.max,
        "share_flipped": (cosines < 0).mean(),
        "cosine_median": cosines.median(),
        "cosine_min": cosines.min(),
        "power_deviation": power if figure.strategy == "best_of_n" else np.nan,
        **{f"reported_{key}": paper.get(f"rho_{key}", np.nan) for key in ("mean", "median", "min", "max")},
        "reported_share_at_least_one": paper.get("percent_rho_ge_1", np.nan) / 100,
        "reported_n_problems": paper.get("n_problems", np.nan),
    }


def reported_values(experiment: str, figure: DiagonalPools, n: int, reported: pd.DataFrame) -> dict[str, float]:
    """The paper's numbers of a figure by metric; none for another budget than the paper's."""
    rows = reported[
        (reported["experiment"] == experiment)
        & (reported["paper_item"] == figure.paper_item)
        & (reported["model"] == REPORTED_MODELS[figure.strategy].format(n=n))
    ]
    return dict(zip(rows["metric"], rows["value"], strict=True))


# --- Theorem 3 of the paper on random answer sets --------------------------------------------------------------------


def random_targets(
    cases: int, answers: list[int], concentrations: list[float], n: list[int], seed: int
) -> pd.DataFrame:
    """Per strategy and kind of target: directions and lengths of the two gradients of a softmax over random answers."""
    rows = []
    for strategy, kind in TARGETS:
        rng = np.random.default_rng(seed)
        found = []
        for p, budget in random_answer_sets(cases, answers, concentrations, n, rng):
            best = len(p) - 1
            low, high = {"any": (0, best), "best": (best, best), "another": (0, best - 1)}[kind]
            target = rng.integers(low, high, endpoint=True)
            comparison = compare_gradients(np.log(p), target, strategy, budget)
            found.append((comparison.cosine, comparison.ratio, decay_deviation(p, target, strategy, budget)))
        cosine, ratio, decay = np.array(found).T
        vanishing = np.isnan(cosine)
        cosine, ratio = cosine[~vanishing], ratio[~vanishing]
        rows.append(
            {
                "strategy": strategy,
                "target": kind,
                "cases": cases,
                "n_vanishing": int(vanishing.sum()),
                "cosine_median": np.median(cosine),
                "cosine_p05": np.quantile(cosine, 0.05),
                "cosine_min": cosine.min(),
                "share_flipped": (cosine < 0).mean(),
                "share_too_short": (ratio < 1 - ROUNDING).mean(),
                # (exact - diagonal) . diagonal > 0, over |diagonal|^2
                "share_omitted_along": (cosine / ratio > 1 + ROUNDING).mean(),
                "decay_deviation": np.nanmax(decay),
            }
        )
    return pd.DataFrame(rows)
