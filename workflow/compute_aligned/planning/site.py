"""What a cluster would refuse later, asked before anything is submitted: its names, torch's build, the hub."""

import getpass
import os
import re
import shutil
import subprocess
from pathlib import Path

import torch

from ..config.files import read_yaml
from ..models.hub import commit_of
from ..models.loading import _runs_on
from .plan import Plan

PROFILE = Path("slurm/config.yaml")
PREFETCH = "`snakemake --cores 2 prefetch` where it can be reached fetches all that a run takes from it"


def site_warnings(profile: Path, runtime: int) -> list[str]:
    """What is wrong with the account and partitions of a cluster's profile, asked of the Slurm here; none without one.

    Args:
        profile: file of a Snakemake profile; one that is not there names nothing.
        runtime: the longest that a job of the preset asks for, in minutes.
    """
    if shutil.which("sbatch") is None:
        return []
    named = _site_keys(profile)
    return _partition_warnings(profile, named["slurm_partition"], runtime) + _account_warnings(
        profile, named["slurm_account"]
    )


def _partition_warnings(profile: Path, named: list[str], runtime: int) -> list[str]:
    said = _asked("scontrol", "--oneliner", "show", "partition")
    if said is None:
        return ["Slurm's controller does not answer `scontrol show partition`, so that partitions could not be checked"]
    partitions = {found[1]: found[0] for found in re.finditer(r"^PartitionName=(\S+).*$", said, flags=re.MULTILINE)}
    known = f"it has {', '.join(partitions)}"
    defaults = [name for name, line in partitions.items() if " Default=YES" in line]
    if not named and not defaults:
        return [f"{profile} names no slurm_partition, and this cluster has no default one; {known}"]
    # A job may name several, of which Slurm takes the first that is free.
    wanted = dict.fromkeys(part for name in named for part in name.split(","))
    warnings = [
        f"this cluster has no partition {name}, which {profile} names as slurm_partition; {known}"
        for name in wanted
        if name not in partitions
    ]
    for name in wanted:
        state = re.search(r" State=(\S+)", partitions.get(name, ""))
        if state and state[1] != "UP":
            warnings.append(f"partition {name}, which {profile} names, is {state[1]} now")
    for name in wanted or defaults:
        limit = re.search(r" MaxTime=(?:(\d+)-)?(\d+):(\d+):\d+", partitions.get(name, ""))  # or UNLIMITED
        days, hours, minutes = (int(part or 0) for part in limit.groups()) if limit else (0, 0, runtime)
        longest = (24 * days + hours) * 60 + minutes
        if runtime > longest:
            warnings.append(
                f"partition {name} ends jobs after {longest} minutes, and the preset's resources ask for up to "
                f"{runtime} (runtime); Slurm holds or refuses such jobs"
            )
    return warnings


def _account_warnings(profile: Path, named: list[str]) -> list[str]:
    user = f"user={getpass.getuser()}"
    said = _asked("sacctmgr", "--noheader", "--parsable2", "show", "associations", user, "format=account")
    if said is None:  # no accounting, and so no accounts
        return []
    accounts = sorted(set(said.split()))
    yours = f"yours are {', '.join(accounts)}" if accounts else "you have none"
    if not named and len(accounts) > 1:
        return [f"{profile} names no slurm_account, so that jobs are charged to your default one; {yours}"]
    unknown = [name for name in dict.fromkeys(named) if name not in accounts]
    # Where Slurm is not told to hold jobs to accounts, users often have none at all.
    return [
        f"this cluster gives you no account {name}, which {profile} names as slurm_account; {yours}" for name in unknown
    ]


def torch_warnings(precisions: set[str], card: str, capability: tuple[int, int]) -> list[str]:
    """What is wrong with this environment's torch for the GPU that jobs ask for.

    Args:
        precisions: of the models that are trained and sampled.
        card: the GPU's name.
        capability: its compute capability.
    """
    warnings = []
    if torch.version.cuda is None:
        warnings.append(
            f"torch {torch.__version__} here is a build without CUDA, and jobs on a GPU partition would not find their "
            "GPU; if the nodes use this environment, install a build with CUDA (docs/gpu.md)"
        )
    else:
        built = _architectures()
        if built and not any(_runs_on(architecture, capability) for architecture in built):
            warnings.append(
                f"torch {torch.__version__} here has no code for {card} (compute capability "
                f"{capability[0]}.{capability[1]}), only for {', '.join(built)} (docs/gpu.md)"
            )
    if "bf16" in precisions and capability < (8, 0):
        warnings.append(f"precision bf16 is not supported by {card}; take fp16 or fp32")
    return warnings


def hub_warnings(plan: Plan) -> list[str]:
    """What a run would take from the hub and cannot: the hub is out of reach, or not to be used."""
    missing = []
    for name in plan.models:
        source = plan.preset["models"][name]["source"]
        if source["kind"] == "hub" and not Path(plan.layout.base_model(name)).exists():
            missing.append((source["id"], source["revision"], "model"))
    for task in plan.tasks:
        source = plan.preset["data"][task].get("source", {})
        made = all(Path(plan.layout.data(task, split)).exists() for split in ("train", "validation", "test"))
        if source.get("hub") and not plan.local_data_files(task) and not made:
            missing.append((source["hub"], source["revision"], "dataset"))
    if not missing:
        return []
    offline = [name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if os.environ.get(name) == "1"]
    if offline:
        names = ", ".join(repository for repository, *_ in missing)
        return [f"{offline[0]} is set, and not fetched yet are {names}: {PREFETCH}"]
    for repository in missing:  # the first says what would be said of the others
        try:
            commit_of(*repository)
        except ValueError as error:
            return [f"{error}: {PREFETCH}"]
    return []


# --- parts -----------------------------------------------------------------------------------------------------------


def _asked(*command: str) -> str | None:
    """What a program prints; None where it is not there or does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _site_keys(profile: Path) -> dict[str, list[str]]:
    """The accounts and partitions that a profile names, for all jobs or for some rules."""
    content = read_yaml(profile) if profile.is_file() else {}
    found = {"slurm_account": [], "slurm_partition": []}
    for where in ("default-resources", "set-resources"):
        entries = content.get(where) or []
        if isinstance(entries, dict):  # rules, or keys, as mappings
            entries = [
                f"{key}={value}"
                for name, values in entries.items()
                for key, value in (values.items() if isinstance(values, dict) else [(name, values)])
            ]
        for entry in entries:
            key, _, value = str(entry).rpartition(":")[2].partition("=")
            if key in found:
                found[key].append(value.strip("\"' "))
    return found


def _architectures() -> list[str]:
    """The GPUs that this build of torch has code for; torch itself names none where it finds no GPU."""
    flags = getattr(torch._C, "_cuda_getArchFlags", lambda: None)()
    return (flags or "").split()
