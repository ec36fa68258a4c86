"""Verify results and references, and walk back from a file or a number to samples, weights, data, config and code.

`python -m compute_aligned audit results/tiny` verifies every artifact and what it was made from;
`python -m compute_aligned audit results/tiny/figures/fig1.png` says what made a file;
`python -m compute_aligned audit results/tiny/tables/table2.csv --model pass_n16 --k 16` walks back from one number;
`python -m compute_aligned audit results/tiny/claims.csv --claim C03` from one verdict.

The exit code is 0 if nothing is wrong, 1 if something is or a number is not there, 2 if the question makes no sense.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ..units import METRIC_NAMES
from .hashing import describe
from .job import other_versions
from .manifests import (
    Manifests,
    UnverifiedArtifact,
    false_links,
    jobs_behind,
    load_manifests,
    made_by,
    manifest_folder,
    recorded_output,
    remade_inputs,
    verify,
)
from .published import PUBLISHED, published_manifests

# Folders of a results folder that hold by-products; every other file is an artifact and has a manifest.
BY_PRODUCTS = ("logs", "benchmarks", "checkpoints", ".snakemake")
WRITTEN_BY_HAND = "README.md"  # in a reference
# Params that a story leaves out: told elsewhere, folders, and those that are as long as the configuration.
UNTOLD = ("code", "checkpoints", "runs", "claims", "files")


class NoAnswer(ValueError):
    """A question that makes no sense for what is at a path."""


# --- folders ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Folder:
    """A results folder, or a reference: a copy of a part of one, with all its manifests in one file.

    Attributes:
        root: the folder, relative to the one in which Snakemake runs.
        manifests: by the paths that they give to artifacts, which those of a copied folder have no longer.
        is_reference: whether it is a reference.
    """

    root: Path
    manifests: Manifests
    is_reference: bool

    @property
    def recorded_root(self) -> Path:
        """What the manifests call the folder: ``results/<preset>``."""
        names = iter(self.manifests)
        return Path(*Path(next(names, f"results/{self.root.name}")).parts[:2])

    def file(self, name: str) -> Path:
        """Where a file lies that manifests name."""
        path = Path(name)
        return self.root / path.relative_to(self.recorded_root) if self.holds(name) else path

    def name(self, file: Path) -> str:
        """What manifests call a file of the folder."""
        return str(self.recorded_root / file.relative_to(self.root))

    def holds(self, name: str) -> bool:
        """Whether a path that manifests name lies in the folder."""
        return Path(name).is_relative_to(self.recorded_root)

    def is_left_out(self, name: str) -> bool:
        """Whether an artifact is one that references do not keep."""
        if not self.is_reference or not self.holds(name):
            return False
        return name not in self.manifests or not recorded_output(self.manifests[name], name).get("kept", False)


def holds_manifests(path: Path) -> bool:
    """Whether a folder is a results folder or a reference."""
    return (path / PUBLISHED).is_file() or any(manifest_folder(path).rglob("*.json"))


def open_folder(root: Path) -> Folder:
    """Read the manifests of a results folder or reference."""
    is_reference = (root / PUBLISHED).is_file()
    return Folder(root, published_manifests(root) if is_reference else load_manifests(root), is_reference)


def working_folder(root: Path) -> Path:
    """The folder in which Snakemake ran: it holds ``results/<preset>`` and ``results/reference/<preset>``."""
    above = root.parent
    return (above.parent if above.name == "reference" else above).parent


# --- verifying -------------------------------------------------------------------------------------------------------


@dataclass
class Findings:
    """What came out of verifying some artifacts.

    Attributes:
        verified: number of artifacts that are what their manifests say.
        false: a sentence for each artifact that is not, or was not made from what is there.
        stale: a sentence for each version of a package that made some and is not the one installed.
        notes: what is no fault and should be known.
    """

    verified: int = 0
    false: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def complaints(self) -> list[str]:
        return [*self.false, *self.stale]

    def lines(self) -> list[str]:
        """All of it as text; the count is the last line."""
        count = f"{self.verified} artifacts verified, {len(self.complaints)} complaints"
        return [*self.complaints, *(f"note: {note}" for note in self.notes), count]


def verify_artifacts(folder: Folder, names: Iterable[str], jobs: Iterable[dict]) -> Findings:
    """Check artifacts against their manifests, and what each was made from against what is there.

    Args:
        folder: where they lie.
        names: the artifacts; each is read once.
        jobs: the manifests of the jobs whose inputs are checked.
    """
    found = Findings()
    left_out = Counter()
    for name in sorted(set(names)):
        file = folder.file(name)
        if folder.is_left_out(name):
            left_out[Path(name).relative_to(folder.recorded_root).parts[0]] += 1
        elif not os.path.lexists(file):
            found.false.append(f"{file}: its manifest exists, the artifact does not")
        else:
            try:
                verify(file, folder.manifests, name)
                found.verified += 1
            except (ValueError, OSError) as error:
                found.false.append(str(error))
    if left_out:
        kinds = ", ".join(f"{number} of {kind}" for kind, number in left_out.items())
        found.notes.append(
            f"{left_out.total()} artifacts are not kept in a reference ({kinds}); their hashes are on record"
        )
    jobs = list(jobs)
    found.false += dict.fromkeys(sentence for job in jobs for sentence in false_links(job, folder.manifests))
    unknown = ((entry["path"], job) for entry, job in _read_without_manifest(folder, jobs))
    for name, of in _by_path((name, job) for name, job in unknown if folder.holds(name)):
        found.false.append(f"{name}: no manifest says where it came from; it was read for {_all_made(of)}")
    for name, of in _by_path((name, job) for job in jobs for name in remade_inputs(job, folder.manifests)):
        found.notes.append(
            f"{name} was made again, in another way with the same content, since it was read for {_all_made(of)}"
        )
    outside, missing = _compare_outside(folder, jobs)
    (found.notes if folder.is_reference else found.false).extend(outside)
    found.notes += missing
    if not folder.is_reference:  # a reference was made elsewhere; its manifests say with what
        found.stale += other_versions(jobs)
    return found


def verify_folder(folder: Folder) -> Findings:
    """Check everything in a results folder or reference."""
    manifests = folder.manifests
    found = verify_artifacts(folder, manifests, {id(job): job for job in manifests.values()}.values())
    found.false[:0] = manifests.unreadable
    known = set(manifests) | {entry["path"] for job in manifests.values() for entry in job["inputs"]}
    for file in _artifact_files(folder):
        if not known & {folder.name(path) for path in (file, *file.parents) if path.is_relative_to(folder.root)}:
            found.false.append(f"{file}: no manifest says where it came from")
    return found


def _artifact_files(folder: Folder) -> Iterator[Path]:
    """Files of a folder that should have a manifest."""
    for file in sorted(folder.root.rglob("*")):
        part = file.relative_to(folder.root).parts[0]
        provenance = manifest_folder(folder.root).name
        beside = (PUBLISHED, WRITTEN_BY_HAND) if folder.is_reference else (*BY_PRODUCTS, provenance)
        if not file.is_dir() and part not in beside and file.name != ".snakemake_timestamp":
            yield file


def _read_without_manifest(folder: Folder, jobs: Iterable[dict]) -> Iterator[tuple[dict, dict]]:
    """Inputs that no manifest names, each with the manifest of the job that read it."""
    for job in jobs:
        for entry in job["inputs"]:
            if entry["path"] not in folder.manifests:
                yield entry, job


def _compare_outside(folder: Folder, jobs: Iterable[dict]) -> tuple[list[str], list[str]]:
    """Sentences on inputs from outside the folder that are another version now, and on those that are not there."""
    readers: dict[tuple[str, str], list[dict]] = {}
    for entry, job in _read_without_manifest(folder, jobs):
        if not folder.holds(entry["path"]):
            readers.setdefault((entry["path"], entry["sha256"]), []).append(job)
    now = {path: describe(Path(path))["sha256"] for path, _ in readers if Path(path).exists()}
    other = [
        f"{path}: its SHA-256 is {now[path][:12]}..., it was {sha256[:12]}... when it was read for {_all_made(of)}"
        for (path, sha256), of in sorted(readers.items())
        if now.get(path, sha256) != sha256
    ]
    missing = [
        f"{path} is not here, and so not compared with what was read for {_all_made(of)}"
        for (path, _), of in sorted(readers.items())
        if path not in now
    ]
    return other, missing


def _by_path(pairs: Iterable[tuple[str, dict]]) -> list[tuple[str, list[dict]]]:
    grouped: dict[str, list[dict]] = {}
    for name, job in pairs:
        grouped.setdefault(name, []).append(job)
    return list(grouped.items())


def _all_made(jobs: list[dict]) -> str:
    return made_by(jobs[0]) + (f", and for {len(jobs) - 1} other jobs" if len(jobs) > 1 else "")


# --- telling ---------------------------------------------------------------------------------------------------------


def tell(
    folder: Folder, name: str, heading: str, wanted: Callable[[str], bool] = lambda name: True, in_full: bool = False
) -> tuple[list[str], Findings]:
    """What an artifact, or a number in it, was made by and from, once all of it is verified.

    Args:
        folder: where it lies.
        name: what the manifests call it.
        heading: the first line.
        wanted: path of an input -> whether to follow it; keeps a walk to the runs behind one number.
        in_full: whether to tell of each job behind it, or of their number.

    Returns:
        lines of text, none where the chain is false: what is there is not what made it; and what was found.
    """
    jobs = jobs_behind([name], folder.manifests, wanted)
    names = [entry["path"] for job in jobs for entry in job["inputs"] if wanted(entry["path"])]
    found = verify_artifacts(folder, [name, *(name for name in names if name in folder.manifests)], jobs)
    if found.false:
        return [], found
    lines = [heading, *(line for job in (jobs if in_full else jobs[:1]) for line in _job_lines(job, folder))]
    if not in_full and len(jobs) > 1:
        counts = Counter(job["rule"] for job in jobs[1:])
        lines.append("- behind it: " + ", ".join(f"{number} {rule}" for rule, number in counts.items()))
        read = {entry["path"]: entry for entry, _ in _read_without_manifest(folder, jobs[1:])}
        lines += [_read_line(entry) for entry in read.values()]
    return lines, found


def _job_lines(job: dict, folder: Folder) -> list[str]:
    git = job.get("git") or {}
    commit = git.get("commit", "no git checkout")[:12] + " + changes" * git.get("dirty", False)
    made = ", ".join(f"{entry['path']} ({entry['sha256'][:12]})" for entry in job["outputs"])
    wildcards = "".join(f" {key}={value}" for key, value in job["wildcards"].items())
    settings = {key: value for key, value in job["params"].items() if key not in UNTOLD}
    return [
        f"- {job['rule']}{wildcards}: {made}",
        f"    code {job['params'].get('code')}, commit {commit}, {job.get('ended', 'no time')[:19]}, "
        f"python {job.get('python')}",
        f"    {settings}",
        *(_read_line(entry) for entry, _ in _read_without_manifest(folder, [job])),
    ]


def _read_line(entry: dict) -> str:
    return f"    read {entry['path']} ({entry['sha256'][:12]})"


def number_of_table(file: Path, model: str, k: int, experiment: str | None) -> tuple[str, str]:
    """A number of a table in words, and the experiment that it belongs to.

    Args:
        file: the table's CSV.
        model: an objective, or a recipe where recipes are compared.
        k: test budget.
        experiment: which of the experiments that the table shows, where there are several.

    Raises:
        ValueError: the table has no such model, k or experiment.
        NoAnswer: its rows are not models.
    """
    if file.suffix != ".csv" or file.parent.name != "tables":
        raise NoAnswer(f"{file}: --model and --k are for the CSV of a table; without them audit says what made a file")
    table = pd.read_csv(file)
    if "strategy" in table:
        raise ValueError(f"{file}: no number of it was measured on a model; it is computed in closed form")
    if "arm" not in table:
        raise NoAnswer(f"{file}: its rows are not one model each; without --model and --k audit says what made it")
    shown = list(dict.fromkeys(table["experiment"]))
    if experiment not in shown and (experiment is not None or len(shown) > 1):
        raise ValueError(f"{file}: --experiment is {experiment}, wanted one of {', '.join(shown)}")
    experiment = experiment or shown[0]
    table = table[(table["experiment"] == experiment) & table["k"].notna()]  # the others are numbers of the training
    found = table[(table["arm"] == model) & (table["k"] == k)]
    if found.empty:
        raise ValueError(
            f"{file}: no number for model {model!r} and k {k}; models are {', '.join(table['arm'].unique())}, "
            f"k are {', '.join(str(int(budget)) for budget in table['k'].unique())}"
        )
    row = found.iloc[0]  # of the experiment's own metric, which comes first
    name, unit = f"{METRIC_NAMES[row['metric']]}@{k}", " %" if row["unit"] == "%" else ""
    interval = "" if pd.isna(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]"
    return f"{name} of {model}: {row['value']:.2f}{unit}{interval}, in {file}", experiment


def follow_model(model: str, experiment: str) -> Callable[[str], bool]:
    """What to follow from a model's number: runs lie in folders <recipe>/<objective>/..., others did not make it."""

    def wanted(name: str) -> bool:
        parts = Path(name).parts
        if "metrics" in parts:
            return parts[-1].split(".")[0] == experiment
        stages = {"samples", "scores", "training", "models"} & set(parts)
        return not stages or model in parts or "warmup" in parts or "base" in parts

    return wanted


def verdict_of_claim(file: Path, claim: str, manifest: dict) -> tuple[str, Callable[[str], bool]]:
    """A verdict in words, and what to follow from it.

    Args:
        file: ``claims.csv``.
        claim: the claim, such as C03.
        manifest: of the job that judged.

    Raises:
        ValueError: there is no such claim.
        NoAnswer: it is another file.
    """
    if file.name != "claims.csv":
        raise NoAnswer(f"{file}: --claim is for claims.csv; without it audit says what made a file")
    claims = pd.read_csv(file).set_index("claim")
    if claim not in claims.index:
        raise ValueError(f"{file}: no claim {claim!r}; claims are {', '.join(claims.index)}")
    row = claims.loc[claim]
    read = {entry["path"] for entry in manifest["inputs"]}
    files, judged = (manifest["params"].get(name) for name in ("files", "claims"))
    about = set()
    if isinstance(files, dict) and isinstance(judged, dict):
        parts = judged.get("claims", {}).get(claim, {}).get("parts", [])  # one may read another experiment's alignment
        for experiment in [row["experiment"], *(part["alignment"] for part in parts if "alignment" in part)]:
            about |= set(_texts(files.get(experiment)))
    return f"{claim}: {row['verdict']}. {row['reason']}", lambda name: name not in read or name in about


def _texts(value: object) -> Iterator[str]:
    """All strings in nested lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _texts(entry)


# --- asking ----------------------------------------------------------------------------------------------------------


def owner(folder: Folder, path: Path) -> str:
    """The artifact that a path is, or is a part of, as manifests call it.

    Raises:
        NoAnswer: it is no artifact.
        UnverifiedArtifact: no manifest names it.
    """
    part = path.relative_to(folder.root).parts[0]
    if part in BY_PRODUCTS and not folder.is_reference:
        raise NoAnswer(f"{path}: a by-product ({part}), of which no manifest is kept")
    if folder.is_reference and str(path.relative_to(folder.root)) in (PUBLISHED, WRITTEN_BY_HAND):
        what = "the manifests of all that is in its folder" if part == PUBLISHED else "written by hand; no job made it"
        raise NoAnswer(f"{path}: {what}")
    if part == manifest_folder(folder.root).name:
        made = [name for name, file in folder.manifests.files.items() if file == path]
        raise NoAnswer(f"{path}: " + (f"the manifest of {', '.join(made)}" if made else "no manifest in use"))
    for above in (path, *path.parents):
        if above.is_relative_to(folder.root) and folder.name(above) in folder.manifests:
            return folder.name(above)
    if path.is_dir():
        raise NoAnswer(f"{path}: a part of {folder.root}; wanted that folder, or one artifact of it")
    raise UnverifiedArtifact("; ".join([f"{path}: no manifest says where it came from", *folder.manifests.unreadable]))


def answer(path: Path, root: Path, arguments: argparse.Namespace) -> tuple[list[str], Findings]:
    """What there is to say of a results folder or reference, or of a path in it, and what is wrong with it."""
    folder = open_folder(root)
    number = [name for name in ("model", "k", "experiment") if getattr(arguments, name) is not None]
    if path == root:
        if number or arguments.claim:
            raise NoAnswer(f"{path}: --{(number or ['claim'])[0]} is for a file, not for a whole folder")
        return [], verify_folder(folder)
    name = owner(folder, path)
    manifest = folder.manifests[name]
    if number and arguments.claim:
        raise NoAnswer(f"--claim and --{number[0]} ask different questions; wanted one of them")
    if number or arguments.claim:
        verify(folder.file(name), folder.manifests, name)  # before anything in it is believed
    if arguments.claim:
        heading, wanted = verdict_of_claim(path, arguments.claim, manifest)
        return tell(folder, name, heading, wanted)
    if number:
        if arguments.model is None or arguments.k is None:
            raise NoAnswer("a number of a table needs --model and --k: which of its numbers?")
        heading, experiment = number_of_table(path, arguments.model, arguments.k, arguments.experiment)
        return tell(folder, name, heading, follow_model(arguments.model, experiment), in_full=True)
    return tell(folder, name, f"{path}: made by a job of rule {manifest['rule']}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compute_aligned audit", description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="a results folder, a reference, or a file of one")
    parser.add_argument("--model", help="of a table's CSV: objective, such as pass_n16")
    parser.add_argument("--k", type=int, help="of a table's CSV: test budget")
    parser.add_argument("--experiment", help="of a table's CSV: which of its experiments, where it shows several")
    parser.add_argument("--claim", help="of claims.csv: claim, such as C03")
    arguments = parser.parse_args()
    try:
        path = Path(os.path.abspath(arguments.path))
        if not path.exists():
            raise NoAnswer(f"{arguments.path}: no such file or folder")
        root = next((above for above in (path, *path.parents) if holds_manifests(above)), None)
        if root is None:
            inside = sorted(str(arguments.path / file.name) for file in path.glob("*") if holds_manifests(file))
            hint = f"; wanted one of {', '.join(inside)}" if inside else ""
            raise NoAnswer(
                f"{arguments.path}: no manifests; it is no results folder, no reference, and no part of one{hint}"
            )
        # Paths in manifests start where Snakemake ran: from there they are the same wherever audit is called.
        here = working_folder(root)
        os.chdir(here)
        lines, found = answer(path.relative_to(here), root.relative_to(here), arguments)
        print("\n".join([*lines, *found.lines()]))
        return 1 if found.complaints else 0
    except (ValueError, OSError) as error:
        print(f"audit: {error}", file=sys.stderr)
        return 2 if isinstance(error, NoAnswer) else 1


if __name__ == "__main__":
    sys.exit(main())
