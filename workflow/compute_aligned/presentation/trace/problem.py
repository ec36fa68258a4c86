"""How the runs of an arm answered one problem, and how each completion was graded."""

from collections import Counter

import pandas as pd

from ...analysis.measuring import SCORES, problem_metrics
from ...config.settings.measuring import MeasuringSettings
from ...provenance.artifacts import read_artifact
from ...provenance.audit import Folder, NoAnswer, arm_of
from ...provenance.manifests import verify
from ...units import METRIC_NAMES, SCALES, UNITS
from .numbers import measuring_job, scores_of

SHOWN = 20  # different completions of a seed; --json has all


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
