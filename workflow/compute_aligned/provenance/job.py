"""A job's frame: inputs verified, outputs and surroundings recorded, errors as sentences, output in the log."""

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
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import runs
from .hashing import PACKAGE, describe, known
from .manifests import (
    Manifests,
    UnverifiedArtifact,
    false_links,
    jobs_behind,
    load_manifests,
    manifest_digest,
    manifest_file,
    manifests_behind,
    note_maker,
    results_folder,
    verify,
)
from .writing import whole

PACKAGES_RECORDED = (
    "accelerate bitsandbytes datasets gguf math-verify matplotlib numpy pandas peft pyarrow reasoning-gym scipy "
    "snakemake tokenizers torch transformers trl vllm"
).split()
# Where the Snakefile tells its jobs how long Snakemake waits for files that a network disk shows late, in seconds.
LATENCY_WAIT = "COMPUTE_ALIGNED_LATENCY_WAIT"


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
    fault = None
    for manifests in _looks(artifacts, root, patience):
        try:
            for path in artifacts:
                if path not in found:
                    found[path] = verify(Path(path), manifests)
            false = [link for made in jobs_behind(artifacts, manifests) for link in false_links(made, manifests)]
            if false:
                raise UnverifiedArtifact(false[0])
            for path in artifacts:
                found[path]["manifest"] = manifest_digest(manifests[path])
            return [found[path] for path in dict.fromkeys(paths)]
        except UnverifiedArtifact as error:
            fault = error
    one_may_be_its = manifests.unreadable if any(path not in manifests for path in artifacts) else []
    raise UnverifiedArtifact("; ".join([str(fault), *one_may_be_its])) from fault


def _looks(artifacts: list[str], root: Path, patience: float) -> Iterator[Manifests]:
    """What to hold artifacts against: their own manifests; if these do not fit, all there are, until patience ends."""
    deadline = time.monotonic() + patience
    yield manifests_behind(artifacts, root)
    while True:
        yield load_manifests(root)
        if time.monotonic() >= deadline:
            return
        time.sleep(1)


@contextlib.contextmanager
def job(snakemake, lease=None) -> Iterator[dict]:
    """Run a script's work as a documented job: verified inputs, a log, one clear sentence on failure, a manifest.

    Everything printed goes to the rule's log. On an error the terminal gets one sentence, the log the traceback, and
    the exit code is 1. On success the manifest is written last.

    Args:
        snakemake: what Snakemake gives its scripts.
        lease: of a job that may have one writer only (``lease.Lease``). It is held until the manifest is written. Where
            another process held it first and has made these very outputs, the script ends here, with exit code 0.

    Of a job that goes through several seeds, those whose runs are there already are taken as they are: ``snakemake``
    and the manifest are left the others (``runs``).

    Yields:
        a dict of facts to be kept in the manifest (plain values).
    """
    log = Path(snakemake.log[0])
    root = results_folder(log)
    target = manifest_file(root, snakemake.rule, snakemake.wildcards)
    wildcards = dict(snakemake.wildcards.items())
    facts: dict = {}
    start = datetime.datetime.now(datetime.UTC)
    with _output_to(log, snakemake.rule) as terminal, contextlib.ExitStack() as held:

        def say(line: str) -> None:
            print(line, flush=True)
            with contextlib.suppress(OSError):  # of a controller that is gone
                print(f"{snakemake.rule} {line}", file=terminal, flush=True)

        def finish() -> None:
            runs.forget(outputs, root)
            if target.exists():
                os.utime(target)  # by which a controller of Slurm sees that a job did what it should

        try:
            if lease is None or held.enter_context(lease.held(say)):
                os.ftruncate(1, 0)  # no other job writes into this log
            inputs = described_inputs(snakemake.input, root, patience=float(os.environ.get(LATENCY_WAIT, 0)))
            outputs = list(snakemake.output)
            kept = runs.put_back(outputs, root)
            made = runs.made_already(snakemake, inputs, root) if kept or lease is not None else {}
            if made:
                left = [seed for seed in runs.seeds_of(outputs) if seed not in made]
                if left:
                    print(
                        f"seeds {runs.named(made)} are there, of the same code, settings and inputs: taken", flush=True
                    )
                    inputs = runs.of_seeds(runs.described(snakemake, inputs), left)["inputs"]
                    runs.narrow(snakemake, left)
                    if target in made.values():  # the manifest of what was taken, which stays
                        wildcards["seeds"] = runs.named(left)
                else:
                    if not kept:
                        say("takes what another job has made of the same code, settings and inputs in the meantime")
                    finish()
                    sys.exit(0)
            held.enter_context(known(inputs))
            gc.freeze()  # what was imported stays: the collections of each training run need not go through it
            yield facts
            if lease is not None:
                lease.check()
            manifest = {
                "rule": snakemake.rule,
                "wildcards": wildcards,
                "params": dict(snakemake.params.items()),
                "inputs": inputs,
                "outputs": [describe(Path(path)) for path in snakemake.output],
                "facts": facts,
                "started": start.isoformat(),
                "ended": datetime.datetime.now(datetime.UTC).isoformat(),
                "threads": snakemake.threads,
                **environment(),
            }
            file = manifest_file(root, snakemake.rule, wildcards.values())
            with whole(file) as partial:
                partial.write_text(json.dumps(manifest, indent=1) + "\n")
                note_maker(manifest, file, root)
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()  # a log that cannot be written is an error as long as there is no manifest
            finish()
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
