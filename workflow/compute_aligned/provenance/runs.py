"""The runs of a job that goes through several seeds: what each is made from, and which are there already.

Snakemake deletes all outputs of a job before it starts it again, those of finished runs, too. So what lies there is
linked into ``checkpoints/kept`` first, and the job takes what is still what it would make: the same rule, settings,
code, inputs and the manifests behind them, and content that is what the manifest of its own says. That manifest stays.
"""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from .hashing import describe
from .manifests import manifests_behind
from .writing import remove

KEPT = Path("checkpoints", "kept")


def seed_of(path: str) -> int | None:
    """The seed of the run that a file or folder belongs to; None of one that several runs share."""
    found = re.fullmatch(r"seed(\d+)", Path(path).stem)
    return int(found[1]) if found else None


def seeds_of(paths: Iterable[str]) -> list[int]:
    """The seeds of the runs that some files belong to, each once, in their order."""
    return list(dict.fromkeys(seed for seed in map(seed_of, paths) if seed is not None))


def of_runs(paths: Iterable[str]) -> list[Path]:
    """The files and folders that belong to one run each."""
    return [Path(path) for path in paths if seed_of(path) is not None]


def of_seeds(job: dict, seeds: Sequence[int]) -> dict:
    """The part of a job that makes the runs of some seeds, in the order of these.

    Args:
        job: its params, of which every list has an entry per run, and the entries of its inputs and outputs; those of a
            run follow each other as its params do.
        seeds: of runs that the job makes.

    Returns:
        the params, inputs and outputs; of a job that makes no runs, all of them.
    """
    order = seeds_of(entry["path"] for entry in job["outputs"])
    if not order:
        return {key: job[key] for key in ("params", "inputs", "outputs")}
    rank = {seed: place for place, seed in enumerate(seeds)}

    def chosen(entries: list[dict]) -> list[dict]:
        found = [(seed_of(entry["path"]), entry) for entry in entries]
        own = sorted((pair for pair in found if pair[0] in rank), key=lambda pair: rank[pair[0]])
        return [entry for seed, entry in found if seed is None] + [entry for _, entry in own]

    places = [order.index(seed) for seed in seeds]
    params = {key: [v[i] for i in places] if isinstance(v, list) else v for key, v in job["params"].items()}
    return {"params": params, "inputs": chosen(job["inputs"]), "outputs": chosen(job["outputs"])}


def named(seeds: Sequence[int]) -> str:
    """Seeds as text, fit for a file name: 1-5,7."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


# --- what is there already -------------------------------------------------------------------------------------------


def keep(paths: Iterable[str], root: Path) -> None:
    """Link runs' files and folders where Snakemake deletes nothing; what it keeps of them already gives way."""
    for path in of_runs(paths):
        if path.exists():
            _link(path, _kept(path, root))


def put_back(paths: Iterable[str], root: Path) -> bool:
    """Link back what was kept of a job's outputs, where Snakemake has deleted them; whether anything was."""
    kept = [path for path in of_runs(paths) if _kept(path, root).exists()]
    for path in kept:
        if not path.exists():
            _link(_kept(path, root), path)
    return bool(kept)


def forget(paths: Iterable[str], root: Path) -> None:
    """Remove what was kept of a job's outputs, once all of them are made."""
    for path in of_runs(paths):
        kept = _kept(path, root)
        remove(kept)
        with contextlib.suppress(OSError):  # a folder that is not empty
            for folder in list(kept.parents)[: len(kept.relative_to(root).parts) - 2]:
                folder.rmdir()


def entries_of(paths: Iterable[str]) -> list[dict]:
    """Paths, each as an entry without more, as manifests have them."""
    return [{"path": str(path)} for path in dict.fromkeys(paths)]


def described(snakemake, inputs: list[dict]) -> dict:
    """What a job is given, as its manifest would say it, with the paths of its outputs."""
    params = json.loads(json.dumps(dict(snakemake.params.items())))
    return {"params": params, "inputs": inputs, "outputs": entries_of(snakemake.output)}


def made_already(snakemake, inputs: list[dict], root: Path) -> dict[int | None, Path]:
    """The seeds whose outputs are there, and as the manifest of a job of the same rule, params and inputs says.

    Args:
        snakemake: what Snakemake gives the job's script.
        inputs: the descriptions of its inputs.
        root: the results folder.

    Returns:
        seed -> file of that manifest; of a job that makes no runs, only None, if that is so of all its outputs.
    """
    there = [describe(Path(path)) for path in snakemake.output if Path(path).exists()]
    manifests = manifests_behind([entry["path"] for entry in there], root)
    now, made = described(snakemake, inputs), {}
    for seed in seeds_of(snakemake.output) or [None]:
        wanted = of_seeds(now, [seed])
        own = [entry["path"] for entry in wanted["outputs"]]
        wanted["outputs"] = [entry for entry in there if entry["path"] in own]
        files = {manifests.files[path] for path in own if path in manifests}
        if len(wanted["outputs"]) == len(own) and len(files) == 1:
            job = manifests[own[0]]
            same = job["rule"] == snakemake.rule and _but_seeds(job["wildcards"]) == _but_seeds(snakemake.wildcards)
            if same and of_seeds(job, [seed]) == wanted:
                made[seed] = files.pop()
    return made


def narrow(snakemake, seeds: Sequence[int]) -> None:
    """Leave a job the runs of some of its seeds alone: in its params, and in its named lists of inputs and outputs."""
    order = seeds_of(snakemake.output)
    places = [place for place, seed in enumerate(order) if seed in seeds]
    for value in snakemake.params:
        if isinstance(value, list):
            value[:] = [value[place] for place in places]  # Snakemake gives them again with each look at `params`
    snakemake.input = _of_runs(snakemake.input, places)
    snakemake.output = _of_runs(snakemake.output, places)


def _of_runs(files, places: Sequence[int]):
    """The part of Snakemake's named list: of each list in it, and of what has no name, the entries at some places."""
    names = {name: (start, end) for name, (start, end) in files._names.items()}
    lists = [range(start, end) for start, end in names.values() if end is not None] or [range(len(files))]
    left = [i for i in range(len(files)) if all(i not in one or i - one.start in places for one in lists)]
    part = type(files)()
    part.extend(files[i] for i in left)
    for name, (start, end) in names.items():
        part._set_name(name, sum(i < start for i in left), end if end is None else sum(i < end for i in left))
    return part


def _but_seeds(wildcards) -> dict[str, str]:
    return {key: str(value) for key, value in wildcards.items() if key not in ("seed", "seeds")}


def _kept(path: Path, root: Path) -> Path:
    return root / KEPT / path.relative_to(root)


def _link(source: Path, target: Path) -> None:
    """A copy of a file or folder that takes no space, where the disk has hard links."""
    remove(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        ignored = shutil.ignore_patterns(".snakemake_timestamp")
        shutil.copytree(source, target, copy_function=_link_file, ignore=ignored)
    else:
        _link_file(source, target)


def _link_file(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
