"""The same versions wherever they are written down. No network."""

import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPO = Path(__file__).parents[2]


def pins(requirements):
    """Package -> version of requirements that are all pinned, names as pip compares them."""
    found = {}
    for requirement in map(Requirement, requirements):
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"{requirement} is not pinned"
        name = canonicalize_name(requirement.name)
        assert name not in found, f"{name} stands twice"
        found[name] = specifier.version
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


def requirements(project, *extras):
    """What pip is asked for: the package's own requirements and those of some extras."""
    named = [requirement for extra in extras for requirement in project["optional-dependencies"][extra]]
    return [Requirement(text) for text in [*project["dependencies"], *named]]


def test_the_constraints_lie_within_every_range(project, constraints):
    for requirement in requirements(project, *project["optional-dependencies"]):
        version = constraints[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} and {version}"


def test_conda_installs_what_make_installs(project, conda, constraints):
    (pip,) = [entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict)]
    named = {
        canonicalize_name(requirement.name) for requirement in requirements(project, "workflow", "report", "small")
    }
    assert pins(pip) == {name: constraints[name] for name in named}


def test_the_core_is_small(project):
    core = {requirement.name for requirement in requirements(project)}
    assert core == {"torch", "transformers", "trl", "peft", "numpy", "scipy", "pydantic"}


def test_the_environment_of_vllm_adds_vllm_alone(conda, constraints):
    content = yaml.safe_load((REPO / "envs/vllm.yaml").read_text())
    (ours,), (others,) = (
        [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
        for environment in (content, conda)
    )
    vllm = {"vllm": constraints["vllm"]}
    assert pins(ours) == pins(others) | vllm
    assert content["channels"] == conda["channels"]


def test_conda_has_a_python_that_the_package_allows(project, conda):
    (python,) = [entry for entry in conda["dependencies"] if str(entry).startswith("python=")]
    oldest = project["requires-python"].removeprefix(">=")
    assert [int(part) for part in python.removeprefix("python=").split(".")] >= [int(p) for p in oldest.split(".")]


def test_snakemake_is_the_one_that_the_tests_run(constraints):
    import snakemake

    assert constraints["snakemake"] == snakemake.__version__
