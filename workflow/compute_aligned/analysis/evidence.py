"""What decides claims, read from a run's files, and judged."""

import numpy as np

from ..provenance.artifacts import read_artifact, write_artifact
from .claims import judge
from .effective_share import effective_share
from .metrics_files import METRICS_FILES


def judge_claims(
    claims: dict, files: dict[str, dict], baselines: dict[str, dict], preset: str, path_to_claims: str
) -> dict:
    """Write one row per claim: verdict, effect, interval, p values.

    Args:
        claims: the content of ``config/claims.yaml``.
        files: experiment -> the paths of its results by their names in ``METRICS_FILES``; of a comparison of runs also
            ``baseline`` (its training records, a path per seed) and, arm -> a path per seed, ``warmups`` (training
            records of warm-ups that are not shared) and ``proteins`` (scores).
        baselines: experiment -> what its baseline's records are: ``kind``, and ``completions_per_row``.
        preset: its name.
        path_to_claims: where the table goes.

    Returns:
        counts of the verdicts for the manifest.
    """
    found = {experiment: results(paths, baselines.get(experiment)) for experiment, paths in files.items()}
    table = judge(claims, found, preset)
    write_artifact(table, "claims", path_to_claims)
    return {"verdicts": table["verdict"].value_counts().to_dict()}


def results(paths: dict, baseline: dict | None = None) -> dict:
    """An experiment's results as ``claims.judge`` takes them."""
    named = {name: kind for files in METRICS_FILES.values() for name, _, kind in files}
    found = {name: read_artifact(kind, paths[name]) for name, kind in named.items() if name in paths}
    if "weights" in found:
        weights = found.pop("weights")  # of which the shares alone are looked at
        found["shares"] = dict(zip(weights["arm"], weights["effective_share"], strict=True))
    for arm, records in paths.get("warmups", {}).items():
        # Where the warm-ups are compared, theirs are the weights in question.
        shares = [effective_share(read_artifact("training", record)["weight"]) for record in records]
        found["shares"][arm] = float(np.mean(shares))
    if baseline is not None:
        records = [read_artifact(baseline["kind"], path) for path in paths["baseline"]]
        found["completions"] = min(map(len, records)) * baseline["completions_per_row"]
        raised = "log_p" if baseline["kind"] == "training" else "reward"
        found["curves"] = [record.groupby("step")[raised].mean().to_numpy() for record in records]
    if "proteins" in paths:
        found["hydrophobic"] = {
            arm: [read_artifact("protein_scores", path)["hydrophobic_fraction"] for path in scores]
            for arm, scores in paths["proteins"].items()
        }
    return found
