"""Preset `paper` on stand-ins: its own settings, smaller in sizes, walked from base models to scored samples.

fp16 cannot train on a CPU, so the 7B model's stand-in is trained in bf16, which takes the same way but for loss
scaling; test_precision.py looks at that.
"""

import dataclasses
import json
import math
import random
import shutil

import bitsandbytes
import huggingface_hub
import pandas as pd
import pytest
import torch
import yaml
from conftest import REPO
from make_base_model import write_base_model
from peft import PeftModel
from safetensors.torch import load_file
from score_proteins import score_proteins
from stand_ins import make_mistral, make_protgpt2, math_rows, protein_text

from compute_aligned.config.loading import load_settings
from compute_aligned.config.resolving import rl_settings, sampling_settings, training_settings
from compute_aligned.models.loading import load_model, load_tokenizer
from compute_aligned.models.sources import read_source
from compute_aligned.models.tokenization import IGNORED, encode_example, encode_prompt
from compute_aligned.provenance.artifacts import read_artifact, write_artifact
from compute_aligned.sampling import evaluation as sample_script
from compute_aligned.sampling import transformers_backend as sampling
from compute_aligned.tasks import Problem
from compute_aligned.tasks.loading import load_task
from compute_aligned.tasks.sources import PROMPT, read_task
from compute_aligned.training import grpo_run as grpo_script
from compute_aligned.training.run_files import RunFiles
from compute_aligned.training.sft import gold_completions
from compute_aligned.training.sft_run import train_sft

CONFIG = REPO / "config"
RECIPE = "math_rl_pass"


@pytest.fixture(scope="module", autouse=True)
def weights_stay_as_on_a_gpu():
    """Some CPUs let bitsandbytes repack 4-bit weights for good, once they are sampled from: a GPU never does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bitsandbytes.nn.modules, "has_avx512bf16", lambda: False)
        yield


@pytest.fixture(scope="module")
def settings():
    """Preset `paper` with every setting but sizes, learning rates and fp16."""
    settings = load_settings(yaml.safe_load((CONFIG / "paper.yaml").read_text()), "paper.yaml", CONFIG)
    preset = settings["preset"]
    preset["models"]["math"]["precision"] = "bf16"
    for name in (RECIPE, "math_sft_pass"):
        preset["recipes"][name] |= {"train_problems": 8, "learning_rate": 2e-2, "checkpoint_steps": 50}
        sizes = {"problems": 3, "samples": 4, "max_new_tokens": 12, "rows_per_batch": 8}
        preset["recipes"][name]["evaluation"] |= sizes
    preset["recipes"][RECIPE]["rl"] |= {"problems": 8, "steps": 2, "learning_rate": 1e-3, "max_new_tokens": 12}
    for name in ("protein_unconditional", "protein_conditional"):
        preset["recipes"][name]["rl"] |= {"steps": 2, "learning_rate": 1e-3}
        preset["recipes"][name]["evaluation"] |= {"samples": 8, "rows_per_batch": 16}
    preset["recipes"]["protein_conditional"] |= {"train_problems": 100, "warmup_epochs": 1}
    preset["recipes"]["protein_conditional"]["rl"]["problems"] = 20
    preset["recipes"]["protein_conditional"]["evaluation"]["problems"] = 3
    return settings


@pytest.fixture(scope="module")
def bases(settings, tmp_path_factory):
    """Folders of both base models, fetched as the preset says from a hub that holds the stand-ins."""
    folder = tmp_path_factory.mktemp("bases")
    make_mistral(folder / "mistralai" / "Mistral-7B-Instruct-v0.2")
    make_protgpt2(folder / "nferruz" / "ProtGPT2")

    def snapshot_download(repository, local_dir, **options):
        shutil.copytree(folder / repository, local_dir, dirs_exist_ok=True)

    class Info:
        sha = "0123456789abcdef0123456789abcdef01234567"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
        patch.setattr(huggingface_hub.HfApi, "repo_info", lambda self, *args, **options: Info)
        for name, model in settings["preset"]["models"].items():
            write_base_model(read_source(model["source"]), str(folder / name))
    return {name: folder / name for name in settings["preset"]["models"]}


def write_problems(problems, path):
    write_artifact(pd.DataFrame([dataclasses.asdict(problem) for problem in problems]), "problems", path)
    return path


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    """File of problems as MATH's are written."""
    rows = [
        Problem(f"train/{i}", PROMPT.format(**row), row["solution"], row["answer"], row["subject"], 1 + i % 3)
        for i, row in enumerate(math_rows(24))
    ]
    return write_problems(rows, tmp_path_factory.mktemp("data") / "train.parquet")


def arguments(base, start, problems, settings, folder, name):
    files = RunFiles(
        base=str(base),
        start=str(start),
        problems=str(problems),
        model=str(folder / name),
        record=str(folder / f"{name}.parquet"),
        checkpoints=str(folder / "checkpoints"),
        run=f"recipe/{name}/seed1",
        code="c0de",
    )
    return {"files": files, "settings": settings, "threads": 1}


def spy(patch, module, name):
    """Has a function go on as before; the list returned here fills with the arguments and result of each call."""
    calls, function = [], getattr(module, name)

    def called(*args):
        calls.append((args, function(*args)))
        return calls[-1][1]

    patch.setattr(module, name, called)
    return calls


def share_of_digits(prompts, completions, log_extra, **columns):
    """A reward that random completions differ in; no stand-in solves a problem."""
    texts = [completion[-1]["content"] for completion in completions]
    return [sum(character.isdigit() for character in text) / max(1, len(text)) for text in texts]


# --- Mistral ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def walk(settings, bases, problems, tmp_path_factory):
    """Warm-up, second stage, reinforcement learning from the warm-up, and samples of the second stage."""
    folder, base = tmp_path_factory.mktemp("walk"), bases["math"]
    warmup, second = (training_settings(settings, "math_sft_pass", name, 1) for name in ("warmup", "pass_n16"))
    train_sft(**arguments(base, base, problems, warmup, folder, "warmup"))
    train_sft(**arguments(base, folder / "warmup", problems, second, folder, "second"))
    rl_warmup = training_settings(settings, RECIPE, "warmup", 1)
    train_sft(**arguments(base, base, problems, rl_warmup, folder, "rl_warmup"))
    found = {"folder": folder, "warmup": warmup, "second": second}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grpo_script, "reward_of", lambda settings: share_of_digits)
        generated = spy(patch, grpo_script.ComputeAlignedGRPOTrainer, "_generate_and_score_completions")
        found["rl"] = rl_settings(settings, RECIPE, "pass_n16_log", 1)
        grpo_script.train_grpo(**arguments(base, folder / "rl_warmup", problems, found["rl"], folder, "rl"))
        (found["trainer"], rows), found["batch"] = generated[0]
        found["prompts"] = [row["prompt"][0]["content"] for row in rows]
        sampled = spy(patch, sampling, "sample_pools")
        sample_script.sample(
            path_to_base=str(base),
            path_to_model=str(folder / "second"),
            path_to_problems=str(problems),
            settings=sampling_settings(settings, "math_sft_pass", 1),
            threads=1,
            checkpoints=str(folder / "shards"),
            path_to_samples=str(folder / "samples.parquet"),
            run="recipe/second/seed1",
            code="c0de",
        )
        (found["sampler"], _, found["sampled_prompts"], *_), _ = sampled[0]
        shards = [json.loads(path.read_text())["pools"] for path in sorted((folder / "shards").rglob("shard-*.json"))]
        found["pools"] = list(shards[0].values())
    return found


def adapter_of(folder):
    return load_file(folder / "adapter_model.safetensors")


def log_p(model, base, problems, settings):
    """log p of every training example's completion under a model, one at a time, in the order of the file."""
    tokenizer = load_tokenizer(base)
    found = {}
    for _, row in read_artifact("problems", problems).iterrows():
        example = encode_example(tokenizer, row["problem_id"], row["prompt"], row["answer"], settings.max_length)
        ids, labels = (torch.tensor([example[key]]) for key in ("input_ids", "labels"))
        with torch.no_grad():
            logits = model.eval()(input_ids=ids).logits[:, :-1].double().log_softmax(dim=-1)
        targets = labels[:, 1:]
        per_token = logits.gather(2, targets.clamp(min=0)[:, :, None])[:, :, 0]
        found[row["problem_id"]] = float(per_token[targets != IGNORED].sum())
    return found


def test_each_stage_leaves_an_adapter_of_the_named_projections_alone(walk, settings):
    for name, recipe in [("warmup", "math_sft_pass"), ("second", "math_sft_pass"), ("rl", RECIPE)]:
        weights = adapter_of(walk["folder"] / name)
        wanted = settings["recipes"][recipe]["adapter"]
        assert {key.split(".")[-3] for key in weights} == set(wanted["target_modules"])
        assert len(weights) == 2 * 2 * len(wanted["target_modules"])  # A and B, in two layers
        assert {weight.dtype for weight in weights.values()} == {torch.float32}
        assert {weight.shape[0] for key, weight in weights.items() if "lora_A" in key} == {wanted["r"]}
        assert not (walk["folder"] / name / "model.safetensors").exists()


def test_each_stage_moves_the_adapter_it_starts_from(walk):
    for before, after in [("warmup", "second"), ("rl_warmup", "rl")]:
        before, after = adapter_of(walk["folder"] / before), adapter_of(walk["folder"] / after)
        assert before.keys() == after.keys()
        moved = torch.cat([(before[key] != after[key]).flatten() for key in before])
        assert moved.float().mean() > 0.9


def test_the_base_is_in_nf4_with_double_quantisation_and_nothing_else_is_in_four_bits(walk, bases):
    model = load_model(bases["math"], walk["folder"] / "second", "bf16", "nf4", trainable=False)
    in_four_bits = {name for name, p in model.named_parameters() if p.dtype == torch.uint8}
    projections = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    assert len(in_four_bits) == 2 * len(projections)
    for name in in_four_bits:
        state = model.get_parameter(name).quant_state
        assert (state.quant_type, state.nested, state.blocksize, state.state2.blocksize) == ("nf4", True, 64, 256)
    others = {p.dtype for name, p in model.named_parameters() if name not in in_four_bits and "lora_" not in name}
    assert others == {torch.bfloat16}


def test_the_second_stage_starts_at_the_warm_ups_log_probabilities(walk, bases, problems):
    base, folder = bases["math"], walk["folder"]
    record = read_artifact("training", folder / "second.parquet")
    first = record.loc[record["step"] == 1, "log_p"]
    assert len(first) == 4
    after_warmup = log_p(load_model(base, folder / "warmup", "fp32", "nf4", False), base, problems, walk["second"])
    untrained = log_p(load_model(base, base, "fp32", "nf4", False), base, problems, walk["second"])

    def distance(log_p):
        values = torch.tensor(list(log_p.values()))
        return (values[None, :] - torch.tensor(first.to_numpy())[:, None]).abs().amin(dim=1).max()

    assert distance(after_warmup) < 0.1  # bf16
    assert distance(untrained) > 1


def test_samples_are_drawn_from_base_and_adapter_unmerged(walk, bases, problems):
    model = walk["sampler"]
    assert isinstance(model, PeftModel)
    layers = [module for module in model.modules() if hasattr(module, "merged")]
    assert len(layers) == 2 * 4 and not any(layer.merged for layer in layers)
    samples = read_artifact("samples", walk["folder"] / "samples.parquet")
    assert samples.groupby("problem_id").size().tolist() == [4, 4, 4]
    # The recorded log-probabilities are those of base and adapter in float32, from a plain forward pass.
    full = load_model(bases["math"], walk["folder"] / "second", "fp32", "nf4", trainable=False)
    bare = load_model(bases["math"], bases["math"], "fp32", "nf4", trainable=False)
    eos = load_tokenizer(bases["math"]).eos_token_id
    errors = {"full": [], "bare": []}
    for prompt, pool in zip(walk["sampled_prompts"], walk["pools"], strict=True):
        for tokens, finish_reason, mean_logprob in pool:
            completion = tokens + [eos] * (finish_reason == "stop")
            ids, labels = torch.tensor([prompt + completion]), torch.tensor([[IGNORED] * len(prompt) + completion])
            batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
            for name, model in (("full", full), ("bare", bare)):
                with torch.no_grad():
                    log_p = gold_completions(model.eval(), batch).log_p
                errors[name].append(abs(mean_logprob - log_p.item() / len(completion)))
    assert len(errors["full"]) == 12
    assert max(errors["full"]) < 0.05 < max(errors["bare"])


def test_the_warm_up_adapter_is_the_reference_and_kl_is_exactly_0_at_step_0(walk):
    record = read_artifact("rl_training", walk["folder"] / "rl.parquet")
    assert walk["rl"].beta == 0.05
    assert record["kl"].iloc[0] == 0.0
    assert record["kl"].iloc[1] > 0
    reference = {name.replace(".ref", ""): p for name, p in walk["trainer"].model.named_parameters() if ".ref." in name}
    warmup = adapter_of(walk["folder"] / "rl_warmup")
    assert reference.keys() == warmup.keys()
    assert all(torch.equal(reference[key], warmup[key]) for key in warmup)


def test_training_sees_the_prompt_of_the_template_with_one_start_token(walk, bases):
    tokenizer = load_tokenizer(bases["math"])
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 2
    seen = [
        ids[mask.bool()].tolist()
        for ids, mask in zip(walk["batch"]["prompt_ids"], walk["batch"]["prompt_mask"], strict=True)
    ]
    expected = [encode_prompt(tokenizer, prompt) for prompt in walk["prompts"]]
    assert sorted(seen) == sorted(expected)  # TRL has shuffled the rows
    assert all(ids[0] == 1 and ids.count(1) == 1 and ids.count(2) == 0 for ids in expected)
    text = tokenizer.decode(expected[0], skip_special_tokens=True)
    assert text.split() == ["[INST]", *walk["prompts"][0].split(), "[/INST]"]


# --- ProtGPT2 --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def protein_problems(settings, tmp_path_factory):
    """Files of both tasks' training problems."""
    folder = tmp_path_factory.mktemp("proteins")
    sizes = {"sizes": {"train": 120, "validation": 3, "test": 3}}
    return {
        name: write_problems(
            load_task(read_task(settings["preset"]["data"][name] | changes))[0]["train"],
            folder / f"{name}.parquet",
        )
        for name, changes in {"protein_unconditional": {}, "protein_conditional": sizes}.items()
    }


def test_an_unconditional_prompt_is_one_start_token_and_newlines_are_tokens_like_others(bases):
    tokenizer = load_tokenizer(bases["protein"])
    assert tokenizer.convert_ids_to_tokens(encode_prompt(tokenizer, "")) == ["<|endoftext|>"]
    text = protein_text(150, random.Random(5))
    assert [len(line) for line in text.split("\n")] == [60, 60, 30]
    example = encode_example(tokenizer, "p", "", text, 128)
    assert example["input_ids"][0] == tokenizer.bos_token_id
    assert example["labels"][-1] == tokenizer.eos_token_id and example["labels"][0] == IGNORED
    assert tokenizer.decode(example["input_ids"][1:-1]) == text
    assert len(example["input_ids"]) < 150  # pieces of several residues


def test_a_newline_after_60_residues_is_no_residue(bases, tmp_path):
    tokenizer = load_tokenizer(bases["protein"])
    text = protein_text(100, random.Random(6))
    decoded = tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True)
    samples = pd.DataFrame(
        [("unconditional", 0, decoded, "length", 64, -1.0)],
        columns=["problem_id", "sample", "completion", "finish_reason", "n_tokens", "mean_logprob"],
    )
    (problem,) = load_task(read_task({"loader": "protein_unconditional"}))[0]["train"]
    samples["problem_id"] = problem.problem_id
    write_artifact(samples, "samples", tmp_path / "samples.parquet")
    problems = write_problems([problem], tmp_path / "problems.parquet")
    facts = score_proteins(str(tmp_path / "samples.parquet"), str(problems), str(tmp_path / "scores.parquet"))
    (score,) = read_artifact("protein_scores", tmp_path / "scores.parquet").to_dict("records")
    assert facts["valid_share"] == 1
    h = sum(text.count(residue) for residue in "AILMFWYV") / 100
    assert score["hydrophobic_fraction"] == pytest.approx(h)
    expected = 4 * math.exp(-((h - 0.35) ** 2) / 0.05) + 12 * math.exp(-((h - 0.75) ** 2) / 0.015)
    assert score["reward"] == pytest.approx(expected - 2 * (0.45 < h < 0.60))


@pytest.mark.parametrize("name", ["protein_unconditional", "protein_conditional"])
def test_protgpt2_goes_from_warm_up_to_scored_samples(settings, bases, protein_problems, tmp_path, name):
    base, problems = bases["protein"], protein_problems[name]
    start = base
    if settings["recipes"][name]["warmup"] is not None:
        warmup = training_settings(settings, name, "warmup", 1)
        facts = train_sft(**arguments(base, base, problems, warmup, tmp_path, "warmup"))
        assert (facts["n_steps"], facts["n_targets_cut"]) == (1, 0)
        start = tmp_path / "warmup"
    rl = rl_settings(settings, name, "best_of_n4", 1)
    assert (rl.adapter, rl.quantization, rl.precision) == (None, None, "fp32")
    grpo_script.train_grpo(**arguments(base, start, problems, rl, tmp_path, "rl"))
    record = read_artifact("rl_training", tmp_path / "rl.parquet")
    assert record["kl"].iloc[0] == 0.0 < record["kl"].iloc[1]  # against the model that training starts from
    before, after = (load_file(folder / "model.safetensors") for folder in (start, tmp_path / "rl"))
    assert before.keys() == after.keys()
    assert all((before[key] != after[key]).any() for key in before)  # all weights are trained
    sample_script.sample(
        path_to_base=str(base),
        path_to_model=str(tmp_path / "rl"),
        path_to_problems=str(problems),
        settings=sampling_settings(settings, name, 1),
        threads=1,
        checkpoints=str(tmp_path / "shards"),
        path_to_samples=str(tmp_path / "samples.parquet"),
        run="recipe/rl/seed1",
        code="c0de",
    )
    score_proteins(str(tmp_path / "samples.parquet"), str(problems), str(tmp_path / "scores.parquet"))
    scores = read_artifact("protein_scores", tmp_path / "scores.parquet")
    assert len(scores) == 8 * settings["preset"]["recipes"][name]["evaluation"]["problems"]
    assert scores["reward"].between(-5, 12.17).all()
