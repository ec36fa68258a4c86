"""Where every artifact came from: one manifest per job, code hashes, and the check of a job's inputs."""

import ast
import contextlib
import datetime
import functools
import gc
import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

PACKAGE = Path(__file__).parent
PACKAGES_RECORDED = (
    "accelerate bitsandbytes datasets gguf math-verify matplotlib numpy pandas peft pyarrow scipy snakemake "
    "tokenizers torch transformers trl vllm"
).split()
# Where the Snakefile tells its jobs how long Snakemake waits for files that a network disk shows late, in seconds.
LATENCY_WAIT = "COMPUTE_ALIGNED_LATENCY_WAIT"


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe(path: Path) -> dict:
    """Size in bytes and SHA-256 of a file; of a folder also those of each file in it.

    A folder's SHA-256 is that of the sorted list of its files' paths and hashes.

    Raises:
        ValueError: there is nothing at the path.
    """
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder")
    if path.is_file():
        return {"path": str(path), "size": path.stat().st_size, "sha256": sha256_file(path)}
    # Snakemake marks a finished folder with a time stamp file of its own.
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and file.name != ".snakemake_timestamp"]
    entries = [describe(file) | {"path": str(file.relative_to(path))} for file in files]
    listing = "".join(f"{entry['path']} {entry['sha256']}\n" for entry in entries)
    return {
        "path": str(path),
        "size": sum(entry["size"] for entry in entries),
        "sha256": hashlib.sha256(listing.encode()).hexdigest(),
        "files": entries,
    }


def hash_settings(*values) -> str:
    """A short hash of plain values, for naming folders that must belong to these values alone."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


# --- code ------------------------------------------------------------------------------------------------------------


def code_hash(script: Path, unused: Sequence[str] = ()) -> str:
    """Hash of the parsed source of a script and of the package modules that it imports, directly or not.

    Comments, blank lines and docstrings do not count; so a rule reruns when, and only when, its code changed.

    Args:
        script: the script.
        unused: names of package modules that are imported and not run by the job, nor what they import in turn.
    """
    pending, seen = [Path(script)], {}
    while pending:
        path = pending.pop()
        if path in seen or (path.parent == PACKAGE and path.stem in unused):
            continue
        seen[path], imported = _read_source(path, path.read_text(), PACKAGE)
        pending += imported
    source = "\0".join(seen[path] for path in sorted(seen, key=str))
    return hashlib.sha256(source.encode()).hexdigest()[:16]


@functools.cache  # a plan asks for the same modules once a rule, and once a training job
def _read_source(path: Path, text: str, package: Path) -> tuple[str, list[Path]]:
    """A module's source without comments and docstrings, and the modules of the package that it imports."""
    tree = ast.parse(text)
    imported = _imported_modules(tree, path, package)
    return ast.unparse(_without_docstrings(tree)), imported


def _imported_modules(tree: ast.Module, path: Path, package: Path) -> list[Path]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:  # relative import: resolve against the package
                parents = path.relative_to(package.parent).with_suffix("").parts[: -node.level]
                module = ".".join([*parents, *([module] if module else [])])
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    found = set()
    for name in names:
        parts = name.split(".")
        if parts[0] != package.name:
            continue
        for end in range(1, len(parts) + 1):  # importing a module runs the packages above it too
            base = package.parent.joinpath(*parts[:end])
            found |= {file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()}
    return sorted(found)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    return tree


# --- manifests -------------------------------------------------------------------------------------------------------


class UnverifiedArtifact(ValueError):
    """An artifact whose manifest is missing or whose content differs from its manifest."""


def manifest_folder(root: Path) -> Path:
    """Where the manifests of a results folder lie."""
    return root / "provenance"


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
        try:
            manifests.add(json.loads(file.read_text()), file)
        except (ValueError, OSError) as error:
            manifests.unreadable.append(f"{file}: cannot be read as a manifest ({error})")
    return manifests


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


# --- chains ----------------------------------------------------------------------------------------------------------


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


# --- jobs ------------------------------------------------------------------------------------------------------------


def described_inputs(paths: Iterable[str], root: Path, patience: float) -> list[dict]:
    """The descriptions of a job's inputs, each verified; of an artifact also the digest of its manifest.

    All jobs that led to them must have read what is on record now. On a network disk a manifest may be seen seconds
    after what it describes: what is missing or does not match is looked at again until it does.

    Args:
        paths: the inputs; those outside the results folder have no manifest.
        root: the results folder.
        patience: how long to look again, in seconds.

    Raises:
        UnverifiedArtifact: an input, or what it was made from, is not what the manifests say.
    """
    found = {path: describe(Path(path)) for path in paths if not Path(path).is_relative_to(root)}
    artifacts = [path for path in dict.fromkeys(paths) if path not in found]
    deadline = time.monotonic() + patience
    while artifacts:  # without any, no manifest need be read
        manifests = load_manifests(root)
        try:
            for path in artifacts:
                if path not in found:
                    found[path] = verify(Path(path), manifests)
            false = [link for made in jobs_behind(artifacts, manifests) for link in false_links(made, manifests)]
            if false:
                raise UnverifiedArtifact(false[0])
            for path in artifacts:
                found[path]["manifest"] = manifest_digest(manifests[path])
            break
        except UnverifiedArtifact as error:
            if time.monotonic() >= deadline:
                one_may_be_its = manifests.unreadable if any(path not in manifests for path in artifacts) else []
                raise UnverifiedArtifact("; ".join([str(error), *one_may_be_its])) from error
            time.sleep(1)
    return [found[path] for path in dict.fromkeys(paths)]


@contextlib.contextmanager
def job(snakemake, lease=None) -> Iterator[dict]:
    """Run a script's work as a documented job: verified inputs, a log, one clear sentence on failure, a manifest.

    Everything printed goes to the rule's log. On an error the terminal gets one sentence, the log the traceback, and
    the exit code is 1. On success the manifest is written last.

    Args:
        snakemake: what Snakemake gives its scripts.
        lease: of a job that may have one writer only (``lease.Lease``). It is held until the manifest is written. Where
            another process held it first and has made these very outputs, the script ends here, with exit code 0.

    Yields:
        a dict of facts to be kept in the manifest (plain values).
    """
    log = Path(snakemake.log[0])
    root = next(parent.parent for parent in log.parents if parent.name == "logs")
    name = "_".join(snakemake.wildcards) or "all"
    target = manifest_folder(root) / snakemake.rule / f"{name.replace('/', '_')}.json"
    facts: dict = {}
    start = datetime.datetime.now(datetime.UTC)
    with _output_to(log, snakemake.rule) as terminal, contextlib.ExitStack() as held:

        def say(line: str) -> None:
            print(line, flush=True)
            with contextlib.suppress(OSError):  # of a controller that is gone
                print(f"{snakemake.rule} {line}", file=terminal, flush=True)

        try:
            if lease is None or held.enter_context(lease.held(say)):
                os.ftruncate(1, 0)  # no other job writes into this log
            inputs = described_inputs(snakemake.input, root, patience=float(os.environ.get(LATENCY_WAIT, 0)))
            if lease is not None and _is_made(snakemake, inputs, target):
                say("takes what another job has made of the same code, settings and inputs in the meantime")
                sys.exit(0)
            gc.freeze()  # what was imported stays: the collections of each training run need not go through it
            yield facts
            if lease is not None:
                lease.check()
            manifest = {
                "rule": snakemake.rule,
                "wildcards": dict(snakemake.wildcards.items()),
                "params": dict(snakemake.params.items()),
                "inputs": inputs,
                "outputs": [describe(Path(path)) for path in snakemake.output],
                "facts": facts,
                "started": start.isoformat(),
                "ended": datetime.datetime.now(datetime.UTC).isoformat(),
                "threads": snakemake.threads,
                **environment(),
            }
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".partial")
            partial.write_text(json.dumps(manifest, indent=1) + "\n")
            for stream in (sys.stdout, sys.stderr):
                stream.flush()  # a log that cannot be written is an error as long as there is no manifest
            partial.rename(target)
            held.close()
        except Exception as error:
            sentence = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            if isinstance(error, OSError) and error.filename is None:  # as of a write to a full disk
                sentence += f", while {log}, the outputs or their manifest were written"
            try:
                traceback.print_exc()
                sys.stdout.flush()
                told = f"traceback: {log}"
            except OSError as full:
                told = f"no traceback: {log}: {full.strerror}"
            with contextlib.suppress(OSError):
                print(f"\n{snakemake.rule}: {sentence}\n({told})", file=terminal, flush=True)
            sys.exit(1)


def _is_made(snakemake, inputs: list[dict], target: Path) -> bool:
    """Whether the outputs are there, and as the manifest of a job of the same rule, params and inputs says."""
    wanted = {
        "rule": snakemake.rule,
        "wildcards": dict(snakemake.wildcards.items()),
        "params": dict(snakemake.params.items()),
        "inputs": inputs,
    }
    try:
        manifest = json.loads(target.read_text())
        wanted["outputs"] = [describe(Path(path)) for path in snakemake.output]
        return {key: manifest[key] for key in wanted} == json.loads(json.dumps(wanted))
    except (OSError, ValueError, TypeError, KeyError):  # a file is missing or cut
        return False


@contextlib.contextmanager
def _output_to(log: Path, rule: str) -> Iterator:
    """Send this process' standard output and error to the end of a file; yields the terminal's standard error."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError as error:
        print(f"\n{rule}: {error.filename}: {error.strerror}; nothing was done", file=sys.stderr, flush=True)
        sys.exit(1)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with os.fdopen(os.dup(2), "w") as terminal:
        os.dup2(file, 1)
        os.dup2(file, 2)
        os.close(file)
        try:
            yield terminal
        finally:
            _empty_buffers()
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)


def _empty_buffers() -> None:
    """Write what this process printed; on a full disk drop it, or the interpreter would try again at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
            stream.flush()


def environment() -> dict:
    """What ran the job: code version, packages, interpreter, machine, accelerator, Slurm job, peak memory."""
    torch = sys.modules.get("torch")  # a job that did not need torch is not made to import it
    gpu = torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None
    return {
        "git": git_state(),
        "packages": installed_versions(),
        "python": platform.python_version(),
        "interpreter": sys.executable,
        "host": platform.node(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "gpu": gpu,
        "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def installed_versions() -> dict[str, str]:
    """Versions of the packages that bear on numbers, as far as they are installed."""
    versions = {}
    for name in PACKAGES_RECORDED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def other_versions(jobs: Iterable[dict]) -> list[str]:
    """A sentence for each package and version, other than the one installed here, that some jobs ran with."""
    installed = installed_versions()
    made: dict[tuple[str, str], list[str]] = {}
    for manifest in jobs:
        for name, version in manifest.get("packages", {}).items():
            if installed.get(name, version) != version:  # a job may have had an environment of its own, with more in it
                made.setdefault((name, version), []).extend(entry["path"] for entry in manifest["outputs"])
    return [
        f"{name}: {len(paths)} artifacts were made with {version}, such as {paths[0]}; installed is {installed[name]}"
        for (name, version), paths in sorted(made.items())
    ]


def git_state() -> dict | None:
    """Commit, whether files were changed or new, and the hash of the difference; None outside a git checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(PACKAGE), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    try:
        changed = git("status", "--porcelain")  # new files count, too
        difference = changed + git("diff", "HEAD")
        return {
            "commit": git("rev-parse", "HEAD").strip(),
            "dirty": bool(changed),
            "difference_sha256": hashlib.sha256(difference.encode()).hexdigest() if changed else None,
        }
    except (OSError, subprocess.CalledProcessError):
        return None
