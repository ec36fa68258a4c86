"""Measure an experiment: exact metrics per run and problem, intervals and paired differences, weights."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from compute_aligned.artifacts import read_artifact, write_artifact
from compute_aligned.metrics import majority_curve, pass_curve
from compute_aligned.provenance import job
from compute_aligned.statistics import crossed_interval, effective_share, mean_and_se, paired_difference


def measure(
    experiment: dict,
    runs: Sequence[dict],
    reported: pd.DataFrame,
    path_to_metrics: str,
    path_to_problem_metrics: str,
    path_to_summary: str,
    path_to_weights: str,
) -> dict:
    """Compute everything that the experiment's tables and figures show.

    Args:
        experiment: name, recipe, objectives, labels (objective -> label), beyond_paper (objectives that the paper
            does not have), reported_as (objective -> its model in ``reported``, where that is not its label), baseline,
            metric, gain (whether the metric at the largest k minus that at the smallest is shown too), ks, paper_item.
        runs: objective, seed, path of scores and path of the training record of each run.
        reported: the paper's values, ``config/reported.csv``.
        path_to_metrics: value and standard error over problems of each run.
        path_to_problem_metrics: the value of each run and problem.
        path_to_summary: value, interval, paired difference and reported value of each objective and k.
        path_to_weights: distribution of the training weights of each objective.

    Returns:
        counts for the manifest.
    """
    per_problem = pd.concat([problem_metrics(experiment, run) for run in runs], ignore_index=True)
    write_artifact(per_problem, "problem_metrics", path_to_problem_metrics)
    n_samples = len(read_artifact("scores", runs[0]["scores"])) // per_problem["problem_id"].nunique()
    write_artifact(run_metrics(experiment, per_problem, n_samples), "metrics", path_to_metrics)
    write_artifact(summarise(experiment, per_problem, reported, n_samples), "summary", path_to_summary)
    write_artifact(weight_distribution(experiment, runs), "weights", path_to_weights)
    return {"n_runs": len(runs), "n_problems": per_problem["problem_id"].nunique(), "n_samples": n_samples}


def problem_metrics(experiment: dict, run: dict) -> pd.DataFrame:
    """The metric of every problem of a run at every k, exact given its pool."""
    scores = read_artifact("scores", run["scores"])
    rows = []
    for problem_id, pool in scores.groupby("problem_id", sort=False):
        if experiment["metric"] == "pass":
            values = pass_curve(len(pool), int(pool["correct"].sum()), experiment["ks"])
        else:
            answers = [None if pd.isna(answer) else answer for answer in pool["answer"]]
            right = set(pool.loc[pool["correct"], "answer"].dropna())
            values = majority_curve(answers, right, experiment["ks"])
        rows += [(k, problem_id, value) for k, value in zip(experiment["ks"], values, strict=True)]
    frame = pd.DataFrame(rows, columns=["k", "problem_id", "value"])
    names = {"recipe": experiment["recipe"], "objective": run["objective"], "seed": run["seed"]}
    frame = frame.assign(**names, metric=experiment["metric"])
    return frame[["recipe", "objective", "seed", "metric", "k", "problem_id", "value"]]


def run_metrics(experiment: dict, per_problem: pd.DataFrame, n_samples: int) -> pd.DataFrame:
    """Mean and standard error over problems of each run."""
    rows = []
    keys = ["recipe", "objective", "seed", "metric", "k"]
    for key, group in per_problem.groupby(keys, sort=False):
        value, se = mean_and_se(group["value"].to_numpy())
        rows.append((experiment["name"], *key, value, se, len(group), n_samples))
    return pd.DataFrame(rows, columns=["experiment", *keys, "value", "se", "n_problems", "n_samples"])


def summarise(experiment: dict, per_problem: pd.DataFrame, reported: pd.DataFrame, n_samples: int) -> pd.DataFrame:
    """Value and paired difference from the baseline of each objective and k, each with its 95 % interval."""
    ks = experiment["ks"]
    values = {
        (experiment["metric"], k): {
            objective: seeds_by_problems(per_problem[per_problem["k"] == k], objective)
            for objective in experiment["objectives"]
        }
        for k in ks
    }
    if experiment["gain"]:
        most, least = (values[experiment["metric"], k] for k in (max(ks), min(ks)))
        values["gain", max(ks)] = {objective: most[objective] - least[objective] for objective in most}
    rows = []
    for (metric, k), matrices in values.items():
        paper = _reported(reported, experiment, metric, k)
        for objective, matrix in matrices.items():
            interval = crossed_interval(matrix)
            difference = paired_difference(matrix, matrices[experiment["baseline"]])
            rows.append(
                {
                    "experiment": experiment["name"],
                    "recipe": experiment["recipe"],
                    "objective": objective,
                    "label": experiment["labels"][objective],
                    "beyond_paper": objective in experiment["beyond_paper"],
                    "baseline": experiment["baseline"],
                    "metric": metric,
                    "k": k,
                    "value": interval.mean,
                    "low": interval.low,
                    "high": interval.high,
                    "difference": difference.mean,
                    "difference_low": difference.low,
                    "difference_high": difference.high,
                    "difference_p": difference.p_value,
                    "population": interval.population,
                    "reported": paper[objective][0],
                    "reported_difference": paper[objective][1],
                    "n_seeds": matrix.shape[0],
                    "n_problems": matrix.shape[1],
                    "n_samples": n_samples,
                }
            )
    return pd.DataFrame(rows)


def seeds_by_problems(at_k: pd.DataFrame, objective: str) -> np.ndarray:
    """Values of one objective at one k, shape (seeds, problems), in the same order for every objective.

    Raises:
        ValueError: a seed lacks a problem that another one has.
    """
    rows = at_k[at_k["objective"] == objective]
    matrix = rows.pivot(index="seed", columns="problem_id", values="value")
    if matrix.isna().any(axis=None):
        raise ValueError(f"objective {objective!r}: its seeds were evaluated on different problems")
    return matrix.to_numpy()


def _reported(reported: pd.DataFrame, experiment: dict, metric: str, k: int) -> dict[str, tuple[float, float]]:
    """The paper's value of each objective and its difference from the baseline, as fractions; NaN where there is none.

    (The paper prints percent and points; of some figures the differences alone are known.)
    """
    rows = reported[
        (reported["paper_item"] == experiment["paper_item"])
        & (reported["experiment"] == experiment["name"])
        & (reported["k"] == k)
    ]

    def by_model(metrics: Sequence[str]) -> dict[str, float]:
        chosen = rows[rows["metric"].isin(metrics)]
        return dict(zip(chosen["model"], chosen["value"] / 100, strict=True))

    # One draw: the vote is that draw, so Maj@1 is Pass@1.
    values = by_model(["pass", "maj"] if k == 1 else [metric])
    deltas = by_model([f"{metric}_delta"])
    names = {name: experiment["reported_as"].get(name, label) for name, label in experiment["labels"].items()}
    base = values.get(names[experiment["baseline"]], np.nan)
    return {
        objective: (values.get(model, np.nan), deltas.get(model, values.get(model, np.nan) - base))
        for objective, model in names.items()
    }


def weight_distribution(experiment: dict, runs: Sequence[dict]) -> pd.DataFrame:
    """Quantiles of weight, log p and success rate over all sequences and seeds; effective share, mean over seeds.

    Empty where an objective has no scalar weight, or asks for no success rate.
    """
    rows = []
    for objective in experiment["objectives"]:
        records = [read_artifact("training", run["record"]) for run in runs if run["objective"] == objective]
        weight = np.concatenate([record["weight"] for record in records])
        log_p = np.concatenate([record["log_p"] for record in records])
        success_rate = np.concatenate([record["success_rate"] for record in records])
        rows.append(
            {
                "objective": objective,
                "label": experiment["labels"][objective],
                **dict(zip(("weight_p05", "weight_p50", "weight_p95"), np.quantile(weight, QUANTILES), strict=True)),
                "effective_share": float(np.mean([effective_share(record["weight"]) for record in records])),
                **dict(zip(("log_p_p05", "log_p_p50", "log_p_p95"), np.quantile(log_p, QUANTILES), strict=True)),
                "success_rate_p50": float(np.median(success_rate)),
                "n_sequences": len(weight),
                "n_seeds": len(records),
            }
        )
    return pd.DataFrame(rows)


QUANTILES = (0.05, 0.5, 0.95)


if __name__ == "__main__":
    with job(snakemake) as facts:  # noqa: F821
        runs = [
            run | {"scores": scores, "record": record}
            for run, scores, record in zip(
                snakemake.params.runs,  # noqa: F821
                snakemake.input.scores,  # noqa: F821
                snakemake.input.records,  # noqa: F821
                strict=True,
            )
        ]
        facts |= measure(
            experiment=snakemake.params.experiment,  # noqa: F821
            runs=runs,
            reported=read_artifact("reported", snakemake.input.reported),  # noqa: F821
            path_to_metrics=snakemake.output.metrics,  # noqa: F821
            path_to_problem_metrics=snakemake.output.problem_metrics,  # noqa: F821
            path_to_summary=snakemake.output.summary,  # noqa: F821
            path_to_weights=snakemake.output.weights,  # noqa: F821
        )
