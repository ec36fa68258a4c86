"""Preflight on a CPU, with models of the paper's kinds and a few thousand weights: every stage, and its faults."""

import csv
import sys

import pytest
import torch
from conftest import REPO

from compute_aligned.planning import memory, preflight
from compute_aligned.planning.cost import read_measured
from compute_aligned.training.checkpoints import seal

SMALL = {
    "mistralai/Mistral-7B-Instruct-v0.2": {
        "model_type": "mistral",
        "vocab_size": 128,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": False,
    },
    "nferruz/ProtGPT2": {
        "model_type": "gpt2",
        "vocab_size": 128,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 2,
        "n_positions": 1024,
    },
}
RECIPES = ("math_sft_pass", "math_rl_pass", "protein_unconditional")
SIZES = {
    "math_sft_pass": '{"evaluation": {"max_new_tokens": 16}}',
    "math_rl_pass": '{"rl": {"max_new_tokens": 16}, "evaluation": {"max_new_tokens": 16}}',
    "protein_unconditional": '{"rl": {"max_new_tokens": 8}, "evaluation": {"max_new_tokens": 8}}',
}


@pytest.fixture
def fly(monkeypatch, tmp_path):
    """Run preflight of `paper` with small models in bf16, since a CPU has no fp16: what it exits with."""
    monkeypatch.chdir(tmp_path)
    for name, architecture in SMALL.items():
        monkeypatch.setitem(memory.KNOWN, name, architecture)

    def run(*recipes, precision="bf16"):
        values = [f'models={{"math": {{"precision": "{precision}"}}}}']
        values.append("recipes={" + ", ".join(f'"{name}": {SIZES[name]}' for name in SIZES) + "}")
        arguments = [str(REPO / "config/paper.yaml"), "--config", *values, "--random-weights", "--recipes", *recipes]
        monkeypatch.setattr(sys, "argv", ["preflight", *arguments])
        return preflight.main()

    return run


@pytest.mark.slow
def test_every_stage_of_every_kind_of_recipe_goes_well_and_is_measured(fly, capsys):
    assert fly(*RECIPES) == 0
    printed = capsys.readouterr().out
    assert "10 of 10 stages went well on CPU; the table is in results/paper/preflight.csv" in printed
    measured, device = read_measured(preflight.Path("results/paper/preflight.csv"))
    assert device == "CPU"
    wanted = {(name, "sampling") for name in RECIPES} | {(name, "training") for name in RECIPES[:2]}
    assert set(measured) == wanted and all(speed > 0 for speed in measured.values())
    with open("results/paper/preflight.csv", newline="") as file:
        scales = {row["stage"]: row["loss_scale"] for row in csv.DictReader(file)}
    assert scales == {"load": "", "supervised": "none", "GRPO": "none", "sampling": ""}  # bf16 and fp32 need none


def test_a_precision_that_the_device_lacks_is_a_fault_with_its_sentence(fly, capsys):
    assert fly("math_sft_pass", precision="fp16") == 1
    assert "FAILED: precision fp16 needs a GPU" in capsys.readouterr().out


def test_the_loss_scale_is_that_of_the_last_checkpoint(tmp_path):
    """A training of six steps by torch's own loss scaling, of which two overflow."""
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    scaler = torch.amp.GradScaler("cpu")
    for loss in (float("inf"), float("inf"), 1.0, 1.0, 1.0, 1.0):
        before = scaler.get_scale()
        scaler.scale(weight.sum() * loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        if scaler.get_scale() == before:  # as accelerate sees that no step was skipped
            schedule.step()
    folder = tmp_path / "checkpoint-6"
    folder.mkdir()
    torch.save(scaler.state_dict(), folder / "scaler.pt")
    torch.save(schedule.state_dict(), folder / "scheduler.pt")
    seal(folder)
    assert preflight.loss_scale(tmp_path) == "65536 to 16384, 33% of 6 steps skipped"


def test_an_unknown_recipe_is_named(fly):
    with pytest.raises(ValueError, match="no recipe math_sft_pas in paper; wanted math_sft_pass"):
        fly("math_sft_pas")


def test_the_longest_text_is_as_long_as_it_may_be():
    for limit in (3, 10, 511, 512):
        text = preflight._longest(lambda text, limit=limit: len(text) <= limit)
        assert limit - 2 < len(text) <= limit
