"""Where every artifact came from: one manifest per job, code hashes, and the check of a job's inputs."""

import ast
import contextlib
import datetime
import gc
import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

PACKAGE = Path(__file__).parent
PACKAGES_RECORDED = (
    "accelerate bitsandbytes datasets gguf math-verify matplotlib numpy pandas peft pyarrow scipy snakemake "
    "tokenizers torch transformers trl vllm"
).split()


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
        tree = ast.parse(path.read_text())
        pending += _imported_modules(tree, path)
        seen[path] = ast.unparse(_without_docstrings(tree))
    source = "\0".join(seen[path] for path in sorted(seen, key=str))
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def _imported_modules(tree: ast.Module, path: Path) -> list[Path]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:  # relative import: resolve against the package
                parents = path.relative_to(PACKAGE.parent).with_suffix("").parts[: -node.level]
                module = ".".join([*parents, *([module] if module else [])])
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    found = set()
    for name in names:
        parts = name.split(".")
        if parts[0] != PACKAGE.name:
            continue
        for end in range(1, len(parts) + 1):  # importing a module runs the packages above it too
            base = PACKAGE.parent.joinpath(*parts[:end])
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


def load_manifests(root: Path) -> dict[str, dict]:
    """All manifests of a results folder, by the path of each output."""
    by_output = {}
    for file in sorted(manifest_folder(root).rglob("*.json")):
        manifest = json.loads(file.read_text())
        by_output |= {entry["path"]: manifest for entry in manifest["outputs"]}
    return by_output


def verify(path: Path, manifests: dict[str, dict]) -> dict:
    """The description of an artifact, once its content is found to be what its manifest says.

    Raises:
        UnverifiedArtifact: no manifest names it, or the hash differs.
    """
    found = describe(path)
    manifest = manifests.get(str(path))
    if manifest is None:
        raise UnverifiedArtifact(
            f"{path}: no manifest says where it came from; delete it and let Snakemake make it again"
        )
    recorded = next(entry for entry in manifest["outputs"] if entry["path"] == str(path))
    if recorded["sha256"] != found["sha256"]:
        raise UnverifiedArtifact(
            f"{path}: its SHA-256 is {found['sha256'][:12]}..., its manifest says {recorded['sha256'][:12]}...; "
            "it was changed after it was made; delete it and let Snakemake make it again"
        )
    return found


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
            manifests = load_manifests(root)
            inputs = [
                verify(Path(path), manifests) if Path(path).is_relative_to(root) else describe(Path(path))
                for path in dict.fromkeys(snakemake.input)
            ]
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
    versions = {}
    for name in PACKAGES_RECORDED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    torch = sys.modules.get("torch")  # a job that did not need torch is not made to import it
    gpu = torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None
    return {
        "git": git_state(),
        "packages": versions,
        "python": platform.python_version(),
        "interpreter": sys.executable,
        "host": platform.node(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "gpu": gpu,
        "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


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
