"""The jobs behind a file: what each was told, read and wrote, where and under which code."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from ...provenance.audit import Findings, Folder, code_state, read_without_manifest, verify_artifacts
from ...provenance.manifests import jobs_behind, root_hashes

# Params that a story leaves out: told elsewhere, folders, and those that are as long as the configuration.
UNTOLD = ("code", "checkpoints", "runs", "starts", "claims", "files", "baselines")
SIDES = ("inputs", "outputs")


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
