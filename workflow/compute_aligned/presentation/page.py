"""The sections of the report page: what of a run stands where."""

from collections import Counter
from pathlib import Path

import jinja2
import pandas as pd

from ..provenance.artifacts import read_artifact, whole
from ..provenance.manifests import Manifests, jobs_behind, load_manifests, root_hashes
from . import numbers, panels, report
from .wording import against_the_paper, what_was_run

AUDIT = "python -m compute_aligned audit"
# Each verdict in a few words, for a reader who has not read how claims are judged (docs/method.md).
MEANINGS = {
    "reproduced": "The runs support it.",
    "right sign, too small to matter": "The effect is there, but smaller than would matter.",
    "contradicted": "The runs speak against it.",
    "inconclusive": "The runs leave it open: the effect is too uncertain.",
    "not tested here": "The runs cannot decide it; its row says why.",
}


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
        experiments: name -> entry of ``experiments.yaml`` with its ``items``, each (``table`` or ``figure``, name), and
            ``records`` (``Plan.page``).
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
    kinds = {
        file: entry["records"]["kind"]
        for entry in experiments.values()
        if "records" in entry
        for _, file in entry["records"]["runs"]
    }
    records = {file: panels.over_its_steps(read_artifact(kind, file), kind) for file, kind in kinds.items()}
    shown = Counter(item for entry in experiments.values() for _, item in entry["items"])
    sections = [
        _section(name, entry, preset, claims, command, results, manifests, records, shown)
        for name, entry in experiments.items()
    ]
    measured, unmeasured = report.claims_in_order(claims)
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
        claims=measured,
        unmeasured=unmeasured,
        look_first=report.look_first(claims),
        audit_claims=f"{AUDIT} {path_to_claims} --claim",
        n_models=len(records),
        forest_width=report.FOREST_WIDTH,
        meanings=MEANINGS,
        box={"width": panels.WIDTH, "height": panels.HEIGHT, "left": panels.LEFT, "right": panels.RIGHT}
        | {"top": panels.TOP, "bottom": panels.BOTTOM},
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
    records: dict[str, pd.DataFrame],
    shown_by: Counter,
) -> dict:
    """What the page says of one experiment.

    Args:
        records: the training record of each run, by its file (``panels.over_its_steps``).
        shown_by: table or figure -> how many experiments it shows.
    """
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
            caption = shown.with_suffix(".caption.md").read_text().strip()
            audit = f"{AUDIT} {shown.with_suffix('.pdf')}"
            figures.append({"name": item, "head": head, "caption": caption, "audit": audit} | report.picture(shown))
        elif entry["kind"] != "comparison" or "alignment" in entry:  # others are shown from their summaries
            audit = f"{AUDIT} {shown.with_suffix('.csv')}"
            title = f"{head}, whole" if entry["kind"] == "comparison" else head
            tables.append({"title": title, "html": report.table_html(shown.read_text()), "audit": audit})
        origins.append(
            {
                "head": head,
                "table": kind == "table",
                "root": root_hashes(made[:1], manifests)[made[0]],  # one job made all of them
                "command": f"{command} --force {shown}",
                "audit": f"{AUDIT} {shown.with_suffix('.csv' if kind == 'table' else '.pdf')}",
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
        "audit": _audit_of_numbers(name, entry, results, shown_by),
        "root": next((origin for origin in origins if origin["table"]), None),
        "tokens": None,
        "weights": None,
        "panels": [],
        "results_panel": None,
        "n_problems": None,
        "n_seeds": None,
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
        file = metrics / f"{name}.tokens.csv"
        if file.is_file():  # older runs have none
            section["tokens"] = report.token_table(read_artifact("tokens", file)) | {"audit": f"{AUDIT} {file}"}
        file = metrics / f"{name}.weights.csv"
        section["weights"] = report.weights_table(read_artifact("weights", file)) | {"audit": f"{AUDIT} {file}"}
        of_models: dict[str, list[pd.DataFrame]] = {}
        for label, file in entry["records"]["runs"]:
            of_models.setdefault(label, []).append(records[file])
        section["panels"] = panels.training_panels(of_models, entry["records"]["kind"])
        section["results_panel"] = panels.result_panel(summary)
        section["n_problems"], section["n_seeds"] = map(int, summary[["n_problems", "n_seeds"]].iloc[0])
    elif entry["kind"] == "diagonal":
        for kind, file, title in (
            ("diagonal_rho", "rho", "rho of our own pools, the paper's values beside it"),
            ("theorem3", "theorem3", "Theorem 3 on random answer sets"),
        ):
            path = metrics / f"{name}.{file}.csv"
            tables.append({"title": title, "audit": f"{AUDIT} {path}", **report.plain_table(read_artifact(kind, path))})
    return section


def _audit_of_numbers(name: str, entry: dict, results: Path, shown_by: Counter) -> str | None:
    """The command that walks back from a number of an experiment, but for its arm and k."""
    if entry["kind"] != "comparison":
        return None
    kinds = entry["figures"]
    if "table" in entry:
        item, file = entry["table"], results / f"tables/{entry['table']}.csv"
    else:  # a figure that shows one number per arm and k
        item = next((figure for figure in kinds if kinds[figure] in ("difference", "values")), None)
        file = results / f"figures/{item}.pdf"
    if item is None:
        return None
    return f"{AUDIT} {file}{f' --experiment {name}' if shown_by[item] > 1 else ''}"


def _notes(preset: dict, left_out: list[str], sections: list[dict], jobs: list[dict]) -> list[str]:
    """What a reader must know before the verdicts."""
    notes = []
    made = {job["wildcards"]["model"] for job in jobs if job["rule"] == "base_model"}
    small = [name for name in made if str(preset["models"][name]["source"]["kind"]).endswith("_scratch")]
    if small:
        notes.append(
            "The models are small ones, made here from nothing, in place of the paper's. A verdict says what holds of "
            "them; it does not say whether the paper measured right."
        )
    of_one_seed = [section["name"] for section in sections if section["n_seeds"] == 1]
    if of_one_seed:
        where = "" if len(preset["seeds"]) == 1 else f" in {', '.join(of_one_seed)}"
        notes.append(
            f"One seed{where}: intervals speak about other problems only, not about training again. A difference may "
            "be one between two runs."
        )
    alone = [section["name"] for section in sections if section["n_problems"] == 1]
    if alone:
        over = "there is no interval" if set(alone) <= set(of_one_seed) else "intervals are over seeds only"
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
