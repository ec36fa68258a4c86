"""Preset `paper` resolves to the paper's settings, written down here a second time from its text and tables."""

import pytest
import yaml
from conftest import REPO

from compute_aligned.config.loading import load_settings
from compute_aligned.config.resolving import rl_settings, sampling_settings, training_settings

# Supervised fine-tuning of Tables 2 and 3, and where the warm-ups of reinforcement learning differ from it.
SFT = {
    "learning_rate": 5e-6,
    "batch_size": 4,
    "micro_batch_size": 1,
    "schedule": "linear",
    "weight_decay": 0.01,
    "max_grad_norm": 0.3,
    "max_length": 1024,
    "quantization": "nf4",
    "precision": "fp16",
}
WIDE = {"r": 16, "alpha": 16, "dropout": 0.0, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]}
NARROW = {"r": 16, "alpha": 32, "dropout": 0.0, "target_modules": ["q_proj", "v_proj"]}
ALL, EASY = [1, 2, 3, 4, 5], [1, 2, 3]
# recipe -> epochs of the warm-up and of each objective, training problems, the rest
SUPERVISED = {
    "math_sft_pass": (2, 3, 5000, {"adapter": WIDE, "target": "answer", "average": "sequence", "levels": ALL}),
    "math_sft_majority": (2, 3, None, {"adapter": WIDE, "target": "solution", "average": "token", "levels": EASY}),
    "token_margin": (None, 1, 2000, {"adapter": NARROW, "target": "solution", "average": "token", "levels": ALL}),
    "math_rl_pass": (1, None, 2000, {"adapter": NARROW, "target": "solution", "average": "token", "levels": ALL}),
    "math_rl_majority": (
        3,
        None,
        2000,
        {"adapter": NARROW, "target": "solution", "average": "token", "levels": EASY, "learning_rate": 2e-5},
    ),
    "warmup_transfer_ce": (1, None, 2000, {"adapter": NARROW, "target": "answer", "average": "sequence"}),
    "warmup_transfer_pass_n16": (1, None, 2000, {"objective": "pass_n16", "target": "answer", "average": "sequence"}),
    "protein_conditional": (
        3,  # 60 steps of 100 pairs are 3 epochs of 2,000
        None,
        2000,
        {
            "adapter": None,
            "batch_size": 100,
            "micro_batch_size": 25,
            "schedule": "constant",
            "max_grad_norm": 1.0,
            "max_length": 128,
            "quantization": None,
            "precision": "fp32",
        },
    ),
}
RL = {"schedule": "constant", "max_grad_norm": 1.0, "weight_decay": 0.01, "prompts_per_step": 4, "loss": "sequence"}
MATH_RL = RL | {"learning_rate": 1e-6, "longest_prompt": 256, "top_k": 0, "advantage_clip": None, "reward_window": None}
PASS_RL = MATH_RL | {"max_new_tokens": 300, "beta": 0.05, "weight_clip": 50, "normalize_weights": False}
PROTEIN_RL = RL | {"steps": 300, "advantage_clip": 5, "weight_clip": None, "normalize_weights": True, "top_p": 1.0}
REINFORCED = {
    "math_rl_pass": PASS_RL
    | {"group_size": 4, "skipped_problems": 2000, "problems": 500, "steps": 125, "temperature": 0.8, "top_p": 0.95},
    "math_rl_majority": MATH_RL
    | {"group_size": 8, "skipped_problems": 0, "problems": 300, "steps": 75, "temperature": 0.8, "top_p": 0.95}
    | {"max_new_tokens": 512, "beta": 0, "weight_clip": 10, "normalize_weights": True, "all_wrong_penalty": 0.5},
    "warmup_transfer_ce": PASS_RL
    | {"group_size": 16, "skipped_problems": 0, "problems": 2000, "steps": 500, "temperature": 0.8, "top_p": 0.95},
    "protein_unconditional": PROTEIN_RL
    | {"group_size": 32, "learning_rate": 1e-5, "beta": 0.3, "temperature": 1.2, "top_k": 50, "max_new_tokens": 64}
    | {"reward_window": 4000},
    "protein_conditional": PROTEIN_RL
    | {"group_size": 25, "learning_rate": 2e-6, "beta": 0.05, "temperature": 1.3, "top_k": 0, "max_new_tokens": 32}
    | {"problems": 3000, "skipped_problems": 2000, "reward_window": None},
}
# recipe -> evaluation problems, the paper's pool, new tokens, temperature, top-p, top-k
EVALUATED = {
    "math_sft_pass": (500, 64, 512, 0.8, 0.95, 0),
    "math_sft_majority": (238, 128, 512, 0.8, 0.95, 0),
    "token_margin": (500, 64, 512, 0.8, 0.95, 0),
    "math_rl_pass": (500, 32, 300, 0.7, 0.9, 0),
    "math_rl_majority": (238, 16, 512, 0.8, 0.95, 0),
    "warmup_transfer_ce": (100, 16, 300, 0.7, 0.9, 0),
    "warmup_transfer_pass_n16": (100, 16, 300, 0.7, 0.9, 0),
    "protein_unconditional": (1, 512, 64, 1.2, 1.0, 50),
    "protein_conditional": (150, 32, 32, 1.3, 1.0, 0),
}
BUDGETS = {
    "math_sft_pass": [1, 4, 8, 16, 32, 64],
    "math_sft_majority": [1, 2, 4, 8, 16, 32, 64, 128],
    "token_margin": [1, 64],
    "math_rl_pass": [1, 4, 8, 16, 32],
    "math_rl_majority": [1, 4, 8, 16],
    "warmup_transfer": [1, 2, 4, 8, 16],
    "protein_unconditional": [1, 2, 4, 8, 16, 32, 64],
    "protein_conditional": [1, 2, 4, 8, 16, 32],
}


@pytest.fixture(scope="module")
def settings():
    preset = yaml.safe_load((REPO / "config" / "paper.yaml").read_text())
    return load_settings(preset, "paper.yaml", REPO / "config")


def differences(found, wanted):
    return {key: (found[key], value) for key, value in wanted.items() if found[key] != value}


@pytest.mark.parametrize("recipe", SUPERVISED)
def test_supervised_stages(settings, recipe):
    warmup_epochs, epochs, problems, rest = SUPERVISED[recipe]
    if warmup_epochs is not None:
        found = training_settings(settings, recipe, "warmup", 1).plain()
        wanted = SFT | {"objective": "ce", "epochs": warmup_epochs, "train_problems": problems} | rest
        assert differences(found, wanted) == {}
    if epochs is not None:
        found = training_settings(settings, recipe, "ce", 1).plain()
        assert differences(found, SFT | {"epochs": epochs, "train_problems": problems} | rest) == {}
        assert found["longest_prompt"] == 512


@pytest.mark.parametrize("recipe", REINFORCED)
def test_reinforcement_learning(settings, recipe):
    assert differences(rl_settings(settings, recipe, "grpo", 1).plain(), REINFORCED[recipe]) == {}


@pytest.mark.parametrize("recipe", EVALUATED)
def test_evaluation(settings, recipe):
    found = sampling_settings(settings, recipe, 1).plain()
    problems, pool, *drawn = EVALUATED[recipe]
    assert [found[key] for key in ("max_new_tokens", "temperature", "top_p", "top_k")] == drawn
    assert found["problems"] == problems
    assert found["n_samples"] in (pool, 2 * pool)  # never less than the paper's


def test_budgets_and_seeds(settings):
    preset = settings["preset"]
    assert {name: preset["experiments"][name]["k"] for name in BUDGETS} == BUDGETS
    assert len(preset["seeds"]) == 5 and preset["data"]["math"]["seed"] == 42
    assert len(preset["experiments"]) == 14  # the ablation's two halves are two entries; one is not in the paper
