"""Pinning replaces a branch by its commit where it stands and touches no other byte (with a stand-in for the hub)."""

import hashlib
import subprocess
import sys

import huggingface_hub
import pytest
import yaml
from conftest import REPO

from compute_aligned.config.pin import licence_of, pin, revisions, with_licences

PRESET = """\
# Mistral at `revision: main`
models:
  math:
    source:
      kind: hub
      id: someone/model   # the model
      revision: main      # see above
    precision:   fp16
  other: {source: {kind: folder, path: model}, note: "revision: main"}
data:
  math:
    source: {hub: 'someone/data', revision: 'v1.0'}  # in one line, quoted

  café: {revision: none of the hub}
"""


def commit_at(repository, revision):
    return hashlib.sha1(f"{repository}@{revision}".encode()).hexdigest()


@pytest.fixture
def hub(monkeypatch):
    """A hub with a commit for every repository and revision; records what was asked of it."""
    asked = []

    def repo_info(self, repository, revision, repo_type):
        asked.append((repository, revision, repo_type))
        of_card = {"someone/model": {"license": "apache-2.0"}, "someone/data": None}[repository]
        return type("Info", (), {"sha": commit_at(repository, revision), "card_data": of_card})

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", repo_info)
    return asked


@pytest.fixture
def preset(tmp_path):
    file = tmp_path / "preset.yaml"
    file.write_text(PRESET)
    return file


def test_each_revision_becomes_its_commit_and_every_other_byte_stays(hub, preset):
    sentences = pin(preset)
    model, data = commit_at("someone/model", "main"), commit_at("someone/data", "v1.0")
    assert hub == [
        *(("someone/model", revision, "model") for revision in ("main", model)),  # the card is read at the commit
        *(("someone/data", revision, "dataset") for revision in ("v1.0", data)),
    ]
    wanted = PRESET.replace("      revision: main      #", f"      revision: {model}      #")
    wanted = wanted.replace("'v1.0'", data)
    assert preset.read_text() == wanted + NOTED
    content = yaml.safe_load(preset.read_text())
    assert content["models"]["math"]["source"]["revision"] == model
    assert content["data"]["math"]["source"]["revision"] == data
    assert content["licences"] == {"someone/model": "apache-2.0"}
    assert sentences == [
        f"{preset}: model someone/model: main is now {model}, whose card states the licence apache-2.0",
        f"{preset}: dataset someone/data: v1.0 is now {data}, whose card states no licence",
    ]


NOTED = """
licences:  # as the cards of the repositories state them at the revisions above
  someone/model: apache-2.0
"""


def test_licences_are_noted_at_the_end_and_those_of_before_stay():
    before = f"licences:\n  other/data: mit\n\n# a comment\n{PRESET}"
    once = with_licences(before, {"someone/model": "other: see page"})
    assert once.startswith("# a comment\n# Mistral") and yaml.safe_load(once) == {
        **yaml.safe_load(PRESET),
        "licences": {"other/data": "mit", "someone/model": "other: see page"},
    }
    assert with_licences(once, {"someone/model": "other: see page"}) == once
    assert with_licences(once, {"other/data": "cc0-1.0"}).replace("cc0-1.0", "mit") == once
    without = with_licences(once, {"other/data": None, "someone/model": None})
    assert "licences" not in without and with_licences(without, {"someone/model": None}) == without


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ({"license": "mit"}, "mit"),
        ({"license": ["mit", "cc-by-4.0"]}, "mit, cc-by-4.0"),
        ({"license": "other", "license_name": "my-licence"}, "my-licence"),
        ({"license": None}, None),
        (None, None),
    ],
)
def test_the_licence_is_what_the_card_at_the_commit_states(monkeypatch, card, licence):
    info = type("Info", (), {"card_data": card})
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", lambda self, repository, revision, repo_type: info)
    assert licence_of("someone/model", "0" * 40, "model") == licence


def test_line_ends_stay_as_they_are(hub, preset):
    preset.write_bytes(PRESET.replace("\n", "\r\n").encode())
    pin(preset)
    assert preset.read_bytes().count(b"\r\n") == preset.read_bytes().count(b"\n") == (PRESET + NOTED).count("\n")
    assert commit_at("someone/model", "main").encode() in preset.read_bytes()


def test_a_pinned_preset_is_told_so_and_left_alone_without_asking_the_hub(hub, preset):
    pin(preset)
    before = preset.stat().st_ino, preset.stat().st_mtime_ns, preset.read_bytes()
    hub.clear()
    sentences = pin(preset)
    assert hub == []
    assert (preset.stat().st_ino, preset.stat().st_mtime_ns, preset.read_bytes()) == before
    assert [" already pinned at " in sentence for sentence in sentences] == [True, True]


def test_without_the_hub_nothing_is_written_even_where_one_commit_was_found(monkeypatch, preset):
    def repo_info(self, repository, revision, repo_type):
        if repo_type == "dataset":
            raise ConnectionError("no route to host")
        return type("Info", (), {"sha": commit_at(repository, revision), "card_data": {"license": "mit"}})

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", repo_info)
    with pytest.raises(ValueError) as error:
        pin(preset)
    assert str(error.value) == (
        "someone/data at v1.0: the hub gave no such dataset (ConnectionError); "
        "nothing was pinned, run this where the hub can be reached"
    )
    assert preset.read_text() == PRESET
    assert [file.name for file in preset.parent.iterdir()] == ["preset.yaml"]


def test_a_preset_without_hub_repositories_is_told_so(hub):
    file = REPO / "config" / "tiny.yaml"
    assert pin(file) == [f"{file}: no hub repository to pin"]


@pytest.mark.parametrize(("name", "kinds"), [("paper", ["model", "model", "dataset"]), ("small", ["dataset"])])
def test_every_hub_repository_of_a_shipped_preset_is_found_where_its_revision_stands(name, kinds):
    text = (REPO / "config" / f"{name}.yaml").read_text()
    found = revisions(text)
    assert [revision.kind for revision in found] == kinds
    for revision in found:
        assert text[: revision.start].endswith("revision: ")
        assert text[revision.start : revision.end] == revision.value
        assert revision.repository in text[: revision.start].splitlines()[-2]


def test_the_command_ends_in_one_sentence_where_there_is_no_network(preset):
    command = [sys.executable, "-m", "compute_aligned", "pin", str(preset)]  # conftest: HF_HUB_OFFLINE
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("pin: someone/model at main: the hub gave no such model (OfflineModeIsEnabled)")
    assert preset.read_text() == PRESET
