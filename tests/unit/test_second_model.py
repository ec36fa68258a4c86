"""Another language model by one line of `small_gym`: stand-ins of Qwen2.5-0.5B-Instruct and SmolLM2-360M-Instruct.

Each goes from the hub through warm-up, supervised and reinforcement learning to samples, with the preset's own settings
but for sizes.
"""

import dataclasses
import shutil

import huggingface_hub
import pandas as pd
import pytest
import yaml
from conftest import REPO
from make_base_model import write_base_model
from safetensors.torch import load_file
from stand_ins import make_qwen, make_smollm
from test_paper_path import arguments

from compute_aligned.config.loading import load_settings
from compute_aligned.config.resolving import rl_settings, sampling_settings, training_settings
from compute_aligned.models.loading import load_tokenizer
from compute_aligned.models.sources import read_source
from compute_aligned.models.tokenization import encode_example, encode_prompt
from compute_aligned.provenance.artifacts import read_artifact, write_artifact
from compute_aligned.sampling.evaluation import sample
from compute_aligned.tasks import Problem
from compute_aligned.training.grpo_run import train_grpo
from compute_aligned.training.sft_run import train_sft

CONFIG = REPO / "config"
MODELS = {"Qwen/Qwen2.5-0.5B-Instruct": make_qwen, "HuggingFaceTB/SmolLM2-360M-Instruct": make_smollm}


def length_of_answer(prompts, completions, **columns):
    """A reward that random completions differ in; no stand-in solves a problem."""
    return [float(len(completion[-1]["content"])) for completion in completions]


@pytest.fixture(scope="module", params=MODELS, ids=lambda name: name.split("/")[1])
def walk(request, tmp_path_factory):
    """The base model as it was fetched, and the folder in which each stage left its files."""
    preset = yaml.safe_load((CONFIG / "small_gym.yaml").read_text())
    preset["models"]["math"]["source"] = {"kind": "hub", "id": request.param, "revision": "main"}
    settings = load_settings(preset, "small_gym.yaml", CONFIG)
    for recipe in ("math_sft_pass", "math_rl_pass"):
        settings["preset"]["recipes"][recipe] |= {"train_problems": 8, "warmup_epochs": 1}
        settings["preset"]["recipes"][recipe]["evaluation"] |= {"problems": 2, "samples": 4, "max_new_tokens": 8}
    settings["preset"]["recipes"]["math_sft_pass"]["epochs"] = 1
    settings["preset"]["recipes"]["math_rl_pass"]["rl"] |= {"problems": 4, "steps": 1, "max_new_tokens": 8}
    folder = tmp_path_factory.mktemp("second_model")
    MODELS[request.param](folder / "hub")

    class Info:
        sha = "0123456789abcdef0123456789abcdef01234567"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            huggingface_hub,
            "snapshot_download",
            lambda repository, local_dir, **options: shutil.copytree(folder / "hub", local_dir, dirs_exist_ok=True),
        )
        patch.setattr(huggingface_hub.HfApi, "repo_info", lambda self, *args, **options: Info)
        write_base_model(read_source(settings["preset"]["models"]["math"]["source"]), str(folder / "base"))
    rows = [Problem(f"train/{i}", f"What is {i} + 1?", f"\\boxed{{{i + 1}}}", str(i + 1), "sums", 1) for i in range(16)]
    problems = folder / "problems.parquet"
    write_artifact(pd.DataFrame([dataclasses.asdict(row) for row in rows]), "problems", problems)

    def train(run, start, name, chosen, **options):
        run(**arguments(folder / "base", folder / start, problems, chosen, folder, name), **options)

    train(train_sft, "base", "warmup", training_settings(settings, "math_sft_pass", "warmup", 1))
    train(train_sft, "warmup", "sft", training_settings(settings, "math_sft_pass", "pass_n16", 1))
    train(train_grpo, "warmup", "rl", rl_settings(settings, "math_rl_pass", "pass_n16_log", 1), reward=length_of_answer)
    sample(
        path_to_base=str(folder / "base"),
        path_to_model=str(folder / "rl"),
        path_to_problems=str(problems),
        settings=sampling_settings(settings, "math_rl_pass", 1),
        threads=1,
        checkpoints=str(folder / "shards"),
        path_to_samples=str(folder / "samples.parquet"),
        run="recipe/rl/seed1",
        code="c0de",
    )
    return folder


def test_each_stage_trains_an_adapter(walk):
    first, *others = (load_file(walk / name / "adapter_model.safetensors") for name in ("warmup", "sft", "rl"))
    for other in others:
        assert other.keys() == first.keys()
        assert any((other[key] != first[key]).any() for key in first)
    record = read_artifact("training", walk / "sft.parquet")
    assert record["log_p"].notna().all() and (record["log_p"] < 0).all()
    assert len(read_artifact("rl_training", walk / "rl.parquet")) == 1


def test_pools_are_as_large_as_asked_for(walk):
    samples = read_artifact("samples", walk / "samples.parquet")
    assert samples.groupby("problem_id").size().tolist() == [4, 4]


def test_a_target_ends_with_the_token_that_ends_a_turn(walk):
    tokenizer = load_tokenizer(walk / "base")
    example = encode_example(tokenizer, "p", "1+2", "3", 100)
    prompt = encode_prompt(tokenizer, "1+2")
    assert tokenizer.decode(example["input_ids"][len(prompt) :]) == "3<|im_end|>"
    assert tokenizer.decode(prompt).endswith("<|im_start|>user\n1+2<|im_end|>\n<|im_start|>assistant\n")
    assert example["labels"][-1] == tokenizer.eos_token_id  # also where that token pads
