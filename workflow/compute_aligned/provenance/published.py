"""Copy what a run found, and what made it: `python -m compute_aligned reference results/tiny`."""

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path

from .manifests import Manifests, readable_manifests, root_hashes

# What is copied of a results folder: what a reader looks at, and what the claims can be judged from again.
KEPT = (
    "tables/*",
    "figures/*",
    "metrics/*.csv",
    "metrics/*.problems.parquet",
    "metrics/*.start.parquet",
    "metrics/*.ratios.parquet",
    "claims.csv",
)
# Of the machine only what bears on the numbers is published.
PRIVATE = ("host", "interpreter")
PUBLISHED = "manifests.json"
ROOTS = "root_hashes.csv"  # of tables, figures and claims.csv


def write_reference(root: Path, target: Path) -> None:
    """Copy tables, figures, metric summaries and claims of a results folder, and write its manifests and root hashes.

    What no job made is left out.

    Args:
        root: the results folder.
        target: the reference folder; its README is left as it is.

    Raises:
        ValueError: the results folder is none, or lacks what its manifests name; the reference is as it was.
    """
    manifests = readable_manifests(root)
    made = sorted(map(in_folder, manifests))
    copied = [file for file in made if is_kept(file)]
    if Path("claims.csv") not in copied:
        raise ValueError(f"{root}: no manifest of a claims.csv in it; wanted the folder of a whole run (results/tiny)")
    for file in copied:
        if not (root / file).is_file():
            raise ValueError(f"{root / file}: no such file, but its manifest; let Snakemake make it again")
    roots = root_hashes_text(manifests, (name for name in manifests if in_folder(name) in copied))
    for folder in {str(Path(pattern).parent) for pattern in KEPT} - {"."}:
        shutil.rmtree(target / folder, ignore_errors=True)
        (target / folder).mkdir(parents=True)
    for file in copied:
        shutil.copy(root / file, target / file)
    (target / PUBLISHED).write_text(published_text(manifests, lambda name: in_folder(name) in copied))
    (target / ROOTS).write_text(roots)


def published_text(manifests: Manifests, kept: Callable[[str], bool]) -> str:
    """All manifests in one text, a line each, without what is private.

    Args:
        manifests: of the results folder.
        kept: path of an artifact, as the manifests give it -> whether it is copied along with them.
    """
    jobs = {id(manifest): manifest for manifest in manifests.values()}
    published = [without_private(job) for job in jobs.values()]
    for job in published:
        job["outputs"] = [entry | {"kept": True} if kept(entry["path"]) else entry for entry in job["outputs"]]
        # A folder's files stand in the manifest of the job that wrote it.
        job["inputs"] = [{key: entry[key] for key in entry if key != "files"} for entry in job["inputs"]]
    return json.dumps(published, separators=(",", ":")).replace('{"rule"', '\n{"rule"') + "\n"


def root_hashes_text(manifests: dict[str, dict], names: Iterable[str]) -> str:
    """The root hash of each artifact that shows numbers, as CSV: file, as the folder has it, and root_hash.

    Args:
        manifests: of the results folder or reference.
        names: the artifacts that are kept; metrics are left out.
    """
    shown = sorted(name for name in names if in_folder(name).parts[0] != "metrics")
    rows = [f"{in_folder(name)},{root}\n" for name, root in root_hashes(shown, manifests).items()]
    return "".join(["file,root_hash\n", *rows])


def without_private(manifest: dict) -> dict:
    """A manifest but for what says where the job ran."""
    return {key: value for key, value in manifest.items() if key not in PRIVATE}


def in_folder(path: str) -> Path:
    """A path without results/<preset>."""
    return Path(*Path(path).parts[2:])


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
    return any(fnmatch(str(path), pattern) for pattern in KEPT)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m compute_aligned reference", description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="the results folder of a whole run, such as results/tiny")
    results = parser.parse_args().results
    write_reference(results, results.parent / "reference" / results.name)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"reference: {error}")
