"""What every finished run must satisfy, whatever its numbers are. Run by `snakemake check`, not by `make test`."""

from pathlib import Path

import numpy as np
import pandas as pd

from compute_aligned.provenance.job import other_versions
from compute_aligned.provenance.manifests import load_manifests

ROUNDING = 1e-9


def first(frame: pd.DataFrame, broken: pd.Series) -> str:
    """The first row that breaks a rule, as text."""
    row = frame[broken].iloc[0]
    return ", ".join(f"{name} {value}" for name, value in row.items() if isinstance(value, str | int | np.integer))


# --- files -----------------------------------------------------------------------------------------------------------


def test_an_artifact_is_there_and_has_its_columns(read, require, artifact):
    frame = read(artifact["kind"], artifact["path"])
    require(len(frame) > 0, f"{artifact['path']}: it has no row")


def test_everything_was_made_with_the_packages_that_are_installed(require, folder):
    manifests = load_manifests(Path(folder))
    other = other_versions({id(job): job for job in manifests.values()}.values())
    require(not other, "\n".join(f"{folder}: {sentence}" for sentence in other))


# --- pools -----------------------------------------------------------------------------------------------------------


def test_a_run_has_a_whole_pool_for_every_problem(read, require, run):
    scores = read(run["scores_kind"], run["scores"])
    sizes = scores.groupby("problem_id").size()
    require(
        1 <= len(sizes) <= run["n_problems"],
        f"{run['scores']}: it has {len(sizes)} problems, wanted 1 to {run['n_problems']}",
    )
    other = sizes[sizes != run["n_samples"]]
    require(
        other.empty,
        f"{run['scores']}: a pool has {other.min()} samples ({'' if other.empty else other.idxmin()}), "
        f"wanted {run['n_samples']}",
    )
    repeated = scores.duplicated(["problem_id", "sample"])
    require(not repeated.any(), f"{run['scores']}: a sample stands twice")


def test_what_is_scored_are_the_samples_of_the_evaluated_problems(read, require, run):
    keys = ["problem_id", "sample"]
    scores, samples = read(run["scores_kind"], run["scores"])[keys], read("samples", run["samples"])[keys]
    require(
        set(map(tuple, scores.to_numpy())) == set(map(tuple, samples.to_numpy())),
        f"{run['scores']}: its samples are not those of {run['samples']}",
    )
    unknown = set(scores["problem_id"]) - set(read("problems", run["problems"])["problem_id"])
    require(not unknown, f"{run['scores']}: the problem {min(unknown, default='')!r} is not in {run['problems']}")


def test_a_reward_of_an_answer_is_whether_it_is_right(read, require, run):
    if run["scores_kind"] == "scores":
        scores = read("scores", run["scores"])
        agree = (scores["reward"] == scores["correct"]) & (scores["correct"] == (scores["outcome"] == "right"))
        require(agree.all(), f"{run['scores']}: reward, correct and outcome differ at {_at(scores, ~agree)}")


def test_the_value_of_one_draw_is_the_mean_over_the_pool(read, require, run):
    mean = read(run["scores_kind"], run["scores"])["reward"].mean()
    for place in run["measured"]:
        values = read("metrics", place["metrics"]).set_index(["arm", "seed", "k"])["value"]
        found = values.get((place["arm"], run["seed"], 1), mean)  # a value that is missing is another check's matter
        require(
            abs(found - mean) < 1e-6 * max(1, abs(mean)),
            f"{place['metrics']}: {place['arm']}, seed {run['seed']} has {found} at k = 1, {run['scores']} {mean}",
        )


def _at(frame: pd.DataFrame, broken: pd.Series) -> str:
    return first(frame[["problem_id", "sample"]], broken) if broken.any() else ""


# --- metrics ---------------------------------------------------------------------------------------------------------


def test_every_arm_was_measured_with_every_seed_at_every_k(read, require, experiment):
    path = experiment["metrics"]
    frame = read("metrics", path)
    found = set(frame[["arm", "seed", "k"]].itertuples(index=False, name=None))
    wanted = {(arm, seed, k) for arm in experiment["arms"] for seed in experiment["seeds"] for k in experiment["ks"]}
    missing = sorted(wanted - found)
    require(not missing, f"{path}: no value of arm, seed, k {missing[0] if missing else ''}")
    extra = sorted(found - wanted)
    require(not extra, f"{path}: arm, seed, k {extra[0] if extra else ''} are not in the preset")


def test_paired_runs_were_evaluated_on_the_same_problems(read, require, experiment):
    path = experiment["problem_metrics"]
    by_run = read("problem_metrics", path).groupby(["arm", "seed", "k"])["problem_id"].agg(frozenset)
    other = by_run[by_run != by_run.iloc[0]]
    require(
        other.empty,
        f"{path}: problems of arm, seed, k {other.index[0] if len(other) else ''} are not those of {by_run.index[0]}",
    )


def test_values_lie_in_the_range_of_their_metric(read, require, experiment):
    for kind in ("problem_metrics", "metrics", "summary"):
        frame = read(kind, experiment[kind])
        values = frame.loc[frame["metric"].isin(["pass", "maj"]), "value"]
        require(values.between(0, 1).all(), f"{experiment[kind]}: a share of {values.max()} or {values.min()}")
        require(np.isfinite(frame["value"]).all(), f"{experiment[kind]}: a value that is not finite")


def test_more_draws_never_make_pass_and_best_of_worse(read, require, experiment):
    if experiment["metric"] == "maj":  # a vote may get worse
        return
    frame = read("problem_metrics", experiment["problem_metrics"])
    ordered = frame.sort_values("k", kind="stable")
    step = ordered.groupby(["arm", "seed", "problem_id"])["value"].diff()
    falls = step < -ROUNDING
    require(
        not falls.any(),
        f"{experiment['problem_metrics']}: the value falls at {first(ordered, falls) if falls.any() else ''}",
    )


def test_intervals_hold_their_values_and_p_values_are_probabilities(read, require, experiment):
    path = experiment["summary"]
    frame = read("summary", path)
    for value, low, high in (("value", "low", "high"), ("difference", "difference_low", "difference_high")):
        known = frame.dropna(subset=[low, high])
        outside = (known[value] < known[low] - ROUNDING) | (known[value] > known[high] + ROUNDING)
        require(not outside.any(), f"{path}: the {value} lies outside its interval at {_row(known, outside)}")
    p = frame["difference_p"].dropna()
    require(p.between(0, 1).all(), f"{path}: a p value of {p.max()} or {p.min()}")


def _row(frame: pd.DataFrame, broken: pd.Series) -> str:
    return first(frame[["arm", "metric", "k"]], broken) if broken.any() else ""


def test_tokens_grow_with_k_and_their_metric_is_that_of_the_summary(read, require, experiment):
    path = experiment["tokens"]
    frame, summary = read("tokens", path), read("summary", experiment["summary"])
    rows = frame.merge(summary, on=["arm", "metric", "k"], suffixes=("", "_of_summary"))
    require(
        len(rows) == len(frame) == len(experiment["arms"]) * len(experiment["ks"]), f"{path}: arms or k are missing"
    )
    other = (rows["value"] - rows["value_of_summary"]).abs() > ROUNDING * rows["value"].abs().clip(lower=1)
    require(not other.any(), f"{path}: the value is not that of {experiment['summary']} at {_row(rows, other)}")
    of_one = frame["tokens"] / frame["k"]
    spread = of_one.groupby(frame["arm"]).transform(lambda values: values.max() - values.min())
    require(
        (of_one >= 0).all() and (spread <= 1e-6 * of_one).all(), f"{path}: tokens of k are not k times those of one"
    )


def test_training_weights_are_at_least_0_and_their_effective_share_a_share(read, require, experiment):
    path = experiment["weights"]
    frame = read("weights", path)
    require(set(frame["arm"]) == set(experiment["arms"]), f"{path}: arms are {sorted(frame['arm'])}")
    quantiles = frame[["weight_p05", "weight_p50", "weight_p95"]].dropna()
    require((quantiles >= 0).all(axis=None), f"{path}: a weight below 0")
    require((quantiles.diff(axis=1).iloc[:, 1:] >= -ROUNDING).all(axis=None), f"{path}: quantiles that fall")
    share = frame["effective_share"].dropna()
    require(share.between(0, 1 + ROUNDING).all(), f"{path}: an effective share of {share.max()} or {share.min()}")
