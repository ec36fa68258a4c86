"""Walk back from a number, a verdict or a file to samples, weights, data, settings and code; verify whole folders.

`python -m compute_aligned audit results/tiny` verifies every artifact and what it was made from;
`... audit results/tiny/figures/fig1.png` says what made a file;
`... audit results/tiny/tables/table2.csv --arm pass_n16 --k 16` walks back from one number of a table or figure;
`... audit results/tiny/tables/table2.csv --arm pass_n16 --problem test-7` shows how a problem was answered and graded;
`... audit results/tiny/claims.csv --claim C03` walks back from one verdict;
`... audit results/tiny-bundle.zip` does the same of a bundle, and `.../tiny-bundle.zip/claims.csv` of a file in it.

The exit code is 0 if nothing is wrong, 1 if something is, 2 if there is no answer: nothing was verified.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from math import nan
from pathlib import Path

import numpy as np
import pandas as pd

from ..analysis.claims import decide, examine
from ..analysis.evidence import judge_claims, results
from ..analysis.measuring import SCORES, experiment_summary, problem_metrics
from ..config.settings.measuring import MeasuringSettings
from ..provenance.artifacts import read_artifact
from ..provenance.audit import (
    Finding,
    Findings,
    Folder,
    NoAnswer,
    arm_of,
    code_state,
    holds_manifests,
    open_folder,
    owner,
    read_without_manifest,
    verify_artifacts,
    verify_folder,
    working_folder,
)
from ..provenance.bundle import unpack
from ..provenance.manifests import UnverifiedArtifact, jobs_behind, root_hashes, verify
from ..units import DIFFERENCE_UNITS, METRIC_NAMES, SCALES, UNITS

# Params that a story leaves out: told elsewhere, folders, and those that are as long as the configuration.
UNTOLD = ("code", "checkpoints", "runs", "starts", "claims", "files", "baselines")
ROUNDING = 0.5e-4 + 1e-9  # of the numbers in a table's CSV
NUMBERS = ("value", "low", "high", "difference", "difference_low", "difference_high")
DRAWN_FROM_SUMMARIES = "figure"  # the rule whose figures show one number per arm and k


# --- numbers ---------------------------------------------------------------------------------------------------------


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
    if "objective" in table:
        raise NoAnswer(
            f"{file}: a table of version 0.1, with a column for each metric and k where now a row is; "
            "without --arm and --k audit says what made it"
        )
    if "arm" not in table:
        raise NoAnswer(f"{file}: its rows are not one arm each; without --arm and --k audit says what made it")
    return long_form(table)


def told_number(file: Path, number: dict) -> str:
    """A number in words."""
    metric, unit = number["metric"], " %" if UNITS[number["metric"]] == "%" else ""
    interval = "" if pd.isna(number["low"]) else f" [{number['low']:.2f}, {number['high']:.2f}]"
    name = f"{METRIC_NAMES[metric]}@{int(number['k'])}"
    return f"{name} of {number['arm']}: {number['value']:.2f}{unit}{interval}, in {file}"


# --- again, from what is there ---------------------------------------------------------------------------------------


def measuring_job(folder: Folder, experiment: str) -> dict | None:
    """The manifest of the job that measured an experiment on runs."""
    job = folder.manifests.get(f"{folder.recorded_root}/metrics/{experiment}.csv", {"params": {}})
    return job if {"runs", "experiment"} <= job["params"].keys() else None


def scores_of(job: dict, run: dict) -> str:
    """The scores of a run, as the job that measured it read them."""
    ending = f"/scores/{run['recipe']}/{run['objective']}/seed{run['seed']}.parquet"
    return next(entry["path"] for entry in job["inputs"] if entry["path"].endswith(ending))


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


NOTHING_REPORTED = pd.DataFrame(columns=["paper_item", "experiment", "k", "metric", "model", "value"])


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


def judged_again(folder: Folder, job: dict, claim: str, row: pd.Series) -> dict:
    """A verdict judged once more by the code at hand, from all that it was judged from.

    Where training records and scores are missing, as in a reference, effect and p value are computed from each
    problem's value. A verdict that also rests on these, or on the other claims of its family, is then not judged.

    Returns:
        verdict, effect, p (before correction), each None where it was not found again, and whether they are equal; why:
        what was missing.
    """
    params = job["params"]
    try:
        files = _lying(params["files"], folder)
        if not _all_there(files):
            return _effect_again(params["claims"], files, claim, row)
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "claims.csv"
            judge_claims(params["claims"], files, params["baselines"], params["preset"], str(file))
            again = pd.read_csv(file).set_index("claim").loc[claim]
    except (KeyError, ValueError) as error:
        return NOT_AGAIN | {"why": f"an older version judged it, from other settings or columns ({error})"}
    same = again["verdict"] == row["verdict"] and _same(again["effect"], row["effect"])
    return NOT_AGAIN | {"verdict": again["verdict"], "effect": _plain(again["effect"]), "equal": bool(same)}


NOT_AGAIN = {"verdict": None, "effect": None, "p": None, "equal": True, "why": None}


def _effect_again(settings: dict, files: dict, claim: str, row: pd.Series) -> dict:
    entry = settings["claims"][claim]
    needed = {entry["experiment"], *(part["alignment"] for part in entry["parts"] if "alignment" in part)}
    here = {
        experiment: {name: paths for name, paths in files[experiment].items() if _all_there(paths)}
        for experiment in needed & files.keys()
    }
    if any("between" in part for part in entry["parts"]) and "proteins" not in here[entry["experiment"]]:
        return NOT_AGAIN | {"why": "it is about shares of samples, whose scores are not kept here"}
    finding = examine(entry, {experiment: results(paths) for experiment, paths in here.items()}, settings)
    if not finding.compared:
        return NOT_AGAIN | {"why": finding.obstacle}
    effect = min((one.effect for one in finding.compared), key=lambda value: abs(value - row["effect"]))
    same = _same(effect, row["effect"]) and _same(finding.p, row["p"])
    if finding.exact:  # nothing is corrected, and no baseline was trained
        verdict, _, _ = decide(finding, nan, nan, entry, settings["level"])
        return NOT_AGAIN | {"verdict": verdict, "effect": effect, "equal": same and verdict == row["verdict"]}
    why = "that takes training records and scores that are not kept here"
    return NOT_AGAIN | {"effect": effect, "p": _plain(finding.p), "equal": same, "why": why}


def _all_there(paths: object) -> bool:
    return all(Path(file).is_file() for file in _texts(paths))


def told_judged(again: dict, unit: str) -> str:
    """Whether a verdict found once more is what stands there, in words."""
    equal = "equal" if again["equal"] else "NOT EQUAL to what stands there"
    if again["verdict"] is not None:
        return f"judged again from the metrics: {again['verdict']}, {equal}"
    if again["effect"] is None:
        return f"not judged again: {again['why']}"
    p = "" if again["p"] is None else f", p {again['p']:.3g} before correction"
    found = f"effect {again['effect']:+.4f} {unit}{p}, {equal}"
    return f"computed again from the metrics kept here: {found}; the verdict was not judged again: {again['why']}"


def _lying(value: object, folder: Folder) -> object:
    """Nested lists and mappings of paths as manifests name them, with where the files lie in their place."""
    if isinstance(value, dict):
        return {key: _lying(part, folder) for key, part in value.items()}
    return [_lying(part, folder) for part in value] if isinstance(value, list) else str(folder.file(value))


def _same(one: float, other: float) -> bool:
    return bool(np.isclose(float(one), float(other), rtol=1e-9, atol=1e-12, equal_nan=True))


def _plain(value: object) -> object:
    """A cell as JSON takes it."""
    if value is None or (not isinstance(value, list | dict | str) and pd.isna(value)):
        return None
    return value.item() if hasattr(value, "item") else value


# --- one problem -----------------------------------------------------------------------------------------------------


def told_problem(folder: Folder, arm: str, experiment: str, problem: str) -> tuple[list[str], list[dict]]:
    """One problem's completions by an arm's runs, how each was graded, and the metric that comes of it.

    Returns:
        lines of text, in which what came several times is one line; all completions as plain values.

    Raises:
        NoAnswer: samples are not kept here, or hold no such problem.
    """
    job = measuring_job(folder, experiment)
    runs = [run for run in job["params"]["runs"] if arm_of(run) == arm] if job is not None else []
    if not runs:
        raise NoAnswer(f"{experiment}: no runs of {arm} on record")
    asked = MeasuringSettings(**job["params"]["experiment"])
    lines, values = [], []
    for run in runs:
        name = scores_of(job, run)
        drawn = name.replace("/scores/", "/samples/")
        if not folder.file(drawn).is_file():
            raise NoAnswer(f"{drawn}: samples are not kept here; a bundle made with bundle_samples=true has them")
        for file in (name, drawn):
            verify(folder.file(file), folder.manifests, file)
        scores = read_artifact(SCORES[asked.metric], folder.file(name))
        pool = scores[scores["problem_id"] == problem]
        if pool.empty:
            some = ", ".join(map(str, scores["problem_id"].unique()[:3]))
            raise NoAnswer(f"{name}: no problem {problem!r}; problems are {some}, ...")
        if not lines:
            lines.append(_asked(folder, folder.manifests[name], problem, asked.metric))
        told = [
            f"{METRIC_NAMES[asked.metric]}@{row.k} {SCALES[asked.metric] * row.value + 0.0:.4g}"  # -0 is 0
            for row in problem_metrics(asked, run, pool).itertuples()
        ]
        rows = pool.merge(pd.read_parquet(folder.file(drawn)), on=["problem_id", "sample"])
        right = f", {int(rows['correct'].sum())} right" if "correct" in rows else ""
        lines.append(f"- seed {run['seed']}: {len(rows)} completions{right}; {', '.join(told)} ({UNITS[asked.metric]})")
        lines.append(f"    {name} and {drawn}")
        lines += [f"    {line}" for line in _told_completions(rows)]
        shown = rows.drop(columns="problem_id").astype(object)
        values += [{"seed": run["seed"], **row} for row in shown.where(shown.notna(), None).to_dict("records")]
    return lines, values


SHOWN = 20  # different completions of a seed; --json has all


def _told_completions(rows: pd.DataFrame) -> list[str]:
    """Each completion with its grade, the most frequent first, as far as SHOWN."""
    grade = _told_grade if "correct" in rows else _told_reward
    told = [f"{row['completion']!r}: {grade(row)}" for row in rows.to_dict("records")]
    counts = Counter(told).most_common()
    lines = [f"{count} x {line}" for line, count in counts[:SHOWN]]
    return [*lines, f"... and {len(counts) - SHOWN} other ones; --json has all"] if len(counts) > SHOWN else lines


def _told_grade(row: dict) -> str:
    answer = "no answer" if pd.isna(row["answer"]) else f"answer {row['answer']}"
    paper = "" if row["correct"] == row["correct_paper_grader"] else ", which the paper's grader calls "
    paper += {True: "right", False: "wrong"}[bool(row["correct_paper_grader"])] if paper else ""
    return f"{answer}, {row['outcome']}{paper}{_cut(row)}"


def _told_reward(row: dict) -> str:
    fraction = row["hydrophobic_fraction"]
    told = "no valid sequence" if pd.isna(fraction) else f"hydrophobic fraction {fraction:.3f}"
    return f"{told}, reward {row['reward']:.3f}{_cut(row)}"


def _cut(row: dict) -> str:
    return ", cut at the longest length" if row["finish_reason"] == "length" else ""


def _asked(folder: Folder, graded: dict, problem: str, metric: str) -> str:
    """The problem itself, where its file is kept."""
    for entry in graded["inputs"]:
        file = folder.file(entry["path"])
        if "/data/" in entry["path"] and file.is_file():
            row = pd.read_parquet(file).set_index("problem_id").loc[problem]
            wanted = "best hydrophobic fraction" if metric == "bon" else "right answer"
            return f"problem {problem}, {wanted} {row['answer']}, prompt {row['prompt']!r}"
    return f"problem {problem}, whose text is not kept here"


# --- telling ---------------------------------------------------------------------------------------------------------


def tell(
    folder: Folder, name: str, heading: str, wanted: Callable[[str], bool] = lambda name: True, in_full: bool = False
) -> tuple[list[str], list[dict], Findings]:
    """What an artifact, or a number in it, was made by and from, once all of it is verified.

    Args:
        folder: where it lies.
        name: what the manifests call it.
        heading: the first line.
        wanted: path of an input -> whether to follow it; keeps a walk to the runs behind one number.
        in_full: whether to tell of each job behind it, or of their number.

    Returns:
        lines of text, and the jobs as plain values; none where the chain is false: what is there is not what made it;
        and what was found.
    """
    jobs = jobs_behind([name], folder.manifests, wanted)
    names = [entry["path"] for job in jobs for entry in job["inputs"] if wanted(entry["path"])]
    found = verify_artifacts(folder, [name, *(name for name in names if name in folder.manifests)], jobs)
    if found.false:
        return [], [], found
    lines = [heading]
    depths = _depths(jobs, folder)
    for job in jobs if in_full else jobs[:1]:
        lines += ["  " * depths[id(job)] + line for line in _job_lines(job, folder)]
    if not in_full and len(jobs) > 1:
        counts = Counter(job["rule"] for job in jobs[1:])
        lines.append("- behind it: " + ", ".join(f"{number} {rule}" for rule, number in counts.items()))
        read = {entry["path"]: entry for entry, _ in read_without_manifest(folder, jobs[1:])}
        lines += [_read_line(entry) for entry in read.values()]
    return [*lines, *_common_lines(folder, name, jobs)], [_job_facts(job, folder) for job in jobs], found


def _depths(jobs: list[dict], folder: Folder) -> dict[int, int]:
    """How many jobs each is away from the first; they come nearest first."""
    depths = {id(jobs[0]): 0}
    for job in jobs:
        for entry in job["inputs"]:
            source = folder.manifests.get(entry["path"])
            if source is not None and id(job) in depths:
                depths.setdefault(id(source), depths[id(job)] + 1)
    return depths


def _common_lines(folder: Folder, name: str, jobs: list[dict]) -> list[str]:
    """What is true of all jobs behind a file: its root hash, versions, and how it is made again."""
    versions: dict[str, set[str]] = {}
    for job in jobs:
        for package, version in job.get("packages", {}).items():
            versions.setdefault(package, set()).add(version)
    told = ", ".join(f"{package} {' / '.join(sorted(of))}" for package, of in sorted(versions.items()))
    where = f", in a clone at commit {code_state(jobs[0])}," if folder.is_reference else ""
    return [
        f"root hash {root_hashes([name], folder.manifests)[name]}, of the file and all that led to it",
        f"made with {told or 'packages of which nothing is on record'}",
        f"made again{where} by `{command_for(folder, name)}`",
    ]


def command_for(folder: Folder, name: str) -> str:
    """What to type to have a file, and everything behind it, made again."""
    page = folder.manifests.get(f"{folder.recorded_root}/report.html", {}).get("params", {})
    default = f"snakemake --configfile config/{folder.recorded_root.name}.yaml --cores 2"
    return f"{page.get('command', default)} --forceall {name}"


def _job_facts(job: dict, folder: Folder) -> dict:
    """A job as plain values."""
    keys = ("rule", "wildcards", "started", "ended", "python", "packages", "host", "machine", "gpu", "slurm_job_id")
    sides = {side: [{key: entry[key] for key in ("path", "sha256")} for entry in job[side]] for side in SIDES}
    told = {key: job[key] for key in keys if job.get(key) is not None}
    return {**told, "code": job["params"].get("code"), "commit": code_state(job), "settings": settings_of(job), **sides}


SIDES = ("inputs", "outputs")


def settings_of(job: dict) -> dict:
    """What a job was told; of several runs once what they share, and a list of what each has of its own."""
    told = {key: value for key, value in job["params"].items() if key not in UNTOLD}
    runs = told.pop("settings", None)
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        return told if runs is None else told | {"settings": runs}
    values = {key: [run.get(key) for run in runs] for run in runs for key in run}
    return told | {key: of[0] if all(value == of[0] for value in of) else of for key, of in values.items()}


def _job_lines(job: dict, folder: Folder) -> list[str]:
    wildcards = "".join(f" {key}={value}" for key, value in job["wildcards"].items())
    where = "".join(f", {job[key]}" for key in ("host", "machine", "gpu") if job.get(key))
    return [
        f"- {job['rule']}{wildcards}: {'; '.join(_by_folder(job['outputs']))}",
        f"    code {job['params'].get('code')}, commit {code_state(job)}, {job.get('ended', 'no time')[:19]}, "
        f"python {job.get('python')}{where}",
        f"    {settings_of(job)}",
        *(_read_line(entry) for entry, _ in read_without_manifest(folder, [job])),
    ]


def _by_folder(entries: list[dict]) -> list[str]:
    """Files with the beginnings of their hashes, those of one folder behind its name."""
    grouped: dict[Path, list[str]] = {}
    for entry in entries:
        path = Path(entry["path"])
        grouped.setdefault(path.parent, []).append(f"{path.name} ({entry['sha256'][:12]})")
    return [f"{folder}/{files[0]}{''.join(f', {file}' for file in files[1:])}" for folder, files in grouped.items()]


def _read_line(entry: dict) -> str:
    return f"    read {entry['path']} ({entry['sha256'][:12]})"


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


def follow_arm(arm: str, experiment: str) -> Callable[[str], bool]:
    """What to follow from an arm's number: runs lie in folders <recipe>/<objective>/..., others did not make it."""

    def wanted(name: str) -> bool:
        parts = Path(name).parts
        if "metrics" in parts:
            return parts[-1].split(".")[0] == experiment
        stages = {"samples", "scores", "training", "models"} & set(parts)
        return not stages or arm in parts or "warmup" in parts or "base" in parts

    return wanted


def verdict_of_claim(file: Path, claim: str, manifest: dict) -> tuple[pd.Series, str, Callable[[str], bool]]:
    """A verdict: its row, in words, and what to follow from it.

    Args:
        file: ``claims.csv``.
        claim: the claim, such as C03.
        manifest: of the job that judged.

    Raises:
        NoAnswer: there is no such claim, or it is another file.
    """
    if file.name != "claims.csv":
        raise NoAnswer(f"{file}: --claim is for claims.csv; without it audit says what made a file")
    claims = pd.read_csv(file).set_index("claim")
    if claim not in claims.index:
        raise NoAnswer(f"{file}: no claim {claim!r}; claims are {', '.join(claims.index)}")
    row = claims.loc[claim]
    read = {entry["path"] for entry in manifest["inputs"]}
    files, judged = (manifest["params"].get(name) for name in ("files", "claims"))
    about = set()
    if isinstance(files, dict) and isinstance(judged, dict):
        parts = judged.get("claims", {}).get(claim, {}).get("parts", [])  # one may read another experiment's alignment
        for experiment in [row["experiment"], *(part["alignment"] for part in parts if "alignment" in part)]:
            about |= set(_texts(files.get(experiment)))
    return row, f"{claim}: {row['verdict']}. {row['reason']}", lambda name: name not in read or name in about


def _texts(value: object) -> Iterator[str]:
    """All strings in nested lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _texts(entry)


# --- asking ----------------------------------------------------------------------------------------------------------


def answer(path: Path, root: Path, asked: argparse.Namespace) -> tuple[list[str], dict, Findings]:
    """What there is to say of a results folder, reference or bundle, or of a path in it, and what is wrong with it.

    Returns:
        lines of text; the same as plain values, as far as a program may want them; what was found.
    """
    folder = open_folder(root)
    number = [name for name in ("arm", "k", "experiment", "problem") if getattr(asked, name) is not None]
    if path == root:
        if number or asked.claim:
            raise NoAnswer(f"{path}: --{(number or ['claim'])[0]} is for a file, not for a whole folder")
        return [], {}, verify_folder(folder, asked.fast)
    name = owner(folder, path)
    job = folder.manifests[name]
    if number and asked.claim:
        raise NoAnswer(f"--claim and --{number[0]} ask different questions; wanted one of them")
    if number or asked.claim:
        verify(folder.file(name), folder.manifests, name)  # before anything in it is believed
    if asked.claim:
        row, heading, wanted = verdict_of_claim(path, asked.claim, job)
        lines, jobs, found = tell(folder, name, heading, wanted)
        if found.false:
            return [], {}, found
        again = judged_again(folder, job, asked.claim, row)
        lines.insert(1, told_judged(again, row.get("unit")))
        if not again["equal"]:
            found.doubtful.append(Finding("altered", f"{path}: not what the code here finds of {asked.claim}"))
        verdict = {key: _plain(value) for key, value in row.items()}
        return lines, {"verdict": verdict, "again": again, "jobs": jobs}, found
    if number:
        return _answer_number(folder, path, name, job, asked)
    lines, jobs, found = tell(folder, name, f"{path}: made by a job of rule {job['rule']}")
    return lines, {"jobs": jobs}, found


def _answer_number(
    folder: Folder, path: Path, name: str, job: dict, asked: argparse.Namespace
) -> tuple[list[str], dict, Findings]:
    if asked.arm is None or (asked.k is None and asked.problem is None):
        raise NoAnswer(
            f"{path}: which of its numbers? Wanted --arm with --k or --problem, such as --arm pass_n16 --k 16"
        )
    rows = numbers_of(folder, path, job)
    k = asked.k if asked.k is not None else int(rows["k"].iloc[0])
    number = find_number(path, rows, asked.arm, k, asked.experiment)
    lines, jobs, found = tell(
        folder, name, told_number(path, number), follow_arm(asked.arm, number["experiment"]), in_full=True
    )
    if found.false:
        return [], {}, found
    if asked.problem is not None:
        lines, completions = told_problem(folder, asked.arm, number["experiment"], asked.problem)
        return lines, {"problem": asked.problem, "completions": completions, "jobs": jobs}, found
    again = recomputed(folder, number)
    if any(abs(apart) > ROUNDING for apart in again.get("apart", {}).values()):
        found.doubtful.append(Finding("altered", f"{path}: not the number that the code here measures"))
    lines[1:1] = [told_recomputed(again, number["metric"]), *told_metrics(folder, number)]
    told = {key: _plain(number[key]) for key in ("experiment", "arm", "metric", "k", *NUMBERS)}
    return lines, {"number": told, "again": json.loads(json.dumps(again, default=_plain)), "jobs": jobs}, found


@contextlib.contextmanager
def laid_open(path: Path) -> Iterator[Path]:
    """The path, or where a bundle's content was unpacked for a while, if it is a bundle or lies in one."""
    archive = next((above for above in (path, *path.parents) if above.is_file() and zipfile.is_zipfile(above)), None)
    if archive is None:
        yield path
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield unpack(archive, Path(os.path.realpath(scratch))) / path.relative_to(archive)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compute_aligned audit", description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="a results folder, a reference, a bundle, or a file of one")
    parser.add_argument("--arm", help="of a table's CSV or a figure: such as pass_n16")
    parser.add_argument("--k", type=int, help="of a table's CSV or a figure: test budget")
    parser.add_argument("--experiment", help="of a table's CSV: which of its experiments, where it shows several")
    parser.add_argument("--problem", help="of an arm: the problem whose completions and grades to show")
    parser.add_argument("--claim", help="of claims.csv: claim, such as C03")
    parser.add_argument("--json", action="store_true", help="plain values for a program")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--full", action="store_true", help="read every file of a folder; this is what is done anyway")
    how.add_argument("--fast", action="store_true", help="believe files of the recorded size, unchanged since, unread")
    asked = parser.parse_args()
    start = Path.cwd()
    try:
        with laid_open(Path(os.path.abspath(asked.path))) as path:
            if not path.exists():
                raise NoAnswer(f"{asked.path}: no such file or folder")
            root = next((above for above in (path, *path.parents) if holds_manifests(above)), None)
            if root is None:
                inside = sorted(str(asked.path / file.name) for file in path.glob("*") if holds_manifests(file))
                hint = f"; wanted one of {', '.join(inside)}" if inside else ""
                raise NoAnswer(
                    f"{asked.path}: no manifests; it is no results folder, no reference, and no part of one{hint}"
                )
            # Paths in manifests start where Snakemake ran: from there they are the same wherever audit is called.
            here = working_folder(root)
            os.chdir(here)
            lines, values, found = answer(path.relative_to(here), root.relative_to(here), asked)
            os.chdir(start)
        if asked.json:
            told = {"verified": found.verified, "findings": [one._asdict() for one in found.complaints]}
            print(json.dumps({**values, **told, "notes": found.notes}, indent=1))
        else:
            print("\n".join([*lines, *found.lines()]))
        return 1 if found.complaints else 0
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        os.chdir(start)
        print(f"audit: {error}", file=sys.stderr)
        return 1 if isinstance(error, UnverifiedArtifact) else 2


if __name__ == "__main__":
    sys.exit(main())
