"""Numbers of tables and figures: found by arm and budget, told with what they are the mean of, and measured again."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from ...analysis.measuring import SCORES, experiment_summary, problem_metrics
from ...config.settings.measuring import MeasuringSettings
from ...provenance.artifacts import read_artifact
from ...provenance.audit import Folder, NoAnswer, arm_of
from ...provenance.manifests import UnverifiedArtifact, verify
from ...units import DIFFERENCE_UNITS, METRIC_NAMES, SCALES, UNITS

ROUNDING = 0.5e-4 + 1e-9  # of the numbers in a table's CSV
NUMBERS = ("value", "low", "high", "difference", "difference_low", "difference_high")
DRAWN_FROM_SUMMARIES = "figure"  # the rule whose figures show one number per arm and k
NOTHING_REPORTED = pd.DataFrame(columns=["paper_item", "experiment", "k", "metric", "model", "value"])


def find_number(file: Path, rows: pd.DataFrame, arm: str, k: int, experiment: str | None) -> dict:
    """The row of an arm at a budget.

    Args:
        file: where the numbers stand.
        rows: ``long_form``.
        arm: an objective, or a recipe where recipes are compared.
        k: test budget.
        experiment: which of the experiments that the file shows, where there are several.

    Raises:
        NoAnswer: there is no such arm, k or experiment, or several experiments have it.
    """
    shown = list(dict.fromkeys(rows["experiment"]))
    if experiment is None:
        of_arm = list(dict.fromkeys(rows.loc[rows["arm"] == arm, "experiment"]))
        if len(of_arm) > 1:
            raise NoAnswer(f"{file}: {arm} is an arm of {' and of '.join(of_arm)}; wanted one of them as --experiment")
        experiment = (of_arm or shown)[0]
    if experiment not in shown:
        raise NoAnswer(f"{file}: no experiment {experiment!r}; it shows {', '.join(shown)}")
    rows = rows[rows["experiment"] == experiment]
    found = rows[(rows["arm"] == arm) & (rows["k"] == k)]
    if found.empty:
        raise NoAnswer(
            f"{file}: no number of arm {arm!r} at k = {k}; arms are {', '.join(rows['arm'].unique())}, "
            f"k are {', '.join(str(int(budget)) for budget in rows['k'].unique())}"
        )
    return found.iloc[0].to_dict()  # of the experiment's own metric, which comes first


def numbers_of(folder: Folder, file: Path, job: dict) -> pd.DataFrame:
    """The numbers that a table shows, or those that a figure was drawn from.

    Raises:
        NoAnswer: it shows no numbers of arms and budgets.
    """
    if file.parent.name == "figures":
        if job["rule"] != DRAWN_FROM_SUMMARIES:
            raise NoAnswer(f"{file}: its points are not of one arm and budget; without --arm audit says what made it")
        name = job["inputs"][0]["path"]
        verify(folder.file(name), folder.manifests, name)
        return long_form(pd.read_csv(folder.file(name)))
    if file.suffix != ".csv" or file.parent.name != "tables":
        raise NoAnswer(
            f"{file}: --arm and --k are for the CSV of a table, or a figure; without them audit says what made a file"
        )
    table = pd.read_csv(file)
    if "strategy" in table:
        raise NoAnswer(f"{file}: no number of it was measured on a model; it is computed in closed form")
    if "arm" not in table:
        raise NoAnswer(f"{file}: its rows are not one arm each; without --arm and --k audit says what made it")
    return long_form(table)


def long_form(table: pd.DataFrame) -> pd.DataFrame:
    """The numbers of a table's CSV or of a ``summary``, a row per arm, metric and k, in the units of a table.

    Args:
        table: a table's CSV, whose numbers have a unit, or a summary, of fractions.

    Returns:
        experiment, arm, metric, k and NUMBERS.
    """
    if "unit" not in table:
        scale = table["metric"].map(SCALES)
        table = table.assign(**{name: scale * table[name] for name in NUMBERS})
    return table[table["k"].notna() & table["metric"].isin(list(METRIC_NAMES))]


def told_number(file: Path, number: dict) -> str:
    """A number in words."""
    metric, unit = number["metric"], " %" if UNITS[number["metric"]] == "%" else ""
    interval = "" if pd.isna(number["low"]) else f" [{number['low']:.2f}, {number['high']:.2f}]"
    name = f"{METRIC_NAMES[metric]}@{int(number['k'])}"
    return f"{name} of {number['arm']}: {number['value']:.2f}{unit}{interval}, in {file}"


def follow_arm(arm: str, experiment: str) -> Callable[[str], bool]:
    """What to follow from an arm's number: runs lie in folders <recipe>/<objective>/..., others did not make it."""

    def wanted(name: str) -> bool:
        parts = Path(name).parts
        if "metrics" in parts:
            return parts[-1].split(".")[0] == experiment
        stages = {"samples", "scores", "training", "models"} & set(parts)
        return not stages or arm in parts or "warmup" in parts or "base" in parts

    return wanted


def measuring_job(folder: Folder, experiment: str) -> dict | None:
    """The manifest of the job that measured an experiment on runs."""
    job = folder.manifests.get(f"{folder.recorded_root}/metrics/{experiment}.csv", {"params": {}})
    return job if {"runs", "experiment"} <= job["params"].keys() else None


def scores_of(job: dict, run: dict) -> str:
    """The scores of a run, as the job that measured it read them."""
    ending = f"/scores/{run['recipe']}/{run['objective']}/seed{run['seed']}.parquet"
    return next(entry["path"] for entry in job["inputs"] if entry["path"].endswith(ending))


def told_metrics(folder: Folder, number: dict) -> list[str]:
    """The runs' values behind a number, the pools that they were measured on, and where the paper has it."""
    job = measuring_job(folder, number["experiment"])
    if job is None or not folder.file(job["outputs"][0]["path"]).is_file():
        return []
    name = job["outputs"][0]["path"]
    verify(folder.file(name), folder.manifests, name)
    metrics = pd.read_csv(folder.file(name))
    rows = metrics[(metrics["arm"] == number["arm"]) & (metrics["k"] == number["k"])]
    if rows.empty:
        return []
    values = ", ".join(f"seed {row.seed} {SCALES[row.metric] * row.value:.2f}" for row in rows.itertuples())
    pools = f"{rows['n_problems'].iloc[0]} problems x {rows['n_samples'].iloc[0]} samples"
    experiment = job["params"]["experiment"]
    recipes = ", ".join(rows["recipe"].unique())
    return [
        f"mean of {len(rows)} rows of {name}: {values}; pools of {pools} each",
        f"{experiment.get('paper_item', 'no item of the paper')}; config/recipes.yaml, {recipes}: each setting beside "
        "the paper's sentence",
    ]


def recomputed(folder: Folder, number: dict) -> dict:
    """A number measured once more, from the scores, by the code at hand.

    Returns:
        from: what it was computed from; NUMBERS; and apart: how far each is from what stands there, where it is.
    """
    job = measuring_job(folder, number["experiment"])
    try:
        return {"from": None} if job is None else _measured_again(folder, number, job)
    except UnverifiedArtifact:
        raise
    except (KeyError, ValueError):  # an older version measured it, whose settings or columns had other names
        return {"from": None}


def _measured_again(folder: Folder, number: dict, job: dict) -> dict:
    experiment = job["params"]["experiment"]
    runs = [run for run in job["params"]["runs"] if arm_of(run) in (number["arm"], experiment["baseline"])]
    ks = [min(experiment["ks"]), max(experiment["ks"])] if number["metric"] == "gain" else [int(number["k"])]
    asked = MeasuringSettings(**(experiment | {"ks": ks}))
    names = [scores_of(job, run) for run in runs]
    if all(folder.file(name).is_file() for name in names):
        source, parts = "the scores", []
        for name, run in zip(names, runs, strict=True):
            verify(folder.file(name), folder.manifests, name)
            scores = read_artifact(SCORES[experiment["metric"]], folder.file(name))
            parts.append(problem_metrics(asked, run, scores))
        per_problem = pd.concat(parts, ignore_index=True)
    else:
        source, name = "each problem's value; the scores are not kept here", _problems_of(job)
        verify(folder.file(name), folder.manifests, name)
        per_problem = read_artifact("problem_metrics", folder.file(name))
    table = long_form(experiment_summary(asked, runs, per_problem, NOTHING_REPORTED, 0))
    row = table[(table["arm"] == number["arm"]) & (table["metric"] == number["metric"]) & (table["k"] == number["k"])]
    again = row.iloc[0].to_dict()
    apart = {name: again[name] - number[name] for name in NUMBERS if pd.notna(again[name]) and pd.notna(number[name])}
    return {"from": source, **{name: again[name] for name in apart}, "apart": apart}


def _problems_of(job: dict) -> str:
    return next(entry["path"] for entry in job["outputs"] if entry["path"].endswith(".problems.parquet"))


def told_recomputed(again: dict, metric: str) -> str:
    """Whether a number measured once more is what stands there, in words."""
    if again["from"] is None:
        return "not computed again: what is on record of the runs behind it is not enough"
    told = []
    for name, unit in (("value", UNITS[metric]), ("difference", DIFFERENCE_UNITS[metric])):
        if name in again["apart"]:
            apart = again["apart"][name]
            equal = "equal" if abs(apart) <= ROUNDING else f"NOT EQUAL, {apart:+.4f} from what stands there"
            told.append(f"{name} {again[name]:.4f} {unit}, {equal}")
    return f"computed again from {again['from']}: {'; '.join(told)}"
