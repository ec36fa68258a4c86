"""What a cluster would refuse is said before anything is submitted (stand-ins for Slurm, torch's build, the hub)."""

import huggingface_hub
import pytest
import torch
import yaml
from conftest import REPO

from compute_aligned.planning import site
from compute_aligned.planning.cost import settings_of
from compute_aligned.planning.layout import Layout
from compute_aligned.planning.plan import Plan

PARTITIONS = """PartitionName=gpu AllowGroups=ALL Default=NO MaxTime=UNLIMITED State=UP TotalCPUs=8
PartitionName=old AllowGroups=ALL Default=NO MaxTime=UNLIMITED State=DRAIN TotalCPUs=8
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Function: put programs of Slurm into reach, each of which prints a text; None: it fails."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def write(**programs):
        for name, text in programs.items():
            said = "exit 1" if text is None else f"printf '%s' '{text}'"
            (tmp_path / name).write_text(f"#!/bin/sh\n{said}\n")
            (tmp_path / name).chmod(0o755)

    return write


@pytest.fixture
def profile(tmp_path):
    """Function: a profile with some keys laid over the repository's."""

    def write(**keys):
        content = yaml.safe_load((REPO / "slurm/config.yaml").read_text()) | keys
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
        return tmp_path / "config.yaml"

    return write


def test_without_slurm_nothing_is_asked(slurm, profile):
    assert site.site_warnings(profile(), 60) == []


def test_keys_that_are_empty_are_said_where_the_cluster_has_no_default(slurm, profile):
    slurm(sbatch="", scontrol=PARTITIONS, sacctmgr="physics\nbiology\n")
    partition, account = site.site_warnings(profile(), 60)
    assert "names no slurm_partition, and this cluster has no default one; it has gpu, old" in partition
    assert "names no slurm_account" in account and account.endswith("yours are biology, physics")
    slurm(scontrol=PARTITIONS.replace("Default=NO", "Default=YES"), sacctmgr="physics\n")
    assert site.site_warnings(profile(), 60) == []


def test_keys_that_the_cluster_does_not_know_are_named(slurm, profile):
    slurm(sbatch="", scontrol=PARTITIONS, sacctmgr="physics\n")
    keys = {
        "default-resources": ["slurm_account=ACCOUNT", "slurm_partition=gpu"],
        "set-resources": ["sample:slurm_partition=gpus,old"],
    }
    unknown, drained, account = site.site_warnings(profile(**keys), 60)
    assert unknown.startswith("this cluster has no partition gpus, which ") and unknown.endswith("it has gpu, old")
    assert drained.startswith("partition old, which ") and drained.endswith("is DRAIN now")
    assert account.startswith("this cluster gives you no account ACCOUNT, ") and "yours are physics" in account
    mappings = {
        "default-resources": {"slurm_account": "physics", "slurm_partition": "gpu"},
        "set-resources": {"sample": {"slurm_partition": "gpu"}},
    }
    assert site.site_warnings(profile(**mappings), 60) == []


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [("UNLIMITED", None), ("1-00:00:00", None), ("23:59:00", 1439), ("02:00:00", 120), ("2-00:00:00", None)],
)
@pytest.mark.parametrize("named", [True, False])
def test_a_partition_that_ends_jobs_earlier_than_they_ask_for_is_said(slurm, profile, limit, minutes, named):
    said = PARTITIONS.replace("UNLIMITED", limit)
    slurm(sbatch="", scontrol=said if named else said.replace("=NO", "=YES", 1), sacctmgr=None)
    keys = {"default-resources": ["slurm_partition=gpu"]} if named else {}
    warnings = site.site_warnings(profile(**keys), 24 * 60)
    wanted = f"partition gpu ends jobs after {minutes} minutes, and the preset's resources ask for up to 1440 (runtime)"
    assert [warning.split(";")[0] for warning in warnings] == ([wanted] if minutes else [])


def test_without_accounting_there_are_no_accounts_and_a_controller_that_is_away_is_said(slurm, profile):
    slurm(sbatch="", scontrol=None, sacctmgr=None)
    (warning,) = site.site_warnings(profile(**{"default-resources": ["slurm_account=physics"]}), 60)
    assert "does not answer `scontrol show partition`" in warning


# --- torch ---


@pytest.mark.parametrize(
    ("cuda", "flags", "card", "capability", "wanted"),
    [
        (None, "", "V100-16GB", (7, 0), "build without CUDA"),
        ("13.0", "sm_75 sm_80 sm_90", "V100-16GB", (7, 0), "no code for V100-16GB (compute capability 7.0), only for"),
        ("12.6", "sm_70 sm_80 sm_90", "V100-16GB", (7, 0), None),
        ("13.0", "sm_75 sm_80 sm_90", "A100-40GB", (8, 0), None),
    ],
)
def test_a_build_of_torch_that_the_card_cannot_run_is_said(monkeypatch, cuda, flags, card, capability, wanted):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch._C, "_cuda_getArchFlags", lambda: flags, raising=False)
    warnings = site.torch_warnings({"fp16", "fp32"}, card, capability)
    assert len(warnings) == (wanted is not None) and all(wanted in warning for warning in warnings)
    (last,) = site.torch_warnings({"bf16"}, card, capability)[len(warnings) :] or [""]
    assert ("bf16 is not supported by" in last) == (capability < (8, 0))


# --- the hub ---


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Plan(settings_of([REPO / "config/paper.yaml"], []), Layout("results/paper"))


def make(*names):
    """As `prefetch` does."""
    for name in names:
        site.Path(name).parent.mkdir(parents=True, exist_ok=True)
        site.Path(name).touch()


def test_what_was_not_fetched_is_said_where_the_hub_is_not_to_be_used(plan, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (warning,) = site.hub_warnings(plan)
    assert warning.startswith(
        "HF_HUB_OFFLINE is set, and not fetched yet are mistralai/Mistral-7B-Instruct-v0.2, nferruz/ProtGPT2, "
        "nlile/hendrycks-MATH-benchmark: `snakemake --cores 2 prefetch`"
    )
    make(*(plan.layout.base_model(model) for model in plan.models))
    (warning,) = site.hub_warnings(plan)
    assert "not fetched yet are nlile/hendrycks-MATH-benchmark: " in warning
    make(*(plan.layout.data("math", split) for split in ("train", "validation", "test")))
    assert site.hub_warnings(plan) == []


def test_a_hub_out_of_reach_is_said_and_one_in_reach_is_not(plan, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    asked = []

    def repo_info(self, repository, revision, repo_type):
        asked.append(repository)
        if len(asked) == 3:
            raise ConnectionError("no route to host")
        return type("Info", (), {"sha": "0" * 40})

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", repo_info)
    (warning,) = site.hub_warnings(plan)
    assert warning.startswith("nlile/hendrycks-MATH-benchmark at main: the hub gave no such dataset (ConnectionError)")
    asked[:] = range(10)
    assert site.hub_warnings(plan) == [] and len(asked) == 13
