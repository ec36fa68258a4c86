"""A branch of a hub repository is pinned to its commit when it is read (with a stand-in for the hub)."""

import huggingface_hub
import make_base_model
import make_problems
import pytest
from stand_ins import make_protgpt2

from compute_aligned.models.hub import resolve_revision
from compute_aligned.models.sources import Hub
from compute_aligned.tasks.sources import read_task

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(monkeypatch):
    """A hub on which every branch is at COMMIT; records what was asked of it."""
    asked = []

    class Info:
        sha = COMMIT

    def repo_info(self, repository, revision, repo_type):
        asked.append((repository, revision, repo_type))
        return Info

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", repo_info)
    return asked


def test_a_branch_becomes_the_commit_it_is_at(hub):
    assert resolve_revision("someone/model", "main", "model") == COMMIT
    assert hub == [("someone/model", "main", "model")]


def test_the_model_is_fetched_at_the_resolved_commit_which_the_manifest_records(hub, monkeypatch, tmp_path, base):
    import shutil

    fetched = []

    def snapshot_download(repository, revision, local_dir, ignore_patterns):
        fetched.append((repository, revision))
        shutil.copytree(base, local_dir)  # it holds safetensors: no second call

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    source = Hub(kind="hub", id="someone/model", revision="main")
    facts = make_base_model.write_base_model(source, str(tmp_path / "base"))
    assert fetched == [("someone/model", COMMIT)]
    assert facts["source"]["revision"] == COMMIT
    assert facts["chat_template"]


def test_pickled_weights_are_fetched_where_there_are_no_others_and_prompts_may_be_plain(hub, monkeypatch, tmp_path):
    import shutil

    fetched = []
    make_protgpt2(tmp_path / "hub")

    def snapshot_download(repository, revision, local_dir, **patterns):
        fetched.append(patterns)
        if len(fetched) == 1:
            shutil.copytree(tmp_path / "hub", local_dir, ignore=shutil.ignore_patterns("*.safetensors"))
        else:
            (local_dir / "pytorch_model.bin").write_bytes(b"weights")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    source = Hub(kind="hub", id="someone/protein", revision="main", plain_prompts=True)
    facts = make_base_model.write_base_model(source, str(tmp_path / "base"))
    assert "*.bin" in fetched[0]["ignore_patterns"] and fetched[1]["allow_patterns"] == ["pytorch_model*.bin*"]
    assert "message.content or bos_token" in facts["chat_template"]


def test_the_data_set_is_read_at_the_resolved_commit_which_the_manifest_records(hub, monkeypatch, tmp_path):
    import datasets

    row = {"solution": r"\boxed{2}", "answer": "2", "subject": "Algebra", "level": 1}
    asked = []

    def load_dataset(name, revision, split):
        asked.append((name, revision, split))
        return [{"problem": f"{split} {i // 2}" if split == "train" else "train 0", **row} for i in range(6)]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    data = {
        "loader": "table",
        "seed": 0,
        "validation_size": 1,
        "columns": {name: name for name in ("problem", "solution", "answer", "subject", "level")},
        "source": {"hub": "someone/MATH", "revision": "main"},
    }
    paths = {split: str(tmp_path / f"{split}.parquet") for split in ("train", "validation", "test")}
    facts = make_problems.make_problems(read_task(data), paths)
    assert asked == [("someone/MATH", COMMIT, "train"), ("someone/MATH", COMMIT, "test")]
    assert facts == {
        "source": {"hub": "someone/MATH", "revision": COMMIT},
        "n_problems": {"train": 1, "validation": 1, "test": 6},
        "rows": {"train": 6, "test": 6, "test_levels": [6, 0, 0, 0, 0]},
        "repeats": {"train_in_test": 2, "within_train": 2, "within_test": 5},
    }


def test_without_the_hub_the_error_says_what_to_name_instead(monkeypatch):
    def repo_info(self, *arguments, **options):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", repo_info)
    with pytest.raises(
        ValueError, match="someone/MATH at main: the hub gave no such dataset.*train_file and test_file"
    ):
        resolve_revision("someone/MATH", "main", "dataset")
