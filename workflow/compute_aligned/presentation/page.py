"""The sections of the report page: what of a run stands where."""

import struct
from pathlib import Path

import jinja2
import pandas as pd

from ..provenance.artifacts import read_artifact, whole
from ..provenance.manifests import Manifests, jobs_behind, load_manifests
from . import numbers, report
from .wording import against_the_paper, what_was_run


def make_report(
    preset: dict,
    experiments: dict[str, dict],
    left_out: list[str],
    command: str,
    results: Path,
    path_to_claims: str,
    path_to_template: str,
    path_to_report: str,
) -> dict:
    """Collect what the page says and lay it out.

    Args:
        preset: its name (``preset``), split, seeds, models and data.
        experiments: name -> entry of ``experiments.yaml`` with its ``items``, each (``table`` or ``figure``, name).
        left_out: names of the experiments that the preset does not run.
        command: the call of Snakemake that made the results.
        results: the results folder.
        path_to_claims: the verdicts.
        path_to_template: Jinja template of the page.
        path_to_report: where the page goes.

    Returns:
        counts for the manifest.
    """
    manifests = load_manifests(results)
    claims = read_artifact("claims", path_to_claims)
    sections = [
        _section(name, entry, preset, claims, command, results, manifests) for name, entry in experiments.items()
    ]
    items = [path for section in sections for path in section["paths"]]
    jobs = jobs_behind([*items, path_to_claims], manifests)
    costs = report.costs(jobs, results / "benchmarks")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(path_to_template).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    helpers = (report.claim_number, numbers.p_value, report.duration)
    environment.globals |= {function.__name__: function for function in helpers}
    page = environment.get_template(Path(path_to_template).name).render(
        preset=preset,
        names=list(experiments),
        left_out=left_out,
        command=command,
        notes=_notes(preset, left_out, sections, jobs),
        verdicts={name: list(claims.loc[claims["verdict"] == name, "claim"]) for name in numbers.VERDICT_MARKS},
        marks=numbers.VERDICT_MARKS,
        claims=report.claims_by_unit(claims),
        forest_width=report.FOREST_WIDTH,
        experiments=sections,
        jobs=len(jobs),
        seconds=sum(row["seconds"] for row in costs),
        all_costs=sorted(costs, key=lambda row: -row["seconds"]),
        started=min(job["started"] for job in jobs)[:16].replace("T", " "),
        ended=max(job["ended"] for job in jobs)[:16].replace("T", " "),
        environment=report.environments(jobs),
        models=report.described(preset["models"], "base_model", jobs),
        data=report.described(preset["data"], "problems", jobs),
    )
    with whole(path_to_report) as path:
        path.write_text(page)
    return {"n_claims": len(claims), "n_experiments": len(sections), "n_items": len(items)}


def _section(
    name: str,
    entry: dict,
    preset: dict,
    claims: pd.DataFrame,
    command: str,
    results: Path,
    manifests: Manifests,
) -> dict:
    """What the page says of one experiment."""
    metrics = results / "metrics"
    tables, figures, origins, paths = [], [], [], []
    for kind, item in entry["items"]:
        folder = results / ("tables" if kind == "table" else "figures")
        # A stray file beside them, such as an editor's copy, has no manifest and is none of theirs.
        made = [path for path in map(str, sorted(folder.glob(f"{item}.*"))) if path in manifests]
        paths += made
        shown = folder / f"{item}.{'md' if kind == 'table' else 'png'}"
        head = report.item_name(item)
        if kind == "figure":
            content = shown.read_bytes()
            width, height = struct.unpack(">II", content[16:24])  # of a PNG's header
            picture = {"uri": report.data_uri(content, "image/png"), "width": width, "height": height}
            caption = shown.with_suffix(".caption.md").read_text().strip()
            figures.append({"name": item, "head": head, "caption": caption} | picture)
        elif entry["kind"] != "comparison" or "alignment" in entry:  # others are shown from their summaries
            tables.append({"title": f"{head}, whole", "html": report.table_html(shown.read_text())})
        origins.append(
            {
                "head": head,
                "command": f"{command} --force {shown}",
                "trace": _trace(kind, item, entry, results),
                "files": [report.origin(Path(path), manifests) for path in made],
            }
        )
    jobs = jobs_behind(paths, manifests)
    costs = report.costs(jobs, results / "benchmarks")
    section = {
        "name": name,
        "title": entry["title"],
        "question": entry["question"],
        "shows": report.item_names([item for _, item in entry["items"]]),
        "claims": list(claims.loc[claims["experiment"] == name, ["claim", "verdict"]].itertuples(index=False)),
        "what_was_run": "",
        "comparison": None,
        "weights": None,
        "n_problems": None,
        "tables": tables,
        "figures": figures,
        "origins": origins,
        "paths": paths,
        "jobs": len(jobs),
        "costs": costs,
        "seconds": sum(row["seconds"] for row in costs),
    }
    if entry["kind"] == "comparison":
        summary = read_artifact("summary", metrics / f"{name}.summary.csv")
        sentences = [what_was_run(summary, preset["preset"], preset["split"]), against_the_paper(summary)]
        section["what_was_run"] = " ".join(filter(None, sentences))
        section["comparison"] = report.comparison_table(summary)
        section["weights"] = report.weights_table(read_artifact("weights", metrics / f"{name}.weights.csv"))
        section["n_problems"] = int(summary["n_problems"].iloc[0])
    elif entry["kind"] == "diagonal":
        for kind, file, title in (
            ("diagonal_rho", "rho", "rho of our own pools, the paper's values beside it"),
            ("theorem3", "theorem3", "Theorem 3 on random answer sets"),
        ):
            tables.append({"title": title, **report.plain_table(read_artifact(kind, metrics / f"{name}.{file}.csv"))})
    return section


def _trace(kind: str, item: str, entry: dict, results: Path) -> str | None:
    """The command that walks back from one number of a table, where it holds numbers of trained models."""
    if kind != "table" or entry["kind"] != "comparison" or "alignment" in entry:
        return None
    model = entry["objectives"][-1] if isinstance(entry["recipe"], str) else entry["recipe"][-1]
    return f"python -m compute_aligned audit {results}/tables/{item}.csv --model {model} --k {max(entry['k'])}"


def _notes(preset: dict, left_out: list[str], sections: list[dict], jobs: list[dict]) -> list[str]:
    """What a reader must know before the verdicts."""
    notes = []
    if len(preset["seeds"]) == 1:
        notes.append(
            "One seed: intervals speak about other problems only, not about training again. A difference may be one "
            "between two runs."
        )
    alone = [section["name"] for section in sections if section["n_problems"] == 1]
    if alone:
        over = "there is no interval" if len(preset["seeds"]) == 1 else "intervals are over seeds only"
        notes.append(f"One problem in {', '.join(alone)}: {over}.")
    if left_out:
        notes.append(f"Left out of this preset, so that their claims have no verdict here: {', '.join(left_out)}.")
    if preset["split"] != "test":
        notes.append(f"Evaluated on the {preset['split']} split, on which sizes were chosen: no evidence for a claim.")
    commits = {report.commit(job) for job in jobs}
    if len(commits) > 1 or any("changes" in commit for commit in commits):
        versions = "one version" if len(commits) == 1 else f"{len(commits)} versions"
        notes.append(f"Made by {versions} of the code: {', '.join(sorted(commits))}. Each file's stands beside it.")
    return notes
