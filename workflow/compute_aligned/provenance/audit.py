"""Verify what lies in a results folder, a reference or a bundle against its manifests, and these against each other."""

import datetime
import functools
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from .bundle import DRAWN, SETTINGS, is_one_of
from .hashing import describe
from .job import installed_versions, other_versions
from .manifests import (
    Manifests,
    false_links,
    jobs_behind,
    load_manifests,
    made_by,
    manifest_folder,
    recorded_output,
    remade_inputs,
    verify,
)
from .published import PUBLISHED, ROOTS, published_manifests, root_hashes_text
from .runs import of_seeds

# Folders of a results folder that hold by-products; every other file is an artifact and has a manifest.
BY_PRODUCTS = ("logs", "benchmarks", "checkpoints", ".snakemake")
# What a reference holds beside artifacts.
BESIDE = {
    PUBLISHED: "the manifests of all that is in its folder",
    ROOTS: "the root hash of each table and figure beside it, and of claims.csv",
    "README.md": "written by hand; no job made it",
}


class NoAnswer(ValueError):
    """A question that makes no sense for what is at a path, or of which nothing is there."""


# --- folders ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Folder:
    """A results folder, or a reference: a copy of a part of one, with all its manifests in one file.

    Attributes:
        root: the folder, relative to the one in which Snakemake runs.
        manifests: by the paths that they give to artifacts, which those of a copied folder have no longer.
        is_reference: whether it is a reference, or a bundle, which is one with settings and manifests beside it.
    """

    root: Path
    manifests: Manifests
    is_reference: bool

    @property
    def kind(self) -> str:
        """What to call it."""
        bundle = "bundle" if manifest_folder(self.root).is_dir() else "reference"
        return bundle if self.is_reference else "results folder"

    @functools.cached_property
    def recorded_root(self) -> Path:
        """What the manifests, or most of them, call the folder: ``results/<preset>``."""
        roots = Counter(Path(name).parts[:2] for name in self.manifests)
        return Path(*roots.most_common(1)[0][0]) if roots else Path("results", self.root.name)

    def file(self, name: str) -> Path:
        """Where a file lies that manifests name."""
        path = Path(name)
        return self.root / path.relative_to(self.recorded_root) if self.holds(name) else path

    def name(self, file: Path) -> str:
        """What manifests call a file of the folder."""
        return str(self.recorded_root / file.relative_to(self.root))

    def source(self, name: str) -> Path:
        """Where a file lies that jobs read from outside the folder; a bundle has a copy."""
        copy = self.root / SETTINGS / name
        return copy if copy.exists() else Path(name)

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


class Finding(NamedTuple):
    """What is wrong: one of KINDS, and a sentence that says of what."""

    kind: str
    sentence: str


# What a finding says of an artifact: its content is not what its manifest says; it is not there; no manifest says what
# made it; a manifest is not what it was; it was made by other code, settings, inputs or packages than now; what it
# shows was made by two versions of the code or of a package; seeds or problems are missing from it.
KINDS = ("altered", "missing", "unknown", "manifest altered", "stale", "mixed", "incomplete")


@dataclass
class Findings:
    """What came out of verifying some artifacts.

    Attributes:
        verified: number of artifacts that are what their manifests say.
        false: of each artifact that is not, or was not made from what is there.
        doubtful: of what is as its manifests say, and yet not what one would make now, or not of one piece.
        notes: what is no fault and should be known.
    """

    verified: int = 0
    false: list[Finding] = field(default_factory=list)
    doubtful: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def complaints(self) -> list[Finding]:
        return [*self.false, *self.doubtful]

    def lines(self) -> list[str]:
        """All of it as text; the count is the last line."""
        count = f"{self.verified} artifacts verified, {len(self.complaints)} complaints"
        return [*(one.sentence for one in self.complaints), *(f"note: {note}" for note in self.notes), count]


def verify_artifacts(folder: Folder, names: Iterable[str], jobs: Iterable[dict], fast: bool = False) -> Findings:
    """Check artifacts against their manifests, and what each was made from against what is there.

    Args:
        folder: where they lie.
        names: the artifacts; each is read once.
        jobs: the manifests of the jobs whose inputs are checked.
        fast: whether what has the size that its manifest says, and was not written since, is believed unread.
    """
    found = Findings()
    left_out = Counter()
    for name in sorted(set(names)):
        file = folder.file(name)
        if folder.is_left_out(name):
            left_out[Path(name).relative_to(folder.recorded_root).parts[0]] += 1
        elif not os.path.lexists(file):
            found.false.append(Finding("missing", f"{file}: its manifest exists, the artifact does not"))
        elif fast and _looks_untouched(file, folder.manifests[name], name):
            found.verified += 1
        else:
            try:
                verify(file, folder.manifests, name)
                found.verified += 1
            except (ValueError, OSError) as error:
                found.false.append(Finding("altered", str(error)))
    if left_out:
        kinds = ", ".join(f"{number} of {kind}" for kind, number in left_out.items())
        found.notes.append(
            f"{left_out.total()} artifacts are not kept in a {folder.kind} ({kinds}); their hashes are on record"
        )
    jobs = list(jobs)
    links = dict.fromkeys(sentence for job in jobs for sentence in false_links(job, folder.manifests))
    found.false += [Finding("stale" if ": made from " in link else "manifest altered", link) for link in links]
    unknown = ((entry["path"], job) for entry, job in read_without_manifest(folder, jobs))
    for name, of in _by_path((name, job) for name, job in unknown if folder.holds(name)):
        sentence = f"{name}: no manifest says where it came from; it was read for {all_made(of)}"
        found.false.append(Finding("unknown", sentence))
    for name, of in _by_path((name, job) for job in jobs for name in remade_inputs(job, folder.manifests)):
        found.notes.append(
            f"{name} was made again, in another way with the same content, since it was read for {all_made(of)}"
        )
    outside, missing = _compare_outside(folder, jobs)
    for file, sentence in outside:
        if file.is_relative_to(folder.root):  # the copy in a bundle
            found.false.append(Finding("altered", sentence))
        elif folder.is_reference:  # made elsewhere, from other files than those that lie here now
            found.notes.append(sentence)
        else:
            found.false.append(Finding("stale", sentence))
    found.notes += missing
    if not folder.is_reference:  # its manifests say with what it was made
        found.doubtful += [Finding("stale", sentence) for sentence in other_versions(jobs)]
        if found.doubtful:
            found.notes.append(_how_to_make_again(jobs))
    return found


def _looks_untouched(file: Path, manifest: dict, name: str) -> bool:
    """Whether a file, or each file of a folder, has its recorded size and no later time than its manifest's."""
    entry = recorded_output(manifest, name)
    parts = entry.get("files", [{"path": "", "size": entry.get("size")}])
    ended = datetime.datetime.fromisoformat(manifest["ended"]).timestamp() if "ended" in manifest else 0
    if "files" in entry and {part["path"] for part in parts} != _files_in(file):
        return False
    stats = [(part, (file / part["path"]).stat()) for part in parts if (file / part["path"]).is_file()]
    return len(stats) == len(parts) and all(s.st_size == part["size"] and s.st_mtime <= ended for part, s in stats)


def _files_in(folder: Path) -> set[str]:
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != ".snakemake_timestamp")
    return {str(file.relative_to(folder)) for file in files}


def _how_to_make_again(jobs: Iterable[dict]) -> str:
    """What to type where packages were upgraded since."""
    installed = installed_versions()
    rules = {
        job["rule"]
        for job in jobs
        for name, version in job.get("packages", {}).items()
        if installed.get(name, version) != version
    }
    return (
        "an upgrade makes nothing again by itself: install what constraints.txt pins, or run "
        f"`snakemake --cores 2 --forcerun {' '.join(sorted(rules))}`"
    )


def verify_folder(folder: Folder, fast: bool = False, now: Iterable[dict] = (), wanted: Iterable[str] = ()) -> Findings:
    """Check everything in a results folder, reference or bundle.

    Args:
        folder: the folder.
        fast: as in ``verify_artifacts``.
        now: what its jobs would be given now: rule, wildcards, params and inputs (paths), and, of a job that makes
            runs, the seeds that these are for; params and inputs are None where the preset has no such job any more.
        wanted: the files that the preset should have made.
    """
    manifests = folder.manifests
    held = [name for name in manifests if folder.holds(name)]
    jobs = list({id(manifests[name]): manifests[name] for name in held}.values())
    found = verify_artifacts(folder, held, jobs, fast)
    found.false[:0] = [Finding("manifest altered", sentence) for sentence in manifests.unreadable]
    known = set(manifests) | {entry["path"] for job in jobs for entry in job["inputs"]}
    for file in _artifact_files(folder):
        if not known & {folder.name(path) for path in (file, *file.parents) if path.is_relative_to(folder.root)}:
            found.false.append(Finding("unknown", f"{file}: no manifest says where it came from"))
    altered = [*impossible_manifests(folder), *false_root_hashes(folder)]
    found.false += [Finding("manifest altered", sentence) for sentence in altered]
    not_made = sorted(set(wanted) - set(manifests))
    if not_made:
        sentence = f"{not_made[0]}: not made" + (f", nor {len(not_made) - 1} other files" if len(not_made) > 1 else "")
        found.doubtful.append(Finding("missing", f"{sentence} of the tables, figures and verdicts of this preset"))
    stale, gone = _compare_with_now(jobs, now)
    found.doubtful += [Finding("stale", sentence) for sentence in stale]
    found.notes += gone
    found.doubtful += [Finding("mixed", sentence) for sentence in mixed_items(folder)]
    found.doubtful += [Finding("incomplete", sentence) for sentence in incomplete_metrics(folder)]
    return found


def unique(manifests: Manifests) -> list[dict]:
    """The manifests of all jobs, each once."""
    return list({id(job): job for job in manifests.values()}.values())


def impossible_manifests(folder: Folder) -> list[str]:
    """A sentence for each manifest that no job can have written as it is."""
    now = datetime.datetime.now(datetime.UTC).isoformat()
    sentences = []
    for job in unique(folder.manifests):
        file = folder.manifests.files[job["outputs"][0]["path"]]
        name = "_".join(map(str, job["wildcards"].values())).replace("/", "_") or "all"
        if not folder.is_reference and (file.parent.name, file.stem) != (job["rule"], name):
            sentences.append(f"{file}: holds the manifest of a job of {job['rule']}, {name}; it was moved or exchanged")
        if not folder.holds(made := job["outputs"][0]["path"]):
            sentences.append(f"{file}: holds the manifest of {made}, in a folder of {folder.recorded_root}")
        if job.get("started", "") > job.get("ended", job.get("started", "")):
            sentences.append(f"{file}: says that the job ended before it started")
        if job.get("ended", "") > now:
            sentences.append(f"{file}: says that the job ended {job['ended'][:19]}, which is yet to come")
    return sentences


def false_root_hashes(folder: Folder) -> list[str]:
    """A sentence where the root hashes that a reference was published with are not those of its manifests."""
    file = folder.root / ROOTS
    if not folder.is_reference or not file.is_file():  # bundles and references of older versions have none
        return []
    kept = [name for name in folder.manifests if not folder.is_left_out(name)]
    told, found = (
        text.splitlines() for text in (file.read_text(errors="replace"), root_hashes_text(folder.manifests, kept))
    )
    other = sorted({*told} ^ {*found})
    return [f"{file}: not the root hashes that the manifests beside it give ({other[0]})"] if other else []


def _compare_with_now(jobs: list[dict], now: Iterable[dict]) -> tuple[list[str], list[str]]:
    """Sentences on jobs that would be other jobs now, those of one rule and difference in one; and on those gone."""
    by_name = {_job_name(job): job for job in now}
    other: dict[tuple[str, tuple[str, ...]], list[dict]] = {}
    gone = []
    for job in jobs:
        today = by_name.get(_job_name(job))
        if today is None:
            continue
        if today["params"] is None:
            gone.append(job)
            continue
        then = of_seeds(job, today["seeds"]) if today.get("seeds") else job
        params = json.loads(json.dumps(today["params"]))
        keys = sorted(key for key in {*params, *then["params"]} if params.get(key) != then["params"].get(key))
        if list(dict.fromkeys(today["inputs"])) != [entry["path"] for entry in then["inputs"]]:
            keys.append("inputs")
        if keys:
            other.setdefault((job["rule"], tuple(keys)), []).append(job)
    sentences = [
        f"{_all_of(of)}: made by {rule} with other {' and '.join(keys)} than now; Snakemake would make it again"
        for (rule, keys), of in other.items()
    ]
    notes = [f"{_all_of(gone)}: this preset makes no such file any more"] if gone else []
    return sentences, notes


def _job_name(job: dict) -> tuple:
    return job["rule"], tuple(sorted((key, str(value)) for key, value in job["wildcards"].items()))


def mixed_items(folder: Folder) -> list[str]:
    """A sentence for each mixture of versions that made tables, figures or verdicts.

    Versions of a package are compared among all jobs behind it; those of the code among the jobs of one rule, since a
    table that is drawn anew at a later commit is no mixture, and one whose runs were trained by two versions is. Two
    commits at which the code of a rule was the same, by its hash, are one version.
    """
    mixtures: dict[str, list[dict]] = {}
    first_at: dict[tuple, str] = {}  # rule and hash of its code -> where it was run
    for job in unique(folder.manifests):
        key = job["rule"], job["params"].get("code", code_state(job))
        first_at[key] = min(code_state(job), first_at.get(key, code_state(job)))
    for job in unique(folder.manifests):
        if not any(is_one_of(entry["path"], DRAWN) for entry in job["outputs"]):
            continue
        versions: dict[str, set[str]] = {}
        commits: dict[str, set[str]] = {}
        for behind in jobs_behind([job["outputs"][0]["path"]], folder.manifests):
            for package, version in behind.get("packages", {}).items():
                versions.setdefault(package, set()).add(version)
            code = behind["params"].get("code", code_state(behind))
            commits.setdefault(behind["rule"], set()).add(first_at[behind["rule"], code])
        two = [f"{package} {' and '.join(sorted(of))}" for package, of in sorted(versions.items()) if len(of) > 1]
        two += [f"{rule} at {' and '.join(sorted(of))}" for rule, of in sorted(commits.items()) if len(of) > 1]
        if two:
            mixtures.setdefault("; ".join(two), []).append(job)
    return [f"{_all_of(of)}: made by more than one version: {two}" for two, of in mixtures.items()]


def code_state(job: dict) -> str:
    """The commit of a job's code, and the hash of the difference from it where there was one."""
    git = job.get("git") or {}
    if "commit" not in git:
        return "no git checkout"
    difference = git.get("difference_sha256")
    return git["commit"][:12] + (
        f" + changes {difference[:12]}" if difference else " + changes" * bool(git.get("dirty"))
    )


def arm_of(run: dict) -> str:
    """The arm that a run is of, as the metrics call it."""
    return run.get("name", run["objective"])  # runs of older versions have no name of their own


def incomplete_metrics(folder: Folder) -> list[str]:
    """A sentence for each experiment some of whose seeds or problems are missing from its metrics."""
    sentences = []
    for job in unique(folder.manifests):
        runs, experiment = job["params"].get("runs"), job["params"].get("experiment")
        file = folder.file(job["outputs"][0]["path"])
        if job["rule"] != "measure" or not isinstance(experiment, dict) or not file.is_file():
            continue
        try:
            metrics = pd.read_csv(file)
            found = set(metrics[["arm", "seed", "k"]].itertuples(index=False, name=None))
            numbers = sorted(set(metrics["n_problems"]))
        except (ValueError, KeyError, OSError):  # altered, which is said elsewhere
            continue
        wanted = {(arm_of(run), run["seed"], k) for run in runs for k in experiment["ks"]}
        seeds = {name: sorted({run["seed"] for run in runs if arm_of(run) == name}) for name, _, _ in wanted}
        missing = sorted(wanted - found)
        if missing:
            name, seed, k = missing[0]
            sentences.append(f"{file}: no value of {name}, seed {seed}, at k = {k} ({len(missing)} are missing)")
        if len(set(map(tuple, seeds.values()))) > 1:
            least = min(seeds, key=lambda name: len(seeds[name]))
            sentences.append(f"{file}: {least} has seeds {seeds[least]} alone, others have more")
        if len(numbers) > 1:
            sentences.append(f"{file}: runs were measured on different numbers of problems: {numbers}")
    return sentences


def _artifact_files(folder: Folder) -> Iterator[Path]:
    """Files of a folder that should have a manifest."""
    beside = tuple(BESIDE) if folder.is_reference else BY_PRODUCTS
    if folder.kind == "bundle":  # jobs that draw again from it run in it
        beside += (*BY_PRODUCTS, SETTINGS)
    for file in sorted(folder.root.rglob("*")):
        part = file.relative_to(folder.root).parts[0]
        provenance = manifest_folder(folder.root).name
        if not file.is_dir() and part not in (*beside, provenance) and file.name != ".snakemake_timestamp":
            yield file


def read_without_manifest(folder: Folder, jobs: Iterable[dict]) -> Iterator[tuple[dict, dict]]:
    """Inputs that no manifest names, each with the manifest of the job that read it."""
    for job in jobs:
        for entry in job["inputs"]:
            if entry["path"] not in folder.manifests:
                yield entry, job


def _compare_outside(folder: Folder, jobs: Iterable[dict]) -> tuple[list[tuple[Path, str]], list[str]]:
    """Sentences on inputs from outside the folder that are another version now, each with the file that was compared,
    and on those that are not there."""
    readers: dict[tuple[str, str], list[dict]] = {}
    for entry, job in read_without_manifest(folder, jobs):
        if not folder.holds(entry["path"]):
            readers.setdefault((entry["path"], entry["sha256"]), []).append(job)
    lying = {path: folder.source(path) for path, _ in readers}
    now = {path: describe(file)["sha256"] for path, file in lying.items() if file.exists()}
    other = [
        (
            lying[path],
            f"{path}: its SHA-256 is {now[path][:12]}..., it was {sha256[:12]}... when it was read for {all_made(of)}",
        )
        for (path, sha256), of in sorted(readers.items())
        if now.get(path, sha256) != sha256
    ]
    missing = [
        f"{path} is not here, and so not compared with what was read for {all_made(of)}"
        for (path, _), of in sorted(readers.items())
        if path not in now
    ]
    return other, missing


def _by_path(pairs: Iterable[tuple[str, dict]]) -> list[tuple[str, list[dict]]]:
    grouped: dict[str, list[dict]] = {}
    for name, job in pairs:
        grouped.setdefault(name, []).append(job)
    return list(grouped.items())


def all_made(jobs: list[dict]) -> str:
    return made_by(jobs[0]) + (f", and for {len(jobs) - 1} other jobs" if len(jobs) > 1 else "")


def _all_of(jobs: list[dict]) -> str:
    """What some jobs made, as the subject of a sentence."""
    return made_by(jobs[0]) + (f", and what {len(jobs) - 1} other jobs made" if len(jobs) > 1 else "")


def owner(folder: Folder, path: Path) -> str:
    """The artifact that a path is, or is a part of, as manifests call it.

    Raises:
        NoAnswer: it is no artifact, or no manifest names it.
    """
    part = path.relative_to(folder.root).parts[0]
    if part in BY_PRODUCTS and not folder.is_reference:
        raise NoAnswer(f"{path}: a by-product ({part}), of which no manifest is kept")
    if folder.is_reference and str(path.relative_to(folder.root)) in BESIDE:
        raise NoAnswer(f"{path}: {BESIDE[part]}")
    if part == manifest_folder(folder.root).name:
        made = [name for name, file in folder.manifests.files.items() if file == path]
        raise NoAnswer(f"{path}: " + (f"the manifest of {', '.join(made)}" if made else "no manifest in use"))
    for above in (path, *path.parents):
        if above.is_relative_to(folder.root) and folder.name(above) in folder.manifests:
            return folder.name(above)
    if path.is_dir():
        raise NoAnswer(f"{path}: a part of {folder.root}; wanted that folder, or one artifact of it")
    unreadable = folder.manifests.unreadable
    more = [f"{len(unreadable) - 1} other manifests cannot be read either"] if len(unreadable) > 1 else []
    raise NoAnswer("; ".join([f"{path}: no manifest says where it came from", *unreadable[:1], *more]))
