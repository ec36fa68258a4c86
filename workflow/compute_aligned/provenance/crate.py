"""`ro-crate-metadata.json`: a run as a Provenance Run Crate (https://w3id.org/ro/wfrun/provenance/0.5).

The crate is the results folder in which it lies. It describes the workflow, a tool for each rule, and for each job an
action with its parameters, inputs and outputs. Artifacts are named by their hashes and not copied; those that a bundle
leaves out are entities without a path.
"""

import importlib.metadata
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from rocrate.model import ContextEntity, DataEntity
from rocrate.rocrate import ROCrate

from .artifacts import whole
from .bundle import DRAWN, bundled_names, is_one_of
from .hashing import hash_settings
from .manifests import made_by, manifest_digest, manifest_folder, readable_manifests
from .published import in_folder

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
WORKFLOW = "Snakefile"
SNAKEMAKE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
HUB = {"base_model": "https://huggingface.co/{}", "problems": "https://huggingface.co/datasets/{}"}
OWN_RULE = "crate"


def write_crate(
    root: Path,
    licences: dict[str, str],
    path_to_snakefile: str,
    path_to_citation: str,
    path_to_crate: str,
    path_to_workflow: str,
):
    """Describe a results folder, and lay the workflow's Snakefile beside its description.

    Args:
        root: the results folder.
        licences: hub repository -> what its card states (``licences`` of a preset).
        path_to_snakefile: the workflow.
        path_to_citation: ``CITATION.cff``: people, licence and paper.
        path_to_crate: where the description goes, in the folder.
        path_to_workflow: where the copy of the Snakefile goes, in the folder.

    Returns:
        counts for the manifest.

    Raises:
        ValueError: a manifest cannot be read, or there is none.
    """
    manifests = readable_manifests(root)
    jobs = list({id(job): job for job in manifests.values() if job["rule"] != OWN_RULE}.values())
    if not jobs:
        raise ValueError(f"{root}: no manifests; wanted the folder of a run (results/tiny)")
    files = {made_by(job): manifests.files[job["outputs"][0]["path"]] for job in jobs}
    citation = yaml.safe_load(Path(path_to_citation).read_text())
    jobs.sort(key=lambda job: (job.get("started", ""), made_by(job)))
    crate = make_crate(root, jobs, files, bundled_names(manifests), citation, licences)
    with whole(path_to_crate) as path:
        path.write_text(json.dumps(crate.metadata.generate(), indent=1, sort_keys=True) + "\n")
    with whole(path_to_workflow) as path:
        shutil.copyfile(path_to_snakefile, path)
    return {"n_entities": len(list(crate.get_entities())), "n_actions": len(jobs)}


def make_crate(
    root: Path, jobs: list[dict], files: dict[str, Path], kept: set[str], citation: dict, licences: dict[str, str]
) -> ROCrate:
    """The description of a run.

    Args:
        root: the results folder.
        jobs: their manifests, in the order in which they started.
        files: what a job made (``made_by``) -> the file of its manifest.
        kept: the artifacts that have a path of their own in the crate.
        citation: content of ``CITATION.cff``.
        licences: as in ``write_crate``.
    """
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(TERMS)
    started, ended = (pick(job[key] for job in jobs) for pick, key in ((min, "started"), (max, "ended")))
    licence = _licence(crate, citation["license"])
    for identifier, (name, version) in PROFILES.items():
        _add(crate, identifier, "CreativeWork", name=name, version=version)
    parts = {"rule": {}, "artifact": {}}
    for job in jobs:
        parts["rule"].setdefault(job["rule"], []).append(job)
        for entry in job["inputs"] + job["outputs"]:
            parts["artifact"].setdefault(entry["path"], entry)
    sources = {entry["path"]: job for job in jobs for entry in job["outputs"] if job["rule"] in HUB}
    names = {
        name: _artifact_id(name, name in kept, root, "files" in entry) for name, entry in parts["artifact"].items()
    }
    for name, entry in parts["artifact"].items():
        origin = _origin(crate, sources[name], licence, licences) if name in sources else {}
        _add_artifact(crate, names[name], entry, origin)
    tools = [_add_tool(crate, rule, of) for rule, of in parts["rule"].items()]
    packages = sorted({pair for job in jobs for pair in job.get("packages", {}).items()})
    for name, version in packages:
        _add(crate, f"#package/{name}-{version}", "SoftwareApplication", name=name, version=version)
    engine = [f"#package/{name}-{version}" for name, version in packages if name == "snakemake"]
    if not engine:
        engine = [_add(crate, "#package/snakemake", "SoftwareApplication", name="snakemake")]
    crate.add(
        DataEntity(
            crate,
            WORKFLOW,
            {
                "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
                "name": citation["title"],
                "programmingLanguage": _ref(SNAKEMAKE),
                "license": _ref(licence),
                "hasPart": _refs(tools),
                "step": _refs(f"#step/{rule}" for rule in parts["rule"]),
                "softwareRequirements": _refs(f"#package/{name}-{version}" for name, version in packages),
            },
        )
    )
    _add(
        crate,
        SNAKEMAKE,
        "ComputerLanguage",
        name="Snakemake",
        url={"@id": "https://snakemake.readthedocs.io"},
        identifier={"@id": "https://doi.org/10.1093/bioinformatics/bts480"},
    )
    for position, rule in enumerate(parts["rule"], start=1):
        _add(crate, f"#step/{rule}", "HowToStep", position=str(position), workExample=_ref(f"#rule/{rule}"))
    actions = [_add_action(crate, job, names, files[made_by(job)], root) for job in jobs]
    made = {entry["path"] for job in jobs for entry in job["outputs"]}
    _add(
        crate,
        "#workflow-run",
        "CreateAction",
        name=f"Run of {root.name}",
        instrument=_ref(WORKFLOW),
        startTime=started,
        endTime=ended,
        object=_refs(names[name] for name in names if name not in made),
        result=_refs(names[name] for name in names if name in made and is_one_of(name, (*DRAWN, "report.html"))),
    )
    _add(
        crate,
        "#snakemake-run",
        "OrganizeAction",
        name="What Snakemake ran",
        instrument=_refs(engine),
        result=_ref("#workflow-run"),
        object=_refs(f"#control/{action[1:]}" for action in actions),
        startTime=started,
        endTime=ended,
    )
    people = list(_people(crate, citation["authors"]))
    about = {
        "name": f"{citation['title']}: results of {root.name}",
        "description": "Tables, figures and verdicts, and every job that led to them.",
        "datePublished": ended,
        "license": _ref(licence),
        "author": _refs(people),
        "conformsTo": _refs(PROFILES),
        "mainEntity": _ref(WORKFLOW),
        "mentions": [_ref("#workflow-run")],
        "citation": _ref(_paper(crate, citation["preferred-citation"])),
    }
    for key, value in about.items():
        crate.root_dataset[key] = value
    return crate


def _ref(identifier: str) -> dict:
    return {"@id": identifier}


def _refs(identifiers: Iterable[str]) -> list[dict]:
    return [_ref(identifier) for identifier in identifiers]


def _add(crate: ROCrate, identifier: str, kind: str, /, **properties) -> str:
    """Add what is no file, unless it is there; empty properties are left out."""
    if crate.get(identifier) is None:
        told = {key: value for key, value in properties.items() if value not in (None, [], "")}
        crate.add(ContextEntity(crate, identifier, {"@type": kind, **told}))
    return identifier


# --- people and licences ---------------------------------------------------------------------------------------------


def _licence(crate: ROCrate, name: str) -> str:
    return _add(crate, f"https://spdx.org/licenses/{name}", "CreativeWork", name=name)


def _people(crate: ROCrate, authors: list[dict]) -> Iterator[str]:
    for author in authors:
        if "name" in author:
            yield _add(crate, f"#{_slug(author['name'])}", "Organization", name=author["name"])
        else:
            name = f"{author['given-names']} {author['family-names']}"
            yield _add(crate, author.get("orcid", f"#{_slug(name)}"), "Person", name=name)


def _paper(crate: ROCrate, paper: dict) -> str:
    arxiv = next(entry["value"] for entry in paper["identifiers"] if entry["value"].startswith("arXiv:"))
    return _add(
        crate,
        f"https://arxiv.org/abs/{arxiv.removeprefix('arXiv:')}",
        "ScholarlyArticle",
        name=paper["title"],
        author=_refs(_people(crate, paper["authors"])),
        datePublished=str(paper["year"]),
    )


def _slug(text: str) -> str:
    return text.lower().replace(" ", "-")


def _origin(crate: ROCrate, job: dict, own: str, licences: dict[str, str]) -> dict:
    """Where a base model or data came from, and who states under which licence; what is generated has the project's."""
    settings = job["params"].get("source") or job["params"].get("data", {}).get("source", {})
    name = settings.get("id") or settings.get("hub") or settings.get("package")
    if name is None:
        if {"path", "train_file", "test_file"} & set(settings):
            return {"description": f"read from local files, {json.dumps(settings)}; licence not stated"}
        return {"license": _ref(own)}
    revision = job.get("facts", {}).get("source", {}).get("revision")
    if "/" in name:
        address = HUB[job["rule"]].format(name)
        page, licence = f"{address}/blob/{revision or settings.get('revision', 'main')}/README.md", licences.get(name)
        where = "as the card at the pinned revision states it"
    else:
        address = page = f"https://pypi.org/project/{name}"
        licence, where = _licence_of_package(name), "as the metadata of the installed package states it"
    _add(crate, address, "CreativeWork", name=name, version=revision)
    told = {"isBasedOn": _ref(address)}
    if licence is None:
        return told | {"description": f"licence not stated; see {page}"}
    statement = _add(crate, f"{page}#license", "CreativeWork", name=licence, description=f"{licence}, {where}")
    return told | {"license": _ref(statement)}


def _licence_of_package(name: str) -> str | None:
    try:
        stated = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    return stated.get("License-Expression") or stated.get("License")


# --- artifacts, tools, jobs ------------------------------------------------------------------------------------------


def _artifact_id(name: str, kept: bool, root: Path, folder: bool) -> str:
    inside = str(in_folder(name)) if Path(name).is_relative_to(root) else name
    return ("" if kept else "#") + inside + ("/" if folder else "")


def _add_artifact(crate: ROCrate, identifier: str, entry: dict, origin: dict) -> None:
    told = {
        "@type": "Dataset" if "files" in entry else "File",
        "name": entry["path"],
        "sha256": entry["sha256"],
        "contentSize": str(entry.get("size", "")),
        **origin,
    }
    crate.add(DataEntity(crate, identifier, told))


def _add_tool(crate: ROCrate, rule: str, jobs: list[dict]) -> str:
    """A rule: its formal parameters are the names of its jobs' params, inputs and outputs."""
    keys = dict.fromkeys(key for job in jobs for key in job["params"])
    formal = [
        _add(crate, f"#rule/{rule}/{key}", "FormalParameter", name=key, additionalType="Text", **FORMAL) for key in keys
    ]
    files = {
        side: _add(crate, f"#rule/{rule}/{side}", "FormalParameter", name=side, additionalType="File", **FORMAL)
        for side in ("inputs", "outputs")
    }
    return _add(
        crate,
        f"#rule/{rule}",
        "SoftwareApplication",
        name=rule,
        input=_refs([*formal, files["inputs"]]),
        output=_refs([files["outputs"]]),
    )


FORMAL = {"conformsTo": {"@id": "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"}}


def _add_action(crate: ROCrate, job: dict, names: dict[str, str], file: Path, root: Path) -> str:
    """A job, the step that it was one execution of, and the manifest that says more."""
    name = "_".join([job["rule"], *map(str, job["wildcards"].values())]).replace("/", "_")
    identifier = f"#job/{name}"
    manifest = str(Path(manifest_folder(root).name) / file.relative_to(manifest_folder(root)))
    described = {"@type": "File", "name": f"manifest of {name}", "encodingFormat": "application/json"}
    crate.add(DataEntity(crate, manifest, described))
    git = job.get("git") or {}
    _add(
        crate,
        identifier,
        "CreateAction",
        name=name,
        instrument=_ref(f"#rule/{job['rule']}"),
        identifier=manifest_digest(job),
        startTime=job["started"],
        endTime=job["ended"],
        object=_refs([*(names[entry["path"]] for entry in job["inputs"]), *_parameters(crate, job)]),
        result=_refs(names[entry["path"]] for entry in job["outputs"]),
        subjectOf=_ref(manifest),
        description=f"commit {git['commit']}{' with changes' * bool(git.get('dirty'))}" if git else None,
    )
    _add(
        crate,
        f"#control/{identifier[1:]}",
        "ControlAction",
        name=f"execution of {name}",
        instrument=_ref(f"#step/{job['rule']}"),
        object=_ref(identifier),
    )
    return identifier


def _parameters(crate: ROCrate, job: dict) -> Iterator[str]:
    for key, value in job["params"].items():
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        formal = f"#rule/{job['rule']}/{key}"
        yield _add(
            crate, f"{formal}/{hash_settings(value)}", "PropertyValue", name=key, value=text, exampleOfWork=_ref(formal)
        )
