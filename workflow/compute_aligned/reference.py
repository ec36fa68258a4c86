"""Copy what a run found, and what made it: `python -m compute_aligned.reference results/tiny`."""

import json
import shutil
import sys
from pathlib import Path

from .provenance import Manifests, readable_manifests

# What is copied of a results folder, besides claims.csv: folders, and which of their files.
KEPT = (("tables", "*"), ("figures", "*"), ("metrics", "*.csv"))
# Of the machine only what bears on the numbers is published.
PRIVATE = ("host", "interpreter")
PUBLISHED = "manifests.json"


def write_reference(root: Path, target: Path) -> None:
    """Copy tables, figures, metric summaries and claims of a results folder, and one file with all its manifests.

    Args:
        root: the results folder.
        target: the reference folder; its README is left as it is.
    """
    manifests = readable_manifests(root)
    for folder, pattern in KEPT:
        shutil.rmtree(target / folder, ignore_errors=True)
        (target / folder).mkdir(parents=True)
        for file in sorted((root / folder).glob(pattern)):
            shutil.copy(file, target / folder)
    shutil.copy(root / "claims.csv", target)
    jobs = {id(manifest): manifest for manifest in manifests.values()}
    published = [{key: value for key, value in job.items() if key not in PRIVATE} for job in jobs.values()]
    for job in published:  # a folder's files stand in the manifest of the job that wrote it
        job["inputs"] = [{key: entry[key] for key in entry if key != "files"} for entry in job["inputs"]]
    (target / PUBLISHED).write_text(json.dumps(published, separators=(",", ":")).replace('{"rule"', '\n{"rule"') + "\n")


def published_manifests(reference: Path) -> Manifests:
    """The manifests of a reference folder.

    Raises:
        ValueError: their file is cut, or holds something else.
    """
    file = reference / PUBLISHED
    manifests = Manifests()
    try:
        jobs = json.loads(file.read_text())
        if not isinstance(jobs, list) or not jobs:
            raise ValueError(f"found {'no manifest' if jobs == [] else type(jobs).__name__}, wanted a list of them")
        for job in jobs:
            manifests.add(job, file)
    except ValueError as error:
        raise ValueError(f"{file}: cannot be read as manifests ({error})") from error
    return manifests


def is_kept(path: Path) -> bool:
    """Whether a reference holds a copy of a file of the results folder, named from there."""
    return str(path) == "claims.csv" or any(
        path.parent == Path(folder) and path.match(pattern) for folder, pattern in KEPT
    )


if __name__ == "__main__":
    results = Path(sys.argv[1])
    write_reference(results, results.parent / "reference" / results.name)
