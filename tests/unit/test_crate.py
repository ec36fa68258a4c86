"""The RO-Crate of a run: what it says of jobs, artifacts, people and licences; the profile's validator agrees."""

import importlib.metadata
import json
from pathlib import Path

import pytest
import yaml
from conftest import REPO
from made_by_hand import ROOT, small_results

from compute_aligned.provenance import crate as crate_module
from compute_aligned.provenance.bundle import write_bundle
from compute_aligned.provenance.crate import write_crate
from compute_aligned.provenance.manifests import load_manifests, manifest_digest

MISTRAL = "mistralai/Mistral-7B-Instruct-v0.2"
CITATION = yaml.safe_load((REPO / "CITATION.cff").read_text())


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = small_results(tmp_path)
    results.make(
        "problems", {"data/math/train.parquet": "d"}, data={"source": {"hub": "nlile/hendrycks-MATH-benchmark"}}
    )
    source = {"kind": "hub", "id": MISTRAL, "revision": "0" * 40}
    results.make("base_model", {"models/base/math": {"config.json": "{}"}}, source=source, wildcards={"model": "math"})
    package = {"kind": "gguf", "package": "numpy", "file": "a.gguf"}
    results.make("base_model", {"models/base/gguf": {"a": "c"}}, source=package, wildcards={"model": "gguf"})
    own = {"kind": "protein_scratch"}
    results.make("base_model", {"models/base/protein": {"a": "b"}}, source=own, wildcards={"model": "protein"})
    return results


def described(results):
    """The crate's entities by their names."""
    facts = write_crate(
        Path(ROOT),
        {MISTRAL: "apache-2.0"},
        str(REPO / "Snakefile"),
        str(REPO / "CITATION.cff"),
        f"{ROOT}/ro-crate-metadata.json",
        f"{ROOT}/Snakefile",
    )
    graph = json.loads((results / "ro-crate-metadata.json").read_text())["@graph"]
    assert facts["n_entities"] == len(graph) == len({entity["@id"] for entity in graph})
    return {entity["@id"]: entity for entity in graph}


def ids(value):
    return [entry["@id"] for entry in (value if isinstance(value, list) else [value])]


def test_an_action_for_each_job_with_its_parameters_inputs_and_outputs(results):
    crate, manifests = described(results), load_manifests(Path(ROOT))
    jobs = {id(job): job for job in manifests.values()}
    assert len([entity for entity in crate.values() if entity["@id"].startswith("#job/")]) == len(jobs)
    sampled = crate["#job/sample"]
    assert ids(sampled["instrument"]) == ["#rule/sample"] and sampled["startTime"].startswith("2026-01-01T02")
    assert ids(sampled["result"]) == ["#samples/r/ce/seed1.parquet"]
    told = {crate[name]["name"]: crate[name]["value"] for name in ids(sampled["object"]) if name.startswith("#rule/")}
    assert told == {"code": "0123456789abcdef", "max_new_tokens": "16"}
    assert "#models/r/ce/seed1/" in ids(sampled["object"])
    assert sampled["identifier"] == manifest_digest(manifests[f"{ROOT}/samples/r/ce/seed1.parquet"])
    assert (results / ids(sampled["subjectOf"])[0]).is_file()


def test_artifacts_have_their_hashes_and_those_that_a_bundle_holds_their_paths(results):
    crate = described(results)
    for job in results.manifests():
        for entry in job["outputs"]:
            inside = entry["path"].removeprefix(f"{ROOT}/")
            kept = inside.startswith(("tables", "figures", "metrics", "claims", "report"))
            name = f"{'' if kept else '#'}{inside}{'/' if 'files' in entry else ''}"
            assert crate[name]["sha256"] == entry["sha256"], name
            assert name in ids(crate["./"]["hasPart"])
    assert crate["#config/reported.csv"]["@type"] == "File"
    assert (results / "Snakefile").read_bytes() == (REPO / "Snakefile").read_bytes()


def test_people_come_from_the_citation_and_licences_from_the_sources(results):
    crate = described(results)
    assert [crate[name]["name"] for name in ids(crate["./"]["author"])] == [CITATION["authors"][0]["name"]]
    (paper,) = ids(crate["./"]["citation"])
    assert paper == "https://arxiv.org/abs/2604.24957"
    assert [crate[name]["name"] for name in ids(crate[paper]["author"])] == ["Adam Ousherovitch", "Ambuj Tewari"]
    base = crate["#models/base/math/"]
    assert ids(base["isBasedOn"]) == [f"https://huggingface.co/{MISTRAL}"]
    (statement,) = ids(base["license"])
    assert statement == f"https://huggingface.co/{MISTRAL}/blob/{'0' * 40}/README.md#license"
    assert crate[statement]["description"] == "apache-2.0, as the card at the pinned revision states it"
    data = crate["#data/math/train.parquet"]
    assert "license" not in data and data["description"].startswith("licence not stated; see https://huggingface.co/")
    (stated,) = ids(crate["#models/base/gguf/"]["license"])
    assert crate[stated]["name"] == importlib.metadata.metadata("numpy")["License-Expression"]
    assert crate[stated]["description"].endswith(", as the metadata of the installed package states it")
    assert ids(crate["#models/base/protein/"]["license"]) == [f"https://spdx.org/licenses/{CITATION['license']}"]
    assert ids(crate["./"]["license"]) == [f"https://spdx.org/licenses/{CITATION['license']}"]


def test_it_names_no_machine_and_is_the_same_when_made_again(results):
    described(results)
    first = (results / "ro-crate-metadata.json").read_text()
    assert "laptop" not in first
    described(results)
    assert (results / "ro-crate-metadata.json").read_text() == first


def test_without_manifests_there_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no manifests; wanted the folder of a run"):
        write_crate(tmp_path, {}, str(REPO / "Snakefile"), str(REPO / "CITATION.cff"), "crate.json", "Snakefile")
    assert list(tmp_path.iterdir()) == []


# --- the profile -----------------------------------------------------------------------------------------------------

# What the crate takes from the terms of workflow runs, which no package brings along. The terms of RO-Crate itself come
# with the package rocrate: those of version 1.3, in which Bioschemas spells four otherwise than in 1.1.
RUN_TERMS = {"@context": {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}}
OF_1_1 = {name: f"https://bioschemas.org/{name}" for name in ("ComputationalWorkflow", "FormalParameter")}
OF_1_1 |= {name: f"https://bioschemas.org/ComputationalWorkflow#{name}" for name in ("input", "output")}


class Answer:
    """An answer of the network."""

    status_code, headers = 200, {"Content-Type": "application/ld+json"}

    def __init__(self, content):
        self.content = json.dumps(content).encode()
        self.text = self.content.decode()

    def json(self):
        return json.loads(self.text)


@pytest.fixture
def validate(monkeypatch, tmp_path):
    """The issues that the validator of the profile finds, at its required level, without a network."""
    import rocrate
    from rocrate_validator import services
    from rocrate_validator.utils.http import HttpRequester

    own = json.loads((Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_text())
    own["@context"] |= OF_1_1
    known = {"https://w3id.org/ro/crate/1.1/context": own, crate_module.TERMS: RUN_TERMS}
    monkeypatch.setattr(HttpRequester, "get", raising=False, value=lambda self, url, **how: Answer(known[url]))

    def issues(path):
        settings = services.ValidationSettings(
            rocrate_uri=str(path),
            profile_identifier="provenance-run-crate-0.5",
            requirement_severity="REQUIRED",
            offline=True,
            cache_path=tmp_path / "cache",
        )
        return [(issue.check.identifier, issue.message) for issue in services.validate(settings).get_issues()]

    return issues


def test_the_validator_of_the_profile_finds_nothing(results, validate):
    described(results)
    assert validate(results / "") == []


def test_the_validator_is_no_rubber_stamp(results, validate):
    described(results)
    file = results / "ro-crate-metadata.json"
    told = json.loads(file.read_text())
    for entity in told["@graph"]:
        if entity["@id"] == "Snakefile":
            del entity["hasPart"], entity["programmingLanguage"]
    file.write_text(json.dumps(told))
    assert len(validate(results / "")) >= 2


def test_a_bundle_is_a_crate_of_the_profile_too(results, validate):
    described(results)
    outputs = {name: (results / name).read_bytes() for name in ("ro-crate-metadata.json", "Snakefile")}
    results.make("crate", outputs)
    write_bundle(Path(ROOT), results.folder / "mini-bundle.zip")
    assert validate(results.folder / "mini-bundle.zip") == []
