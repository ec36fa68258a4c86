"""Exact metrics per run and problem, intervals and paired differences, and the distribution of training weights."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ..config.settings.measuring import MeasuringSettings
from ..metrics import best_of_curve, majority_curve, pass_curve
from ..provenance.artifacts import read_artifact, write_artifact
from ..statistics import crossed_interval, mean_and_se, paired_difference, seeds_by_problems
from ..units import RANGES, SCALES
from .effective_share import effective_share


def measure(
    settings: MeasuringSettings,
    runs: Sequence[dict],
    starts: Sequence[dict],
    reported: pd.DataFrame,
    path_to_metrics: str,
    path_to_problem_metrics: str,
    path_to_start: str,
    path_to_summary: str,
    path_to_weights: str,
) -> dict:
    """Compute everything that the experiment's tables and figures show.

    Args:
        settings: what the experiment compares, and how.
        runs: name of the arm, recipe, objective, seed, path of scores and path of the training record of each run.
        starts: name, recipe, seed and path of scores of what each run of the baseline starts from.
        reported: the paper's values, ``config/reported.csv``.
        path_to_metrics: value and standard error over problems of each run.
        path_to_problem_metrics: the value of each run and problem.
        path_to_start: the value of each start and problem at one sample.
        path_to_summary: value, interval, paired difference and reported value of each arm and k.
        path_to_weights: distribution of the training weights of each arm.

    Returns:
        counts for the manifest.
    """
    pools = [read_artifact(SCORES[settings.metric], run["scores"]) for run in runs]
    per_problem = pd.concat(
        [problem_metrics(settings, run, pool) for run, pool in zip(runs, pools, strict=True)], ignore_index=True
    )
    write_artifact(per_problem, "problem_metrics", path_to_problem_metrics)
    at_one = settings | {"ks": [1]}
    started = [problem_metrics(at_one, run, read_artifact(SCORES[at_one.metric], run["scores"])) for run in starts]
    write_artifact(pd.concat(started, ignore_index=True), "problem_metrics", path_to_start)
    n_problems = per_problem["problem_id"].nunique()
    n_samples = len(pools[0]) // n_problems
    write_artifact(run_metrics(settings, per_problem, n_samples), "metrics", path_to_metrics)
    write_artifact(experiment_summary(settings, runs, per_problem, reported, n_samples), "summary", path_to_summary)
    distribution = {"sft": sft_weights, "grpo": rl_weights}[settings.trainer](settings, runs)
    write_artifact(distribution, "weights", path_to_weights)
    return {"n_runs": len(runs), "n_problems": n_problems, "n_samples": n_samples}


SCORES = {"pass": "scores", "maj": "scores", "bon": "protein_scores"}


def problem_metrics(settings: MeasuringSettings, run: dict, scores: pd.DataFrame) -> pd.DataFrame:
    """The metric of every problem of a run at every k, exact given its pool."""
    rows = []
    for problem_id, pool in scores.groupby("problem_id", sort=False):
        values = pool_curve(pool, settings.metric, settings.ks)
        rows += [(k, problem_id, value) for k, value in zip(settings.ks, values, strict=True)]
    frame = pd.DataFrame(rows, columns=["k", "problem_id", "value"])
    names = {"recipe": run["recipe"], "arm": run["name"], "seed": run["seed"]}
    frame = frame.assign(**names, metric=settings.metric)
    return frame[["recipe", "arm", "seed", "metric", "k", "problem_id", "value"]]


def pool_curve(pool: pd.DataFrame, metric: str, ks: Sequence[int]) -> np.ndarray:
    """The metric of one pool at every k, shape (len(ks),)."""
    if metric == "pass":
        return pass_curve(len(pool), int(pool["correct"].sum()), ks)
    if metric == "bon":
        return best_of_curve(pool["reward"].to_numpy(), ks)
    answers = [None if pd.isna(answer) else answer for answer in pool["answer"]]
    return majority_curve(answers, set(pool.loc[pool["correct"], "answer"].dropna()), ks)


def run_metrics(settings: MeasuringSettings, per_problem: pd.DataFrame, n_samples: int) -> pd.DataFrame:
    """Mean and standard error over problems of each run."""
    rows = []
    keys = ["recipe", "arm", "seed", "metric", "k"]
    for key, group in per_problem.groupby(keys, sort=False):
        value, se = mean_and_se(group["value"].to_numpy())
        rows.append((settings.name, *key, value, se, len(group), n_samples))
    return pd.DataFrame(rows, columns=["experiment", *keys, "value", "se", "n_problems", "n_samples"])


def experiment_summary(
    settings: MeasuringSettings,
    runs: Sequence[dict],
    per_problem: pd.DataFrame,
    reported: pd.DataFrame,
    n_samples: int,
) -> pd.DataFrame:
    """Value and paired difference from the baseline of each arm and k, each with its 95 % interval."""
    ks = settings.ks
    recipes = {run["name"]: run["recipe"] for run in runs}
    values = {
        (settings.metric, k): {arm: seeds_by_problems(per_problem[per_problem["k"] == k], arm) for arm in recipes}
        for k in ks
    }
    if settings.gain:
        most, least = (values[settings.metric, k] for k in (max(ks), min(ks)))
        values["gain", max(ks)] = {arm: most[arm] - least[arm] for arm in most}
    rows = []
    for (metric, k), matrices in values.items():
        paper = _reported(reported, settings, metric, k)
        for arm, matrix in matrices.items():
            interval = crossed_interval(matrix, within=RANGES[metric])
            difference = _difference(settings, arm, matrices, RANGES[metric])
            rows.append(
                {
                    "experiment": settings.name,
                    "recipe": recipes[arm],
                    "arm": arm,
                    "label": settings.labels[arm],
                    "beyond_paper": arm in settings.beyond_paper,
                    "baseline": settings.baseline,
                    "metric": metric,
                    "k": k,
                    "value": interval.mean,
                    "low": interval.low,
                    "high": interval.high,
                    **difference,
                    "population": interval.population,
                    "reported": paper[arm][0],
                    "reported_difference": paper[arm][1],
                    "n_seeds": matrix.shape[0],
                    "n_problems": matrix.shape[1],
                    "n_samples": n_samples,
                }
            )
    return pd.DataFrame(rows)


def _difference(
    settings: MeasuringSettings, arm: str, matrices: dict[str, np.ndarray], within: tuple[float, float] | None
) -> dict:
    """The columns of an arm's paired difference from the baseline; the baseline's own is 0 by definition."""
    names = ("difference", "difference_low", "difference_high", "difference_p")
    if arm == settings.baseline:
        return dict(zip(names, (0.0, np.nan, np.nan, np.nan), strict=True))
    found = paired_difference(matrices[arm], matrices[settings.baseline], within=within)
    return dict(zip(names, (found.mean, found.low, found.high, found.p_value), strict=True))


def _reported(
    reported: pd.DataFrame, settings: MeasuringSettings, metric: str, k: int
) -> dict[str, tuple[float, float]]:
    """The paper's value of each arm and its difference from the baseline; NaN where there is none.

    Shares as fractions, rewards as they are. (The paper prints percent and points; of some figures the differences
    alone are known.)
    """
    rows = reported[
        (reported["paper_item"] == settings.paper_item)
        & (reported["experiment"] == settings.reported_from)
        & (reported["k"] == k)
    ]

    def by_model(name: str) -> dict[str, float]:
        chosen = rows[rows["metric"] == name]
        return dict(zip(chosen["model"], chosen["value"] / SCALES[metric], strict=True))

    values, deltas = by_model(metric), by_model(f"{metric}_delta")
    if metric == "maj" and k == 1:  # one draw: the vote is that draw, so Maj@1 is Pass@1
        values = by_model("pass") | values
    names = {name: settings.reported_as.get(name, label) for name, label in settings.labels.items()}
    base = values.get(names[settings.baseline], np.nan)
    return {
        arm: (values.get(model, np.nan), deltas.get(model, values.get(model, np.nan) - base))
        for arm, model in names.items()
    }


QUANTILES = {"p05": 0.05, "p50": 0.5, "p95": 0.95}


def sft_weights(settings: MeasuringSettings, runs: Sequence[dict]) -> pd.DataFrame:
    """Quantiles of weight, log p and success rate over all sequences and seeds; effective share, mean over seeds.

    Empty where an arm has no scalar weight, or asks for no success rate.
    """
    rows = []
    for arm, records in _records(settings, runs, "training"):
        together = pd.concat(records)
        rows.append(
            {
                "arm": arm,
                "label": settings.labels[arm],
                **{f"weight_{name}": np.quantile(together["weight"], q) for name, q in QUANTILES.items()},
                "effective_share": np.mean([effective_share(record["weight"]) for record in records]),
                "log_p_p50": np.median(together["log_p"]),
                "success_rate_p50": np.median(together["success_rate"]),
                **dict.fromkeys(("no_signal_share", "reward_first", "reward_last", "kl_last"), np.nan),
                "n_rows": len(together),
                "n_seeds": len(records),
            }
        )
    return pd.DataFrame(rows)


def rl_weights(settings: MeasuringSettings, runs: Sequence[dict]) -> pd.DataFrame:
    """The weights of a batch, mean over steps and seeds; share without signal; reward and KL, first and last."""
    rows = []
    for arm, records in _records(settings, runs, "rl_training"):
        together = pd.concat(records)
        tenths = [max(1, len(record) // 10) for record in records]
        last = pd.concat([record.tail(n) for record, n in zip(records, tenths, strict=True)])
        first = pd.concat([record.head(n) for record, n in zip(records, tenths, strict=True)])
        rows.append(
            {
                "arm": arm,
                "label": settings.labels[arm],
                **{f"weight_{name}": together[f"weight_{name}"].mean() for name in QUANTILES},
                "effective_share": together["effective_share"].mean(),
                "log_p_p50": together["log_p_p50"].mean(),
                "success_rate_p50": np.nan,
                "no_signal_share": together["no_signal_share"].mean(),
                "reward_first": first["reward"].mean(),
                "reward_last": last["reward"].mean(),
                "kl_last": last["kl"].mean(),
                "n_rows": len(together),
                "n_seeds": len(records),
            }
        )
    return pd.DataFrame(rows)


def _records(settings: MeasuringSettings, runs: Sequence[dict], kind: str) -> Iterator[tuple[str, list[pd.DataFrame]]]:
    for arm in settings.labels:
        yield arm, [read_artifact(kind, run["record"]) for run in runs if run["name"] == arm]
