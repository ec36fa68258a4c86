"""Padding changes no log-probability, whatever the architecture: trainers against single rows without padding."""

import functools

import pytest
import torch
from conftest import ADAPTER, SAMPLING, TRAINING
from datasets import Dataset
from test_grpo import ADVANTAGES, SETTINGS, digits, without_padding
from transformers import AutoConfig, AutoModelForCausalLM, TrainerCallback
from trl.trainer.utils import add_fused_lm_head

from compute_aligned.advantages import rl_objective
from compute_aligned.models import prefix
from compute_aligned.models.loading import add_adapter, load_model
from compute_aligned.models.tokenization import IGNORED, encode_example, encode_prompt
from compute_aligned.objectives import sft_objective
from compute_aligned.sampling.transformers_backend import sample_pools, uniforms
from compute_aligned.training.grpo import ComputeAlignedGRPOTrainer, _Scored, grpo_arguments, prompts_dataset
from compute_aligned.training.sft import ComputeAlignedSFTTrainer, gold_completions, trainer_arguments

SIZES = {
    "llama": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
    "mistral": {
        **{"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
        **{"num_key_value_heads": 1, "sliding_window": None},
    },
    "gpt2": {
        **{"n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": 128},
        **{"embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0},
    },
}
TARGETS = {"gpt2": ["c_attn"]}
ARCHITECTURES = pytest.mark.parametrize("architecture", SIZES)


@pytest.fixture(scope="module")
def folder_of(tokenizer, tmp_path_factory):
    """architecture -> folder of a model."""

    @functools.cache
    def folder(architecture):
        path = tmp_path_factory.mktemp(architecture)
        write_random_model(architecture, tokenizer, path)
        return path

    return folder


def write_random_model(architecture, tokenizer, folder):
    """Random weights ten times as large as usual, so that attention and positions matter."""
    config = AutoConfig.for_model(
        architecture, vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id, **SIZES[architecture]
    )
    torch.manual_seed(4)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "head" not in name:
                parameter.mul_(10)
    model.save_pretrained(folder)


@pytest.fixture
def make_model(folder_of):
    """A fresh copy of a model, with an adapter that is far from zero if asked for."""

    def make(architecture, adapter=False):
        base = folder_of(architecture)
        model = load_model(base, base, "fp32", None, trainable=True)
        if adapter:
            targets = TARGETS.get(architecture, ADAPTER.target_modules)
            model = add_adapter(model, ADAPTER | {"target_modules": targets}, seed=1)
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    torch.nn.init.normal_(parameter, std=0.3)
        return model.eval()

    return make


@pytest.fixture
def make_trainer(make_model, tokenizer, splits, tmp_path):
    def make(architecture, adapter=False, **changes):
        return ComputeAlignedGRPOTrainer(
            model=make_model(architecture, adapter),
            args=grpo_arguments(SETTINGS | {"max_grad_norm": 1e9, "steps": 1} | changes, tmp_path / "work"),
            train_dataset=prompts_dataset(splits["train"][:24]),
            processing_class=tokenizer,
            reward_funcs=digits,
            objective=rl_objective("grpo"),
            advantage_settings=ADVANTAGES["grpo"],
            loss="sequence",
        )

    return make


class _Seen(TrainerCallback):
    """Keeps the first batch of a trainer, the log-probabilities in its loss, and the gradient of its first step."""

    def __init__(self, trainer):
        generate, forward = trainer._generate_and_score_completions, trainer._get_per_token_logps_and_entropies
        self.gradient = None

        def keep_batch(inputs):
            self.batch = generate(inputs)
            return self.batch

        def keep_log_p(*args, **kwargs):
            output = forward(*args, **kwargs)
            self.log_p = output[0].detach()  # of the last call: that in the loss
            return output

        trainer._generate_and_score_completions = keep_batch
        trainer._get_per_token_logps_and_entropies = keep_log_p
        trainer._prepare_inputs, prepare = self._keep_inputs, trainer._prepare_inputs
        self._prepare = prepare
        trainer.add_callback(self)

    def _keep_inputs(self, generation_batch):
        self.inputs = self._prepare(generation_batch)
        return self.inputs

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.gradient = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_rows_equal(padded, batch, expected):
    for row, (mask, single) in enumerate(zip(batch["completion_mask"].bool(), expected, strict=True)):
        torch.testing.assert_close(padded[row][mask], single.detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("adapter", [False, True], ids=["whole", "adapter"])
@ARCHITECTURES
def test_policy_and_reference_give_the_log_probabilities_of_rows_without_padding(
    make_trainer, make_model, architecture, adapter
):
    trainer = make_trainer(architecture, adapter)
    seen = _Seen(trainer)
    trainer.train()
    batch = seen.inputs
    assert len(batch["prompt_mask"].sum(dim=1).unique()) > 1  # prompts of several lengths
    with torch.no_grad():
        expected = without_padding(make_model(architecture, adapter), batch)
    assert_rows_equal(seen.log_p, batch, expected)
    assert_rows_equal(batch["ref_per_token_logps"], batch, expected)
    assert trainer.record["steps"][0]["kl"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("gradient_checkpointing", [False, True], ids=["plain", "checkpointing"])
@ARCHITECTURES
def test_the_gradient_of_a_step_is_that_of_rows_without_padding(
    make_trainer, make_model, architecture, gradient_checkpointing
):
    trainer = make_trainer(architecture, micro_batch_size=4, gradient_checkpointing=gradient_checkpointing)
    plain = make_model(architecture)
    seen = _Seen(trainer)
    trainer.train()
    advantages = seen.batch["advantages"]
    log_p = torch.stack([row.sum() for row in without_padding(plain, seen.batch)])
    (-(advantages * log_p).mean()).backward()  # the KL term's gradient is 0 at its minimum
    largest = max(float(p.grad.abs().max()) for p in plain.parameters())
    for name, parameter in plain.named_parameters():
        assert float((seen.gradient[name] - parameter.grad).abs().max()) <= 1e-4 * largest, name


@pytest.mark.parametrize("adapter", [False, True], ids=["whole", "adapter"])
@ARCHITECTURES
def test_sampling_in_training_reads_a_prompt_as_if_it_stood_alone(make_trainer, make_model, architecture, adapter):
    trainer = make_trainer(architecture, adapter, top_k=1)  # the most probable token each time
    model = make_model(architecture, adapter)
    seen = _Seen(trainer)
    trainer.train()
    batch = seen.batch
    for row in range(0, 16, 4):
        ids = batch["prompt_ids"][row][batch["prompt_mask"][row].bool()]
        completion = batch["completion_ids"][row][batch["completion_mask"][row].bool()].tolist()
        for token in completion:
            with torch.no_grad():
                assert int(model(input_ids=ids[None]).logits[0, -1].argmax()) == token
            ids = torch.cat([ids, torch.tensor([token])])


@ARCHITECTURES
def test_our_own_sampling_gives_the_log_probabilities_of_rows_without_padding(
    make_model, architecture, tokenizer, splits
):
    model = make_model(architecture)
    prompts = [encode_prompt(tokenizer, problem.prompt) for problem in splits["train"][:6]]
    settings = SAMPLING | {"n_samples": 4, "max_new_tokens": 6}
    draws = [uniforms(1, str(i), 4, 6) for i in range(6)]
    for i, pool in sample_pools(model, tokenizer, prompts, draws, settings):
        for completion in pool:
            said = completion.tokens + [tokenizer.eos_token_id] * (completion.finish_reason == "stop")
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([prompts[i] + said])).logits[0, len(prompts[i]) - 1 : -1]
            own = logits.double().log_softmax(dim=-1).gather(1, torch.tensor(said)[:, None])
            assert completion.mean_logprob == pytest.approx(float(own.mean()), abs=1e-5)


@ARCHITECTURES
def test_supervised_training_sees_the_log_probabilities_of_rows_without_padding(
    make_model, architecture, tokenizer, splits, tmp_path
):
    """Its rows are padded on the right, where nothing counts it."""
    problems = splits["train"][:8]
    examples = [encode_example(tokenizer, p.problem_id, p.prompt, p.answer, 96) for p in problems]
    trainer = ComputeAlignedSFTTrainer(
        model=make_model(architecture),
        args=trainer_arguments(TRAINING | {"learning_rate": 1e-9}, tmp_path / "work"),
        train_dataset=Dataset.from_list(examples),
        processing_class=tokenizer,
        objective=sft_objective("ce"),
        average="sequence",
    )
    trainer.train()
    model, expected = make_model(architecture), []
    for example in examples:
        labels = torch.tensor(example["labels"])
        with torch.no_grad():
            log_probs = model(input_ids=torch.tensor([example["input_ids"]])).logits[0, :-1].log_softmax(dim=-1)
        places = (labels[1:] != IGNORED).nonzero()[:, 0]
        expected.append(float(log_probs[places, labels[1:][places]].sum()))
    assert len({len(example["labels"]) for example in examples}) > 1  # so that padding takes part
    assert sorted(row[1] for row in trainer.record) == pytest.approx(sorted(expected), abs=1e-4)


# --- a common prefix -------------------------------------------------------------------------------------------------


def rows_that_begin_alike(side, n_shared=20):
    """Four rows that share their first tokens and no more: prompts of several lengths, completions of several."""
    generator = torch.Generator().manual_seed(7)
    shared = torch.randint(3, 12, (n_shared,), generator=generator).tolist()
    batch = {"input_ids": [], "attention_mask": [], "labels": []}
    for row, (n_prompt, n_completion) in enumerate([(3, 5), (6, 2), (2, 3), (4, 5)]):
        own = [12 + row, *torch.randint(3, 20, (n_prompt + n_completion - 1,), generator=generator).tolist()]
        left, right = (6 - n_prompt, 5 - n_completion) if side == "left" else (0, 11 - n_prompt - n_completion)
        masked = [IGNORED] * (left + n_shared + n_prompt)
        batch["input_ids"].append([0] * left + shared + own + [0] * right)
        batch["attention_mask"].append([0] * left + [1] * (n_shared + len(own)) + [0] * right)
        batch["labels"].append(masked + own[n_prompt:] + [IGNORED] * right)
    return {name: torch.tensor(rows) for name, rows in batch.items()}


@pytest.mark.parametrize("side", ["left", "right"])
@ARCHITECTURES
def test_a_common_prefix_is_read_once_with_log_probabilities_and_gradients_of_whole_rows(
    make_model, architecture, side, monkeypatch
):
    batch = rows_that_begin_alike(side)
    inputs, cut = prefix.after_common_prefix(make_model(architecture), **batch)
    padding = 20 + (0 if side == "right" else int(batch["attention_mask"].argmax(dim=1).min()))
    assert cut == padding and inputs["input_ids"].shape == (4, batch["input_ids"].shape[1] - cut)
    found = []
    for shortest in (16, 21):  # read once, and not
        monkeypatch.setattr(prefix, "SHORTEST", shortest)
        model = make_model(architecture, adapter=True)
        if side == "left":
            add_fused_lm_head(model.get_base_model(), outputs=("log_probs", "entropy"))
            log_p = _Scored(model)(**batch, fused_lm_head=True).log_probs[:, -5:].sum(dim=1)
        else:
            log_p = gold_completions(model, batch).log_p
        (log_p * torch.tensor([1.0, -2.0, 0.5, 1.5])).sum().backward()
        found.append([log_p.detach(), *(p.grad for p in model.parameters() if p.requires_grad)])
    assert all(float(gradient.abs().max()) > 0 for gradient in found[0])
    for once, whole in zip(*found, strict=True):
        torch.testing.assert_close(once, whole, rtol=1e-3, atol=1e-4 * float(whole.abs().max()))


def test_rows_stay_whole_without_a_long_prefix_before_the_first_output_or_with_checkpointing(make_model):
    model, batch = make_model("llama"), rows_that_begin_alike("right")
    short = rows_that_begin_alike("right", n_shared=10)
    early = batch | {"labels": batch["labels"].index_fill(1, torch.tensor([9]), 5)}
    single = {name: rows[:1] for name, rows in batch.items()}
    for rows in (short, early, single):
        assert prefix.after_common_prefix(model, **rows) == ({n: rows[n] for n in ("input_ids", "attention_mask")}, 0)
    model.gradient_checkpointing_enable()
    assert prefix.after_common_prefix(model, **batch)[1] == 0
