"""Manifests: what each artifact was made from, read, verified and followed back."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from .hashing import describe
from .writing import whole


class UnverifiedArtifact(ValueError):
    """An artifact whose manifest is missing or whose content differs from its manifest."""


def manifest_folder(root: Path) -> Path:
    """Where the manifests of a results folder lie."""
    return root / "provenance"


def manifest_file(root: Path, rule: str, wildcards: Iterable[str]) -> Path:
    """Where the manifest of a job goes, by its rule and the values of its wildcards."""
    name = "_".join(wildcards) or "all"
    return manifest_folder(root) / rule / f"{name.replace('/', '_')}.json"


def results_folder(log: Path) -> Path:
    """The results folder of a job, by its log."""
    return next(parent.parent for parent in log.parents if parent.name == "logs")


class Manifests(dict[str, dict]):
    """The manifest of each artifact, by the path that the manifest gives it; of several, the one that ended last.

    Attributes:
        files: the file of each artifact's manifest.
        unreadable: a sentence for each file that should be a manifest and is none.
    """

    def __init__(self):
        super().__init__()
        self.files: dict[str, Path] = {}
        self.unreadable: list[str] = []

    def add(self, manifest: object, file: Path) -> None:
        """Take in what was read from a file; an artifact's older manifest gives way.

        Raises:
            ValueError: it is not a manifest.
        """
        _check_manifest(manifest)
        for entry in manifest["outputs"]:
            known = self.get(entry["path"])
            if known is None or known.get("ended", "") <= manifest.get("ended", ""):
                self[entry["path"]], self.files[entry["path"]] = manifest, file

    def read(self, file: Path) -> None:
        """Take in a manifest's file.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not a manifest.
        """
        self.add(json.loads(file.read_text()), file)


def _check_manifest(manifest: object) -> None:
    kinds = {"rule": str, "wildcards": dict, "params": dict, "inputs": list, "outputs": list}
    if not isinstance(manifest, dict):
        raise ValueError(f"found a {type(manifest).__name__}, wanted a mapping with {', '.join(kinds)}")
    for key, kind in kinds.items():
        if not isinstance(manifest.get(key), kind):
            raise ValueError(f"{key} is a {type(manifest.get(key)).__name__}, wanted a {kind.__name__}")
    for key, kind in {"started": str, "ended": str, "packages": dict, "git": dict | None}.items():  # as far as given
        if key in manifest and not isinstance(manifest[key], kind):
            raise ValueError(f"{key} is a {type(manifest[key]).__name__}")
    for entry in manifest["inputs"] + manifest["outputs"]:
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("path", "sha256")):
            raise ValueError("an input or output is no mapping with path and sha256")


def load_manifests(root: Path) -> Manifests:
    """All manifests of a results folder; files that are cut or hold something else are listed as unreadable."""
    manifests = Manifests()
    for file in sorted(manifest_folder(root).rglob("*.json")):
        if file.name.startswith("."):  # one that another job is writing
            continue
        try:
            manifests.read(file)
        except (ValueError, OSError) as error:
            manifests.unreadable.append(f"{file}: cannot be read as a manifest ({error})")
    return manifests


def manifests_behind(artifacts: Iterable[str], root: Path) -> Manifests:
    """The manifests of the jobs that led to some artifacts, found by the jobs' notes (``note_maker``) alone.

    A results folder of thousands of jobs is not read for the few that one of them stands on. Where a note is missing,
    as in results made before there were notes, or names no manifest of its artifact, all manifests are read.
    """
    manifests, pending, seen, files = Manifests(), deque(artifacts), set(), set()
    while pending:
        name = pending.popleft()
        if name in seen or not Path(name).is_relative_to(root):  # nobody made what lies outside
            continue
        seen.add(name)
        try:
            file = manifest_folder(root) / _note(root, name).read_text().strip()
            if file not in files:
                manifests.read(file)
                files.add(file)
            pending += [entry["path"] for entry in manifests[name]["inputs"]]
        except (OSError, ValueError, KeyError):
            return load_manifests(root)
    return manifests


def note_maker(manifest: dict, file: Path, root: Path) -> None:
    """Note for each output of a job which manifest tells of it: ``provenance/made_by/<output>.txt``.

    Args:
        manifest: the job's.
        file: where it lies.
        root: the results folder.
    """
    for entry in manifest["outputs"]:
        if Path(entry["path"]).is_relative_to(root):
            with whole(_note(root, entry["path"])) as partial:
                partial.write_text(f"{file.relative_to(manifest_folder(root))}\n")


def _note(root: Path, name: str) -> Path:
    return manifest_folder(root) / "made_by" / f"{Path(name).relative_to(root)}.txt"


def readable_manifests(root: Path) -> Manifests:
    """All manifests of a results folder, where none may be missing.

    Raises:
        ValueError: one of them cannot be read.
    """
    manifests = load_manifests(root)
    if manifests.unreadable:
        raise ValueError(manifests.unreadable[0])
    return manifests


def manifest_digest(manifest: dict) -> str:
    """SHA-256 of what a manifest says of its job: rule, wildcards, params, and the hashes of inputs and outputs.

    Each input's entry holds the digest of the manifest of the job that made it, so that this one stands for all that
    led to the outputs. Times, machine, versions and facts do not count: a job that is run again and makes the same
    from the same keeps its digest.
    """
    keys = ("path", "sha256", "manifest")
    said = {key: manifest[key] for key in ("rule", "wildcards", "params")} | {
        side: [{key: entry[key] for key in keys if key in entry} for entry in manifest[side]]
        for side in ("inputs", "outputs")
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def root_hashes(names: Iterable[str], manifests: dict[str, dict]) -> dict[str, str]:
    """The root hash of each of some artifacts: one value that stands for it and all that led to it.

    It is the ``manifest_digest`` of the job that made the artifact, with the root hashes of its inputs in the place of
    the digests that were on record when it read them: as long as nothing was changed since, the very same. So it
    changes with the content of any file and any manifest on the way. It holds what ``manifest_digest`` holds: no time,
    no machine, and no place but the paths and settings that jobs were given, which start where Snakemake ran.

    Args:
        names: the artifacts, as the manifests call them.
        manifests: ``load_manifests``, or those of a reference or bundle.

    Raises:
        KeyError: no manifest names one of them.
        ValueError: manifests say of a job that it read what was made from its own outputs.
    """
    roots: dict[int, str] = {}

    def root(job: dict, above: frozenset[int] = frozenset()) -> str:
        if id(job) in above:
            raise ValueError(f"{made_by(job)}: its manifest and those behind it name each other as their inputs")
        if id(job) not in roots:
            inputs = [
                entry | {"manifest": root(manifests[entry["path"]], above | {id(job)})}
                if entry["path"] in manifests
                else entry
                for entry in job["inputs"]
            ]
            roots[id(job)] = manifest_digest(job | {"inputs": inputs})
        return roots[id(job)]

    return {name: root(manifests[name]) for name in names}


def recorded_output(manifest: dict, name: str) -> dict:
    """The entry of one of a manifest's outputs."""
    return next(entry for entry in manifest["outputs"] if entry["path"] == name)


def verify(path: Path, manifests: dict[str, dict], name: str | None = None) -> dict:
    """The description of an artifact, once its content is found to be what its manifest says.

    Args:
        path: the artifact.
        manifests: ``load_manifests``.
        name: the artifact's path in the manifests, where it was moved or copied since.

    Raises:
        UnverifiedArtifact: no manifest names it, or the hash differs.
    """
    name = str(path) if name is None else name
    found = describe(path)
    manifest = manifests.get(name)
    if manifest is None:
        raise UnverifiedArtifact(
            f"{path}: no manifest says where it came from; delete it and let Snakemake make it again"
        )
    recorded = recorded_output(manifest, name)
    if recorded["sha256"] != found["sha256"]:
        raise UnverifiedArtifact(
            f"{path}: its SHA-256 is {found['sha256'][:12]}..., its manifest says {recorded['sha256'][:12]}...; "
            "it was changed after it was made; delete it and let Snakemake make it again"
        )
    return found


def jobs_behind(
    names: Iterable[str], manifests: dict[str, dict], wanted: Callable[[str], bool] = lambda name: True
) -> list[dict]:
    """The manifests of all jobs that led to some artifacts, nearest first, each once.

    Args:
        names: the artifacts.
        manifests: ``load_manifests``.
        wanted: path of an input -> whether to follow it.
    """
    found, pending = {}, deque(names)
    while pending:
        manifest = manifests.get(pending.popleft())
        if manifest is not None and id(manifest) not in found:
            found[id(manifest)] = manifest
            pending += [entry["path"] for entry in manifest["inputs"] if wanted(entry["path"])]
    return list(found.values())


def made_by(job: dict) -> str:
    """What a job made, as the subject of a sentence."""
    return _first_of(job["outputs"])


def _first_of(entries: list[dict]) -> str:
    return entries[0]["path"] + (f" and {len(entries) - 1} more of its job" if len(entries) > 1 else "")


def false_links(job: dict, manifests: dict[str, dict]) -> list[str]:
    """A sentence for each job whose outputs are on record as something else than what another job read.

    Inputs that were made again since with the same content are none (``remade_inputs``).
    """
    sentences = []
    for source, entries in _sources(job, manifests):
        other = [entry for entry in entries if recorded_output(source, entry["path"])["sha256"] != entry["sha256"]]
        if other:
            age = "an older" if _ended_after(source, job) else "another"
            now = recorded_output(source, other[0]["path"])["sha256"]
            sentences.append(
                f"{made_by(job)}: made from {age} version of {_first_of(other)} (SHA-256 {other[0]['sha256'][:12]}...) "
                f"than the one on record now ({now[:12]}...); delete it and let Snakemake make it again"
            )
        elif _told_otherwise(entries, source) and not _ended_after(source, job):
            sentences.append(
                f"{_first_of(entries)}: its manifest was changed after {made_by(job)} was made from it; "
                "delete it and let Snakemake make it again"
            )
    return sentences


def remade_inputs(job: dict, manifests: dict[str, dict]) -> list[str]:
    """The inputs that were made again since a job read them, in another way with the same content; one per job."""
    return [
        _first_of(entries)
        for source, entries in _sources(job, manifests)
        if all(recorded_output(source, entry["path"])["sha256"] == entry["sha256"] for entry in entries)
        and _told_otherwise(entries, source)
        and _ended_after(source, job)
    ]


def _sources(job: dict, manifests: dict[str, dict]) -> list[tuple[dict, list[dict]]]:
    """The manifests of the jobs that made a job's inputs, each with the inputs that it made."""
    grouped: dict[int, tuple[dict, list[dict]]] = {}
    for entry in job["inputs"]:
        if entry["path"] in manifests:
            source = manifests[entry["path"]]
            grouped.setdefault(id(source), (source, []))[1].append(entry)
    return list(grouped.values())


def _told_otherwise(entries: list[dict], source: dict) -> bool:
    # Manifests of the time before digests were recorded hold none.
    digest = manifest_digest(source)
    return any(entry.get("manifest", digest) != digest for entry in entries)


def _ended_after(source: dict, job: dict) -> bool:
    return source.get("ended", "") > job.get("started", "")
