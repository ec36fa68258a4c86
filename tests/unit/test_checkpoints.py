"""Work that a killed job takes up: that of the same run, code, settings and inputs, and only what is whole."""

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import EVALUATION, TRAINING
from safetensors.torch import load_file
from transformers import TrainerCallback

from compute_aligned.provenance.artifacts import whole
from compute_aligned.provenance.unfinished import work_folder
from compute_aligned.sampling import evaluation as sample_script
from compute_aligned.sampling.pools import Completion, sample_in_shards
from compute_aligned.training import sft_run as script
from compute_aligned.training.checkpoints import RECORD, SEAL, last_whole_checkpoint, seal
from compute_aligned.training.run_files import RunFiles
from compute_aligned.training.sft import ComputeAlignedSFTTrainer


class Killed(Exception):
    """Stands for the signal that ends a job."""


class KillAfterStep(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise Killed


DAMAGES = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "cut by a byte": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "emptied": lambda file: file.write_bytes(b""),
    "zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "deleted": lambda file: file.unlink(),
    "a flipped byte": lambda file: flip_a_byte(file),
}


def flip_a_byte(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x11
    file.write_bytes(content)


def names(folder):
    """The checkpoints of a folder, set aside or not."""
    return sorted(path.name for path in folder.glob("*checkpoint-*"))


# --- whose work it is ------------------------------------------------------------------------------------------------


def test_another_run_code_setting_or_input_has_another_folder(tmp_path):
    for name in ("a", "b", "same_as_a"):
        (tmp_path / name).write_text(name[-1])
    plain = {"run": "r/ce/seed1", "code": "c0de", "settings": {"lr": 1.0}, "inputs": [str(tmp_path / "a")]}
    changes = [
        {"run": "r/pass_n1/seed1"},
        {"run": "r/ce/seed2"},
        {"code": "c1de"},
        {"settings": {"lr": 2.0}},
        {"inputs": [str(tmp_path / "b")]},
    ]
    folders = [work_folder("results/p/checkpoints", **plain | change) for change in [{}, *changes]]
    assert len(set(folders)) == len({folder.parent for folder in folders}) == 6
    assert [folder.name for folder in folders[:2]] == ["r_ce_seed1", "r_pass_n1_seed1"]
    assert {folder.parents[1] for folder in folders} == {Path("results/p/checkpoints")}
    moved = plain | {"inputs": [str(tmp_path / "same_as_a")]}
    assert work_folder("results/p/checkpoints", **moved) == folders[0]  # content counts, not the name


@pytest.fixture(scope="module")
def train(base, problems):
    """Train nine steps, a checkpoint every second; killed after a step if wanted."""

    def train(folder, name="run", kill_after=None, code="c0de"):
        class Trainer(ComputeAlignedSFTTrainer):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.add_callback(KillAfterStep(kill_after))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(script, "ComputeAlignedSFTTrainer", Trainer)
            return script.train_sft(
                RunFiles(
                    base=str(base),
                    start=str(base),
                    problems=str(problems),
                    checkpoints=str(folder / "checkpoints"),
                    model=str(folder / name),
                    record=str(folder / f"{name}.parquet"),
                    run="recipe/pass_n4/seed1",
                    code=code,
                ),
                settings=TRAINING | {"objective": "pass_n4", "epochs": 3},
                threads=1,
            )

    return train


@pytest.fixture(scope="module")
def never_killed(train, tmp_path_factory):
    folder = tmp_path_factory.mktemp("never killed")
    train(folder)
    return folder


@pytest.fixture(scope="module")
def killed(train, tmp_path_factory):
    """A folder in which a training was killed at step 7; it holds checkpoints 4 and 6."""
    folder = tmp_path_factory.mktemp("killed")
    with pytest.raises(Killed):
        train(folder, kill_after=7)
    (work,) = (folder / "checkpoints").glob("*/recipe_pass_n4_seed1")
    assert names(work) == ["checkpoint-4", "checkpoint-6"]
    return folder


def assert_same_run(folder, other, name="run"):
    weights, expected = (load_file(path / name / "model.safetensors") for path in (folder, other))
    assert weights.keys() == expected.keys() and all((weights[key] == expected[key]).all() for key in weights)
    pd.testing.assert_frame_equal(*(pd.read_parquet(path / f"{name}.parquet") for path in (folder, other)))


def test_a_training_is_not_taken_up_under_other_code(train, killed, tmp_path):
    shutil.copytree(killed, tmp_path / "copy")
    assert train(tmp_path / "copy", code="c1de")["resumed_from"] is None
    assert train(tmp_path / "copy")["resumed_from"] == "checkpoint-6"


def test_two_runs_of_equal_weights_have_shards_of_their_own(base, problems, tmp_path):
    shards = [
        sample_script.sample(
            path_to_base=str(base),
            path_to_model=str(base),
            path_to_problems=str(problems),
            settings=EVALUATION,
            threads=1,
            checkpoints=str(tmp_path / "checkpoints"),
            path_to_samples=str(tmp_path / "samples.parquet"),
            run=f"recipe/{objective}/seed1",
            code="c0de",
        )["shards"]
        for objective in ("ce", "pass_n1")
    ]
    assert shards[0] != shards[1]
    assert [len(list(Path(folder).iterdir())) for folder in shards] == [2, 2]


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_a_whole_checkpoint_says_the_size_and_hash_of_each_of_its_files(killed):
    (checkpoint,) = killed.glob("checkpoints/*/*/checkpoint-6")
    entries = {entry["path"]: entry for entry in json.loads((checkpoint / SEAL).read_text())}
    assert set(entries) == {path.name for path in checkpoint.iterdir()} - {SEAL}
    assert {"model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json", RECORD} <= set(entries)
    for name, entry in entries.items():
        content = (checkpoint / name).read_bytes()
        assert (entry["size"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_checkpoint_with_any_broken_file_is_set_aside_for_the_whole_one_before_it(killed, tmp_path, damage, capsys):
    (work,) = killed.glob("checkpoints/*/*")
    for file in sorted(path.name for path in (work / "checkpoint-6").iterdir()):
        copy = shutil.copytree(work, tmp_path / file)
        DAMAGES[damage](copy / "checkpoint-6" / file)
        assert last_whole_checkpoint(copy) == copy / "checkpoint-4", file
        assert names(copy) == ["broken-1-checkpoint-6", "checkpoint-4"]
        (line,) = capsys.readouterr().out.splitlines()
        assert f"{copy}/checkpoint-6 is not whole and set aside as broken-1-checkpoint-6: " in line
        assert f"{copy}/checkpoint-6/{file} " in line or damage == "a flipped byte" and file == SEAL
        assert last_whole_checkpoint(copy) == copy / "checkpoint-4"  # and nothing more is said
        assert capsys.readouterr().out == ""


def test_where_no_checkpoint_is_whole_none_is_taken(killed, tmp_path, capsys):
    (work,) = killed.glob("checkpoints/*/*")
    copy = shutil.copytree(work, tmp_path / "copy")
    for step in (4, 6):
        (copy / f"checkpoint-{step}" / "optimizer.pt").write_bytes(b"")
    assert last_whole_checkpoint(copy) is None
    assert len(capsys.readouterr().out.splitlines()) == 2
    (copy / "checkpoint-6").mkdir()  # made again, and broken again
    assert last_whole_checkpoint(copy) is None
    broken = ["broken-1-checkpoint-4", "broken-1-checkpoint-6", "broken-2-checkpoint-6"]
    assert names(copy) == broken


def test_other_names_are_no_checkpoints(tmp_path):
    for name in ("checkpoint-", "checkpoint-x", "checkpoint-4.old", "other", "broken-1-checkpoint-9"):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint-3").write_text("a file")
    assert last_whole_checkpoint(tmp_path) is None
    assert len(list(tmp_path.iterdir())) == 6
    (tmp_path / "checkpoint-10").mkdir()
    seal(tmp_path / "checkpoint-10")
    assert last_whole_checkpoint(tmp_path).name == "checkpoint-10"


@pytest.mark.parametrize(
    ("broken", "file", "resumed_from"),
    [
        ([6], "model.safetensors", "checkpoint-4"),
        ([6], RECORD, "checkpoint-4"),
        ([6], "trainer_state.json", "checkpoint-4"),
        ([4], "optimizer.pt", "checkpoint-6"),
        ([4, 6], "optimizer.pt", None),
    ],
)
def test_a_run_whose_checkpoints_were_cut_ends_with_the_weights_of_one_never_killed(
    train, killed, never_killed, tmp_path, broken, file, resumed_from
):
    copy = shutil.copytree(killed, tmp_path / "copy")
    (work,) = copy.glob("checkpoints/*/*")
    for step in broken:
        DAMAGES["cut"](work / f"checkpoint-{step}" / file)
    facts = train(copy)
    assert facts["resumed_from"] == resumed_from and facts["n_steps"] == 9
    assert_same_run(copy, never_killed)
    # What was set aside counts for none of the two checkpoints that are kept.
    assert {"checkpoint-8", "checkpoint-9"} == {path.name for path in work.glob("checkpoint-*")}


# --- shards ----------------------------------------------------------------------------------------------------------

IDS = [f"problem/{number}" for number in range(8)]


@pytest.fixture
def sampled():
    """A stand-in for a sampler whose pools depend on the problem alone, and the problems of its calls."""
    calls = []

    def sample_pools(ids, prompts):
        calls.append(list(ids))
        for index, prompt in enumerate(prompts):
            yield index, [Completion([*prompt, number], "stop", -number / 3) for number in range(8)]

    return sample_pools, calls


def pools_of(sample_pools, folder):
    return list(sample_in_shards(sample_pools, IDS, [[number] for number in range(8)], folder, 2, 8))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_shard_is_drawn_again_and_no_other(sampled, tmp_path, damage, capsys):
    sample_pools, calls = sampled
    whole = pools_of(sample_pools, tmp_path)
    calls.clear()
    shard = tmp_path / "shard-00002.json"
    DAMAGES[damage](shard)
    assert pools_of(sample_pools, tmp_path) == whole
    assert calls == [IDS[4:6]]
    said = capsys.readouterr().out
    if damage != "deleted":
        assert said.startswith(f"{shard} is not whole and set aside as broken-1-shard-00002.json: {shard} ")
    calls.clear()
    assert pools_of(sample_pools, tmp_path) == whole and calls == []


def reseal(shard, change):
    """Change the pools of a shard and have its hash be theirs."""
    pools = json.loads(shard.read_text())["pools"]
    change(pools)
    sha256 = hashlib.sha256(json.dumps(pools).encode()).hexdigest()
    shard.write_text(json.dumps({"sha256": sha256, "pools": pools}))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda pools: pools[IDS[5]].__delitem__(slice(3, None)), f"problem '{IDS[5]}' has 3 samples, wanted 8"),
        (lambda pools: pools.pop(IDS[5]), "found pools of"),
        (lambda pools: pools.update(other=pools.pop(IDS[5])), "found pools of"),
    ],
    ids=["3 of 8 samples", "a problem fewer", "another problem"],
)
def test_a_shard_of_other_pools_than_asked_for_is_drawn_again(sampled, tmp_path, change, fault, capsys):
    sample_pools, calls = sampled
    whole = pools_of(sample_pools, tmp_path)
    reseal(tmp_path / "shard-00002.json", lambda pools: None)
    calls.clear()
    assert pools_of(sample_pools, tmp_path) == whole and calls == []
    reseal(tmp_path / "shard-00002.json", change)
    assert pools_of(sample_pools, tmp_path) == whole and calls == [IDS[4:6]]
    assert fault in capsys.readouterr().out


def test_a_shard_of_an_earlier_version_without_a_hash_is_drawn_again(sampled, tmp_path):
    sample_pools, calls = sampled
    whole = pools_of(sample_pools, tmp_path)
    (tmp_path / "shard-00002.json").write_text(
        json.dumps(json.loads((tmp_path / "shard-00002.json").read_text())["pools"])
    )
    calls.clear()
    assert pools_of(sample_pools, tmp_path) == whole and calls == [IDS[4:6]]


def test_a_sampler_that_gives_too_few_is_refused(tmp_path):
    def sample_pools(ids, prompts):
        yield from ((index, [Completion([1], "stop", -1.0)] * 3) for index in range(len(ids)))

    with pytest.raises(ValueError, match=r"problem 'problem/0' has 3 samples, wanted 8"):
        pools_of(sample_pools, tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- outputs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_output_that_another_job_has_made_meanwhile_is_replaced(tmp_path, kind):
    def write(path, text):
        if kind == "folder":
            path.mkdir()
            path = path / text
        path.write_text(text)

    for text in ("first", "second"):
        with whole(tmp_path / "output") as partial:
            write(partial, text)
    output = tmp_path / "output"
    assert ([path.name for path in output.iterdir()] if kind == "folder" else [output.read_text()]) == ["second"]
    assert list(tmp_path.iterdir()) == [output]
