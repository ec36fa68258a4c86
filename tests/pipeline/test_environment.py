"""The same versions wherever they are written down. No network."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).parents[2]


def pins(requirements):
    """Package -> version of requirements that are all pinned, names as pip compares them."""
    found = {}
    for requirement in requirements:
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)", requirement)
        assert match, f"{requirement!r} is not pinned"
        name = re.sub(r"[-_.]+", "-", match[1]).lower()
        assert name not in found, f"{name} stands twice"
        found[name] = match[2]
    return found


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((REPO / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def constraints():
    lines = (REPO / "constraints.txt").read_text().splitlines()
    return pins(line for line in lines if line and not line.startswith("#"))


@pytest.fixture(scope="module")
def conda():
    return yaml.safe_load((REPO / "envs/compute_aligned.yaml").read_text())


def test_constraints_hold_every_direct_dependency_at_its_version(project, constraints):
    extras = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    for name, version in pins([*project["dependencies"], *extras]).items():
        assert constraints.get(name) == version, name


def test_conda_installs_what_pip_installs(project, conda):
    (pip,) = [entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict)]
    assert pins(pip) == pins([*project["dependencies"], *project["optional-dependencies"]["small"]])


def test_the_environment_of_vllm_adds_vllm_alone(project, conda):
    content = yaml.safe_load((REPO / "envs/vllm.yaml").read_text())
    (ours,), (others,) = (
        [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
        for environment in (content, conda)
    )
    assert pins(ours) == pins([*others, *project["optional-dependencies"]["vllm"]])
    assert content["channels"] == conda["channels"]


def test_conda_has_a_python_that_the_package_allows(project, conda):
    (python,) = [entry for entry in conda["dependencies"] if str(entry).startswith("python=")]
    oldest = project["requires-python"].removeprefix(">=")
    assert [int(part) for part in python.removeprefix("python=").split(".")] >= [int(p) for p in oldest.split(".")]


def test_snakemake_is_the_one_that_the_tests_run(project):
    import snakemake

    assert pins(project["dependencies"])["snakemake"] == snakemake.__version__
