"""Copy what a run found, and what made it: `python -m compute_aligned.reference results/tiny`."""

import json
import shutil
import sys
from pathlib import Path

from .provenance import load_manifests

# Of the machine only what bears on the numbers is published.
PRIVATE = ("host", "interpreter")


def write_reference(root: Path, target: Path) -> None:
    """Copy tables, figures, metric summaries and claims of a results folder, and one file with all its manifests.

    Args:
        root: the results folder.
        target: the reference folder; its README is left as it is.
    """
    for folder, pattern in (("tables", "*"), ("figures", "*"), ("metrics", "*.csv")):
        shutil.rmtree(target / folder, ignore_errors=True)
        (target / folder).mkdir(parents=True)
        for file in sorted((root / folder).glob(pattern)):
            shutil.copy(file, target / folder)
    shutil.copy(root / "claims.csv", target)
    jobs = {id(manifest): manifest for manifest in load_manifests(root).values()}
    published = [{key: value for key, value in job.items() if key not in PRIVATE} for job in jobs.values()]
    for job in published:  # a folder's files stand in the manifest of the job that wrote it
        job["inputs"] = [{key: entry[key] for key in entry if key != "files"} for entry in job["inputs"]]
    (target / "manifests.json").write_text(
        json.dumps(published, separators=(",", ":")).replace('{"rule"', '\n{"rule"') + "\n"
    )


if __name__ == "__main__":
    results = Path(sys.argv[1])
    write_reference(results, results.parent / "reference" / results.name)
