"""The GRPO trainer against TRL's own, against itself killed or cut otherwise, and what it relies on in TRL."""

import dataclasses
import inspect
import json
import math
import re
from collections import Counter
from functools import partial
from typing import get_args

import pytest
import torch
import yaml
from conftest import ADAPTER, REPO, RL
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from transformers import TrainerCallback, TrainingArguments
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import RepeatSampler, nanstd

from compute_aligned.advantages import AdvantageSettings, group_advantages, rl_objective
from compute_aligned.config.settings.rl import RLMethod
from compute_aligned.grading import grade_many
from compute_aligned.models.loading import add_adapter, load_model
from compute_aligned.tasks.rewards import AnswerReward, grade_as_the_paper
from compute_aligned.training import grpo
from compute_aligned.training.checkpoints import RECORD, last_whole_checkpoint
from compute_aligned.training.grpo import RECORDED, ComputeAlignedGRPOTrainer, grpo_arguments, prompts_dataset

SETTINGS = RL | {
    "steps": 6,
    "max_new_tokens": 8,
    "temperature": 1.2,
    "beta": 0.1,
    "checkpoint_steps": 3,
    "skipped_problems": 0,
    "problems": 24,
    "loss": "token_mean",
    "weight_clip": None,
    "normalize_weights": False,
    "all_wrong_penalty": 0,
}
ADVANTAGES = {
    "grpo": AdvantageSettings(None, False, None, 0.0, None),
    "pass_n4_log": AdvantageSettings(50.0, False, None, 0.0, None),
    "pass_n16_raw": AdvantageSettings(50.0, False, None, 0.0, None),
    "majority_n4_raw": AdvantageSettings(10.0, True, None, 0.5, None),
    "best_of_n4": AdvantageSettings(None, True, 5.0, 0.0, reward_window=40),
}
RIGHT = AnswerReward(partial(grade_as_the_paper, whole_is_answer=True))


def digits(prompts, completions, log_extra, **columns):
    """A reward with many values: the share of digits."""
    texts = [completion[-1]["content"] for completion in completions]
    return [sum(c.isdigit() for c in text) / max(1, len(text)) for text in texts]


@pytest.fixture
def make_trainer(base, trained, splits, tokenizer, tmp_path):
    """A trainer of the briefly trained model; keywords change the settings."""

    def make(
        objective="grpo",
        cls=ComputeAlignedGRPOTrainer,
        model=None,
        reward=None,
        loss="token_mean",
        work="work",
        **changes,
    ):
        reward = reward or (digits if objective.startswith("best") else RIGHT)
        ours = {"objective": rl_objective(objective), "advantage_settings": ADVANTAGES[objective], "loss": loss}
        return cls(
            model=model or load_model(base, trained, "fp32", None, trainable=True),
            args=grpo_arguments(SETTINGS | changes, tmp_path / work),
            train_dataset=prompts_dataset(splits["train"][:24]),
            processing_class=tokenizer,
            reward_funcs=reward,
            **(ours if cls is ComputeAlignedGRPOTrainer else {}),
        )

    return make


def weights_of(trainer):
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


def assert_identical(one, other):
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def without_padding(model, batch):
    """log p of each completion token at the sampling temperature, each row alone and unpadded; one tensor a row."""
    rows = []
    for row in range(len(batch["prompt_ids"])):
        prompt = batch["prompt_ids"][row][batch["prompt_mask"][row].bool()]
        completion = batch["completion_ids"][row][batch["completion_mask"][row].bool()]
        logits = model(input_ids=torch.cat([prompt, completion])[None]).logits[0, len(prompt) - 1 : -1]
        log_probs = (logits / SETTINGS.temperature).log_softmax(dim=-1)
        rows.append(log_probs.gather(1, completion[:, None])[:, 0])
    return rows


class _Batches:
    """Keeps each generated batch."""

    def __init__(self, trainer):
        self.batches = []
        generate = trainer._generate_and_score_completions

        def keep(inputs):
            output = generate(inputs)
            self.batches.append({key: value.clone() for key, value in output.items()})
            return output

        trainer._generate_and_score_completions = keep


class _DrawnByOurSampler(GRPOTrainer):
    """TRL's trainer but for who draws."""

    _generate_single_turn = ComputeAlignedGRPOTrainer._generate_single_turn


# --- nothing else changes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("micro_batch_size", "reward"), [(16, RIGHT), (4, digits)], ids=["whole", "split"])
def test_the_objective_grpo_trains_exactly_as_trl_does(make_trainer, micro_batch_size, reward):
    ours = make_trainer(micro_batch_size=micro_batch_size, reward=reward)
    start = weights_of(ours)
    ours.train()
    # Made after the first has trained: a trainer seeds the random generators where it is made.
    trl = make_trainer(cls=_DrawnByOurSampler, micro_batch_size=micro_batch_size, reward=reward)
    trl.train()
    assert ours.state.global_step == 6
    assert_identical(weights_of(ours), weights_of(trl))
    assert any(not torch.equal(start[name], weight) for name, weight in weights_of(ours).items())
    for mine, theirs in zip(ours.state.log_history[:-1], trl.state.log_history[:-1], strict=True):
        assert {key: mine[key] for key in theirs if key != "step_time"} == {
            key: value for key, value in theirs.items() if key != "step_time"
        }


@given(st.integers(2, 32), st.integers(0, 10**6))
def test_group_advantages_are_trls_to_the_last_bit(group, seed):
    """The steps of _generate_and_score_completions with scale_rewards="group"."""
    rewards = torch.randn(5, group, generator=torch.Generator().manual_seed(seed)) * 10
    mean = torch.nanmean(rewards, dim=1)[:, None]
    trl = (rewards - mean) / (nanstd(rewards, dim=1)[:, None] + 1e-4)
    assert torch.equal(group_advantages(rewards), trl)


class _Losses:
    """Keeps what TRL's loss was given and used: per step, the advantage of each row, and those in TRL's log."""

    def __init__(self, trainer, monkeypatch):
        self.used, self.logged = [], []
        loss = GRPOTrainer._compute_loss

        def keep(owner, model, inputs):
            output = loss(owner, model, inputs)
            if owner is trainer:
                # The advantages as they stand when TRL has used them. TRL shuffles the rows of a batch.
                self.used[-1] += inputs["advantages"].tolist()
                self.logged[-1] = list(trainer._logs["advantages"])
            return output

        generate = trainer._generate_and_score_completions

        def start(inputs):
            self.used.append([])
            self.logged.append([])
            return generate(inputs)

        trainer._generate_and_score_completions = start
        monkeypatch.setattr(GRPOTrainer, "_compute_loss", keep)


@pytest.mark.parametrize("micro_batch_size", [16, 4])
@pytest.mark.parametrize("objective", ADVANTAGES)
def test_the_advantages_trained_on_are_the_logged_ones(make_trainer, objective, micro_batch_size, monkeypatch):
    trainer = make_trainer(objective, micro_batch_size=micro_batch_size)
    kept = _Losses(trainer, monkeypatch)
    trainer.train()
    assert len(kept.used) == 6
    for used, logged in zip(kept.used, kept.logged, strict=True):
        assert len(used) == 16
        assert sorted(used) == pytest.approx(sorted(logged), rel=1e-6)
    used = torch.tensor(kept.used)
    assert torch.isfinite(used).all() and (used != 0).any()


@pytest.mark.parametrize("micro_batch_size", [16, 4])
@pytest.mark.parametrize("loss", grpo.LOSSES)
def test_a_weight_taken_in_the_loss_is_the_one_of_a_pass_of_its_own(make_trainer, loss, micro_batch_size, monkeypatch):
    """Pass@N without normalisation costs no forward pass more than GRPO, and trains the same."""

    def trained(own_pass):
        trainer = make_trainer("pass_n4_log", loss=loss, micro_batch_size=micro_batch_size)
        trainer._weighs_in_loss = not own_pass
        passes = []
        forward = GRPOTrainer._get_per_token_logps_and_entropies
        with monkeypatch.context() as patch:
            patch.setattr(
                GRPOTrainer,
                "_get_per_token_logps_and_entropies",
                lambda *args, **kwargs: passes.append(1) or forward(*args, **kwargs),
            )
            trainer.train()
        return trainer, len(passes)

    (ours, passes), (plain, more) = trained(False), trained(True)
    assert (passes, more) == (6 * (16 // micro_batch_size + 1), 6 * (16 // micro_batch_size + 2))  # KL takes one
    assert_close(weights_of(ours), weights_of(plain))
    for mine, theirs in zip(ours.record["steps"], plain.record["steps"], strict=True):
        mine, theirs = ({key: value for key, value in row.items() if value is not None} for row in (mine, theirs))
        assert mine == pytest.approx(theirs, rel=1e-4)


def test_pass_weights_use_the_sequences_probability_at_the_sampling_temperature(make_trainer):
    trainer = make_trainer("pass_n4_log")
    trainer._weighs_in_loss = False  # the same weights, where the batch can be looked at
    kept = _Batches(trainer)
    start = weights_of(trainer)
    trainer.train()
    batch = kept.batches[0]
    trainer.model.load_state_dict(start, strict=False)
    with torch.no_grad():
        log_p = torch.stack([row.double().sum() for row in without_padding(trainer.model, batch)])
    weights = rl_objective("pass_n4_log").operator.sft_weight(log_p)
    assert weights.min() < 0.95  # the test can tell the weights from 1
    rewards = torch.tensor([row["reward"] for row in trainer.record["steps"]])
    assert 0 < rewards[0] < 1
    right = batch["advantages"] > 0
    advantages = group_advantages(right.float().view(4, 4)).flatten()
    torch.testing.assert_close(batch["advantages"], (weights * advantages).float(), rtol=1e-4, atol=1e-5)
    assert trainer.record["steps"][0]["log_p_p50"] == pytest.approx(log_p.quantile(0.5).item(), rel=1e-5)


def test_log_probabilities_that_trl_has_computed_are_not_computed_again(make_trainer):
    per_token = torch.tensor([[-1.0, -2.0, -4.0], [-8.0, -16.0, -32.0]])
    output = {"old_per_token_logps": per_token, "completion_mask": torch.tensor([[1, 1, 0], [1, 1, 1]])}
    assert make_trainer("pass_n4_log")._sequence_log_p(output).tolist() == [-3.0, -56.0]


def test_a_majority_needs_a_reward_that_logs_answers(make_trainer):
    trainer = make_trainer("majority_n4_raw")
    trainer.reward_funcs[0] = lambda prompts, **columns: [0.0] * len(prompts)
    with pytest.raises(ValueError, match="majority_n4_raw counts votes, but .* logged 0 answers for 16 completions"):
        trainer.train()


def test_several_reward_functions_are_refused(make_trainer):
    with pytest.raises(ValueError, match="got 2 reward functions and 1 processes; wanted one of each"):
        make_trainer(reward=[RIGHT, digits])


# --- the loss --------------------------------------------------------------------------------------------------------


def loss_and_gradients(trainer, batch):
    trainer.model.train()
    trainer.model.zero_grad()
    trainer.current_gradient_accumulation_steps = 1
    loss = trainer.compute_loss(trainer.model, dict(batch))
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}


def weighted_advantages_of(trainer, batch):
    """A~ of a batch's rows; a weight that is taken in the loss is computed from rows without padding."""
    if "row" not in batch:
        return batch["advantages"]
    with torch.no_grad():
        log_p = torch.stack([row.double().sum() for row in without_padding(trainer.model, batch)]).clamp(min=-50)
    operator = trainer.objective.operator
    weights = operator.sft_weight(log_p) if trainer.objective.form == "log" else operator.rl_weight(log_p)
    assert weights.min() < 0.95 * weights.max()  # a test can tell them from a constant
    return batch["advantages"] * weights.float()


def plain_gradients(trainer, batch, loss, beta):
    """Gradients of the docstring's formulas, from the full logits of rows without padding."""
    advantages = weighted_advantages_of(trainer, batch)
    trainer.model.zero_grad()
    tokens = batch["completion_mask"]
    per_token = torch.nn.utils.rnn.pad_sequence(without_padding(trainer.model, batch), batch_first=True)
    lengths = tokens.sum(dim=1)
    sequence = (per_token * tokens).sum(dim=1)
    policy = -advantages * (sequence if loss == "sequence" else sequence / lengths)
    d = batch["ref_per_token_logps"] - per_token if beta else torch.zeros_like(per_token)
    kl = ((d.exp() - d - 1) * tokens).sum(dim=1) / lengths
    (policy + beta * kl).mean().backward()
    return {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}


def assert_close(one, other):
    assert one.keys() == other.keys()
    largest = max(float(tensor.abs().max()) for tensor in other.values())
    for name in one:
        assert float((one[name] - other[name]).abs().max()) <= 1e-4 * largest, name


@pytest.fixture
def batch_away_from_the_reference(make_trainer):
    """A trainer after six steps and its last batch with a signal, so that KL and advantages are not zero."""

    def make(loss, beta, objective="majority_n4_raw"):
        trainer = make_trainer(objective, loss=loss, beta=beta, learning_rate=3e-3, max_new_tokens=6)
        kept = _Batches(trainer)
        trainer.train()
        batch = [batch for batch in kept.batches if batch["advantages"].any()][-1]
        assert len(batch["completion_mask"].sum(dim=1).unique()) > 1  # completions of several lengths
        return trainer, batch

    return make


def test_the_tests_hold_every_loss_form_that_a_recipe_may_name():
    assert get_args(RLMethod.model_fields["loss"].annotation) == grpo.LOSSES
    recipes = yaml.safe_load((REPO / "config" / "recipes.yaml").read_text())["recipes"]
    assert {recipe["rl"]["loss"] for recipe in recipes.values() if "rl" in recipe} <= set(grpo.LOSSES)


@pytest.mark.parametrize("objective", ["majority_n4_raw", "pass_n4_log"])
@pytest.mark.parametrize("beta", [0.0, 0.5])
@pytest.mark.parametrize("loss", grpo.LOSSES)
def test_the_gradient_is_that_of_the_formula(batch_away_from_the_reference, loss, beta, objective):
    trainer, batch = batch_away_from_the_reference(loss, beta, objective)
    _, gradients = loss_and_gradients(trainer, batch)
    assert_close(gradients, plain_gradients(trainer, batch, loss, beta))


@pytest.mark.parametrize("objective", ADVANTAGES)
@pytest.mark.parametrize(
    ("loss", "beta", "trls"),
    [("token_mean", 0.0, "grpo"), ("token_mean", 0.5, "grpo"), ("sequence", 0.0, "luspo")],
)
def test_loss_and_gradient_are_those_of_trls_loss_of_the_weighted_advantages(
    batch_away_from_the_reference, make_trainer, objective, loss, beta, trls
):
    """Of the sequence loss with a KL term TRL has none; its gradient is held against the formula above."""
    trainer, batch = batch_away_from_the_reference(loss, beta, objective)
    trainer.model.double()
    value, gradients = loss_and_gradients(trainer, batch)
    trl = make_trainer(cls=GRPOTrainer, model=trainer.model, beta=beta, work="trl")
    trl.loss_type = trls
    advantages = weighted_advantages_of(trainer, batch)
    trl_value, trl_gradients = loss_and_gradients(trl, batch | {"advantages": advantages})
    assert value == pytest.approx(trl_value, rel=1e-6, abs=1e-9)
    assert gradients.keys() == trl_gradients.keys()
    largest = max(float(gradient.abs().max()) for gradient in trl_gradients.values())
    assert largest > 0
    for name, gradient in gradients.items():
        assert float((gradient - trl_gradients[name]).abs().max()) <= 1e-6 * largest, name


def test_the_sequence_loss_trains_as_trls_luspo_does(make_trainer):
    ours = make_trainer("grpo", loss="sequence", beta=0.0)
    ours.model.double()  # so that Adam has no rounding errors to blow up
    ours.train()
    trl = make_trainer(cls=_DrawnByOurSampler, beta=0.0, work="trl")
    trl.loss_type = "luspo"
    trl.model.double()
    trl.train()
    assert_close(weights_of(ours), weights_of(trl))
    for mine, theirs in zip(ours.state.log_history[:-1], trl.state.log_history[:-1], strict=True):
        for key in ("loss", "grad_norm", "reward", "entropy"):
            assert mine[key] == pytest.approx(theirs[key], rel=1e-4, abs=1e-6), key


def test_without_kl_the_sequence_loss_is_trls_luspo_and_the_token_mean_is_gspo(batch_away_from_the_reference):
    for loss, loss_type in (("sequence", "luspo"), ("token_mean", "grpo")):
        trainer, batch = batch_away_from_the_reference(loss, 0.0)
        _, gradients = loss_and_gradients(trainer, batch)
        trainer.loss, trainer.loss_type, trainer.importance_sampling_level = "token_mean", loss_type, "sequence"
        _, others = loss_and_gradients(trainer, batch)
        assert_close(gradients, others)


def test_an_unknown_loss_is_refused(make_trainer):
    with pytest.raises(ValueError, match="unknown loss 'dapo'; wanted one of sequence, token_mean"):
        make_trainer(loss="dapo")


# --- micro-batches ---------------------------------------------------------------------------------------------------


class _KeepGradients(TrainerCallback):
    def __init__(self):
        self.steps = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.steps.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})


@pytest.mark.parametrize(
    ("objective", "loss"), [("pass_n4_log", "sequence"), ("majority_n4_raw", "token_mean"), ("best_of_n4", "sequence")]
)
def test_the_split_into_micro_batches_changes_no_result(make_trainer, objective, loss):
    reference = None
    for size in (16, 4, 1):
        trainer = make_trainer(objective, loss=loss, micro_batch_size=size, max_grad_norm=1e6)
        trainer.model.double()  # so that Adam has no rounding errors to blow up
        trainer.ref_model.double()
        kept = _KeepGradients()
        trainer.add_callback(kept)
        trainer.train()
        assert trainer.state.global_step == 6
        if reference is None:
            reference = kept.steps, trainer.record["steps"]
            continue
        for step, expected in zip(kept.steps, reference[0], strict=True):
            assert_close(step, expected)
        for row, expected in zip(trainer.record["steps"], reference[1], strict=True):
            for key in ("reward", "weight_p05", "weight_p50", "weight_p95", "effective_share", "no_signal_share"):
                assert row[key] == pytest.approx(expected[key], rel=1e-5), key


def test_a_micro_batch_size_that_does_not_divide_the_batch_is_refused(tmp_path):
    with pytest.raises(ValueError, match="micro_batch_size is 3; wanted a divisor of .* = 4 x 4 = 16"):
        grpo_arguments(SETTINGS | {"micro_batch_size": 3}, tmp_path)


# --- completions -----------------------------------------------------------------------------------------------------


def completions_and_probabilities(model, prompt, end, settings, longest):
    """Every completion of at most ``longest`` tokens that can be drawn -> its probability, by enumeration.

    Tempered, then the top k, then the nucleus of what these leave, each renormalised.
    """
    found, unfinished = {}, {(): 1.0}
    for place in range(longest):
        grown = {}
        for tokens, p in unfinished.items():
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([[*prompt, *tokens]])).logits[0, -1].double()
            values, indices = (logits / settings["temperature"]).softmax(dim=0).sort(descending=True)
            values = values[: settings["top_k"] or None]
            values = values / values.sum()
            values = values[values.cumsum(dim=0) - values < settings["top_p"]]
            for token, q in zip(indices.tolist(), (values / values.sum()).tolist(), strict=False):
                done = token in end or place + 1 == longest
                (found if done else grown)[*tokens, token] = p * q
        unfinished = grown
    return found


@pytest.mark.parametrize(
    ("temperature", "top_p", "top_k"), [(1.0, 1.0, 0), (1.3, 0.9, 0), (0.7, 1.0, 3), (1.2, 0.8, 4)]
)
@pytest.mark.parametrize("draw", [ComputeAlignedGRPOTrainer, GRPOTrainer], ids=["ours", "TRL"])
def test_completions_have_the_probabilities_that_trls_have(make_trainer, draw, temperature, top_p, top_k):
    group, settings = 2000, {"temperature": temperature, "top_p": top_p, "top_k": top_k}
    trainer = make_trainer(max_new_tokens=2, **settings)
    trainer.state.global_step = 7
    end = {trainer.processing_class.eos_token_id, *trainer.processing_class.encode("12", add_special_tokens=False)}
    # Two digits end a completion, too: several end tokens, and completions of both lengths.
    trainer.model.generation_config.eos_token_id = trainer.generation_config.eos_token_id = sorted(end)
    trainer.eos_token_ids = sorted(end)
    conversations = [row["prompt"] for row in list(trainer.train_dataset)[:2]]
    prompts, _, _ = trainer._tokenize_prompts(conversations)
    assert len({len(prompt) for prompt in prompts}) == 2  # so that padding takes part
    rows = [prompt for prompt in prompts for _ in range(group)]
    completions, log_probs = draw._generate_single_turn(trainer, rows, None, {}, group)
    assert log_probs is None and len(completions) == 2 * group
    for place, prompt in enumerate(prompts):
        expected = completions_and_probabilities(trainer.model, prompt, end, settings, longest=2)
        assert sum(expected.values()) == pytest.approx(1)
        counts = Counter(map(tuple, completions[place * group : (place + 1) * group]))
        assert set(counts) <= set(expected)
        assert {len(completion) for completion in counts} == {1, 2}  # ended by a digit, and cut or ended at the limit
        common = {completion for completion, p in expected.items() if p * group >= 10}
        observed = [counts[completion] for completion in common]
        wanted = [expected[completion] * group for completion in common]
        observed, wanted = [*observed, group - sum(observed)], [*wanted, group - sum(wanted)]
        if wanted[-1] < 1e-6 * group:  # all are common
            observed, wanted = observed[:-1], wanted[:-1]
        assert chisquare(observed, wanted, sum_check=False).pvalue > 1e-3


def test_completions_differ_between_steps_prompts_and_seeds_and_are_the_same_again(make_trainer):
    trainer = make_trainer(temperature=2.0)
    prompt = trainer._tokenize_prompts([row["prompt"] for row in list(trainer.train_dataset)[:1]])[0] * 8
    drawn = {}
    for seed, step in [(3, 0), (3, 1), (4, 0)]:
        trainer.args.seed, trainer.state.global_step = seed, step
        state = torch.get_rng_state()
        drawn[seed, step], _ = trainer._generate_single_turn(prompt, None, {}, 4)
        assert trainer._generate_single_turn(prompt, None, {}, 4)[0] == drawn[seed, step]
        assert torch.equal(state, torch.get_rng_state())
        assert drawn[seed, step][:4] != drawn[seed, step][4:]  # the same prompt twice
    assert drawn[3, 0] != drawn[3, 1] and drawn[3, 0] != drawn[4, 0]


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(("precision", "quantization"), [("fp32", None), ("bf16", None), ("bf16", "nf4")])
def test_sampling_keeps_the_cache_and_leaves_the_models_mode(
    make_trainer, base, trained, tmp_path, precision, quantization, checkpointing
):
    spoiled_adapter(base, trained).save_pretrained(tmp_path / "adapter")
    model = load_model(trained, tmp_path / "adapter", precision, quantization, trainable=True)
    trainer = make_trainer(
        "pass_n4_log", model=model, precision=precision, gradient_checkpointing=checkpointing, steps=2
    )
    widths, modes = [], []

    def look(module, arguments, inputs):
        if inputs.get("use_cache"):
            widths.append(inputs["input_ids"].shape)
            modes.append({m.training for m in model.modules() if isinstance(m, torch.nn.Dropout)})

    model.get_base_model().register_forward_pre_hook(look, with_kwargs=True)
    model.train()
    before = {name: module.training for name, module in model.named_modules()}
    trainer._generate_single_turn([[5, 6]] * 4 + [[7, 8, 9]] * 4, None, {}, 4)
    assert {name: module.training for name, module in model.named_modules()} == before
    assert widths[0] == (2, 3)  # each prompt once
    assert {width for _, width in widths[1:]} == {1} and not any(True in mode for mode in modes)
    trainer.train()
    assert trainer.state.global_step == 2


# --- the KL reference ------------------------------------------------------------------------------------------------


def spoiled_adapter(base, trained):
    """The trained model's base with an adapter that is far from its initial zero, as after a warm-up."""
    model = add_adapter(load_model(base, trained, "fp32", None, trainable=True), ADAPTER, seed=1)
    torch.manual_seed(2)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def test_the_kl_at_the_first_step_is_0_to_all_weights_of_the_warm_up(make_trainer, base, trained):
    trainer = make_trainer("grpo", beta=0.1)
    reference = dict(trainer.ref_model.named_parameters())
    warm_up = dict(load_model(base, trained, "fp32", None, trainable=False).named_parameters())
    untrained = dict(load_model(base, base, "fp32", None, trainable=False).named_parameters())
    assert_identical({name: p.detach() for name, p in reference.items()}, {n: p.detach() for n, p in warm_up.items()})
    assert any(not torch.equal(reference[name], untrained[name]) for name in reference)
    trainer.train()
    kl = [row["kl"] for row in trainer.record["steps"]]
    assert kl[0] == 0 and min(kl[1:]) > 0
    assert_identical({name: p.detach() for name, p in reference.items()}, {n: p.detach() for n, p in warm_up.items()})


def test_the_kl_at_the_first_step_is_0_to_the_adapter_of_the_warm_up(make_trainer, base, trained, tmp_path):
    spoiled_adapter(base, trained).save_pretrained(tmp_path / "adapter")
    model = load_model(trained, tmp_path / "adapter", "fp32", None, trainable=True)
    trainer = make_trainer("grpo", model=model, beta=0.1, learning_rate=1e-2)
    before = weights_of(trainer)
    trainer.train()
    kl = [row["kl"] for row in trainer.record["steps"]]
    assert kl[0] == pytest.approx(0, abs=1e-9) and min(kl[1:]) > 1e-7
    after = weights_of(trainer)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed == {name for name in after if ".default." in name}  # the reference and the base stand still


def test_the_adapters_reference_is_the_warm_up_and_not_the_base_model(make_trainer, base, trained, tmp_path):
    spoiled_adapter(base, trained).save_pretrained(tmp_path / "adapter")
    model = load_model(trained, tmp_path / "adapter", "fp32", None, trainable=True)
    trainer = make_trainer("grpo", model=model, beta=0.1)
    kept = _Batches(trainer)
    trainer.train()
    batch = kept.batches[0]
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    width = batch["completion_ids"].shape[1]
    with torch.no_grad(), trainer.model.disable_adapter():
        of_base, _, _ = trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, width)
    assert (of_base - batch["ref_per_token_logps"]).abs().max() > 0.1


@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_an_adapter_moves_at_the_papers_learning_rate(make_trainer, base, trained, tmp_path, quantization):
    """TRL would round the adapter of a quantised model to bfloat16, where most steps of 1e-6 are lost."""
    spoiled_adapter(base, trained).save_pretrained(tmp_path / "adapter")
    model = load_model(trained, tmp_path / "adapter", "fp32", quantization, trainable=True)
    trainer = make_trainer("grpo", model=model, beta=0.05, learning_rate=1e-6)
    before = weights_of(trainer)
    trainer.train()
    after = weights_of(trainer)
    adapter = [name for name in after if ".default." in name]
    assert {after[name].dtype for name in adapter} == {torch.float32}
    moved = torch.cat([(after[name] != before[name]).flatten() for name in adapter])
    assert moved.float().mean() > 0.95
    assert trainer.record["steps"][0]["kl"] == pytest.approx(0, abs=1e-9)


def test_a_saved_adapter_is_read_back_as_the_trained_one(make_trainer, base, trained, tmp_path):
    spoiled_adapter(base, trained).save_pretrained(tmp_path / "adapter")
    model = load_model(trained, tmp_path / "adapter", "fp32", None, trainable=True)
    trainer = make_trainer("grpo", model=model, beta=0.05)
    trainer.train()
    trainer.save_model(str(tmp_path / "final"))
    assert (tmp_path / "final" / "ref").is_dir()  # TRL's reference is saved beside it
    back = load_model(trained, tmp_path / "final", "fp32", None, trainable=False)
    saved = {name: p for name, p in weights_of(trainer).items() if ".ref." not in name}
    assert_identical({name: p.detach() for name, p in back.named_parameters()}, saved)


# --- the record ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ADVANTAGES)
def test_every_step_leaves_its_weights_and_metrics(make_trainer, objective):
    trainer = make_trainer(objective)
    trainer.train()
    steps = trainer.record["steps"]
    assert [row["step"] for row in steps] == [1, 2, 3, 4, 5, 6]
    for row in steps:
        assert set(row) == {"step", *RECORDED}
        assert 0 <= row["weight_p05"] <= row["weight_p50"] <= row["weight_p95"]
        assert 0 < row["effective_share"] <= 1 + 1e-6
        assert 0 <= row["no_signal_share"] <= 1 and row["entropy"] > 0 and math.isfinite(row["kl"])
        assert (row["log_p_p50"] is None) == (not objective.startswith("pass"))
        if objective == "grpo":
            assert row["weight_p05"] == row["weight_p95"] == row["effective_share"] == 1
    if objective == "best_of_n4":
        assert len(trainer.record["reward_window"]) == 40  # of 96 rewards, the last ones
        last = [reward for reward in trainer._logs["rewards"]["digits"]]
        assert trainer.record["reward_window"][-16:] == last
    else:
        assert trainer.record["reward_window"] == []


def test_the_window_is_read_before_the_batch_is_added(make_trainer):
    trainer = make_trainer("best_of_n4")
    trainer.train()
    first = trainer.record["steps"][0]
    assert first["weight_p05"] == first["weight_p95"] == 1  # nothing to rank among: q = 1/2 for all
    assert trainer.record["steps"][1]["weight_p05"] < 1 < trainer.record["steps"][1]["weight_p95"]


def test_the_share_of_groups_without_signal_is_that_of_equal_rewards(make_trainer):
    trainer = make_trainer("grpo")
    seen = []
    trainer.reward_funcs[0] = lambda prompts, completions, **columns: seen.append(1) or [1, 0, 0, 0] + [1] * 4 + [0] * 8
    trainer.train()
    assert {row["no_signal_share"] for row in trainer.record["steps"]} == {0.75}
    assert {row["reward"] for row in trainer.record["steps"]} == {5 / 16}


# --- kill and resume -------------------------------------------------------------------------------------------------


class Killed(Exception):
    """Stands for the signal that ends a job."""


class _KillAfterStep(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise Killed


@pytest.mark.parametrize(
    ("objective", "epochs", "killed", "resumed", "adapter"),
    [
        ("grpo", 1, 5, 3, False),
        ("best_of_n4", 1, 4, 3, False),
        ("best_of_n4", 1, 4, 3, True),
        ("pass_n4_log", 2, 8, 6, False),  # taken up where the second epoch begins
        ("majority_n4_raw", 2, 11, 9, True),  # taken up within the second epoch
    ],
)
def test_a_killed_run_ends_with_the_weights_of_one_never_killed(
    make_trainer, base, trained, tmp_path, objective, epochs, killed, resumed, adapter
):
    spoiled_adapter(base, trained).save_pretrained(tmp_path / "adapter")

    def trainer_in(work):
        model = load_model(trained, tmp_path / "adapter", "fp32", None, trainable=True) if adapter else None
        return make_trainer(objective, model=model, work=work, steps=6 * epochs, micro_batch_size=4)

    whole = trainer_in("whole")
    whole.train()
    interrupted = trainer_in("killed")
    interrupted.add_callback(_KillAfterStep(killed))
    with pytest.raises(Killed):
        interrupted.train()
    checkpoint = last_whole_checkpoint(tmp_path / "killed")
    assert checkpoint.name == f"checkpoint-{resumed}"
    taken_up = trainer_in("killed")
    taken_up.resume_record(checkpoint)
    taken_up.train(resume_from_checkpoint=str(checkpoint))
    assert taken_up.state.global_step == whole.state.global_step == 6 * epochs
    assert_identical(weights_of(taken_up), weights_of(whole))
    assert taken_up.record == whole.record


def test_a_checkpoint_without_its_record_is_not_whole(make_trainer, tmp_path):
    trainer = make_trainer("best_of_n4")
    trainer.train()
    newest = last_whole_checkpoint(tmp_path / "work")
    assert newest.name == "checkpoint-6"
    record = json.loads((newest / RECORD).read_text())
    assert record == trainer.record
    (newest / RECORD).unlink()
    assert last_whole_checkpoint(tmp_path / "work").name == "checkpoint-3"


def test_epochs_differ_in_order_and_an_epoch_has_the_same_order_whenever_it_is_started(make_trainer):
    sampler = make_trainer()._get_train_sampler()
    trl = super(ComputeAlignedGRPOTrainer, make_trainer())._get_train_sampler()
    epochs = [list(trl) for _ in range(3)]
    assert epochs[0] != epochs[1] and len(sampler) == len(epochs[0]) == 96
    for epoch in (2, 0, 1, 1):
        sampler.set_epoch(epoch)
        assert list(sampler) == epochs[epoch]


# --- the reward ------------------------------------------------------------------------------------------------------


def grade_by_math_verify(pairs, **settings):
    """A grader that may start processes and time out, as none in use does."""
    return [(grade.answer, grade.correct) for grade in grade_many(pairs, **settings)]


PAPER = partial(grade_as_the_paper, whole_is_answer=False)
MATH_VERIFY = partial(grade_by_math_verify, whole_is_answer=False, time_limit_s=2.0, workers=1)
GRADERS = pytest.mark.parametrize("grade", [PAPER, MATH_VERIFY], ids=["paper", "math-verify"])


def reward_of(texts, gold, grade):
    """Rewards and answers, from a call as TRL makes it."""
    logged = {}
    values = AnswerReward(grade)(
        prompts=[None] * len(texts),
        completions=texts,
        answer=[gold] * len(texts),
        log_extra=logged.__setitem__,
        completion_ids=None,
        trainer_state=None,
    )
    return values, logged["answer"]


@GRADERS
def test_right_wrong_and_missing_answers(grade):
    texts = [r"so \boxed{12}", r"12 \boxed{13}", "12.", r"\boxed{}", "", r"\boxed{12} \boxed{1"]
    assert reward_of(texts, "12", grade) == ([1, 0, 1, 0, 0, 0], ["12", "13", "12", None, None, None])


@GRADERS
def test_where_the_target_is_the_answer_alone_the_whole_completion_is_read(grade):
    values, answers = reward_of(["12", "1 12", "12 ", ""], "12", partial(grade, whole_is_answer=True))
    assert (values, answers) == ([1, 0, 1, 0], ["12", "112", "12", None])


@GRADERS
def test_conversations_are_graded_by_their_last_message_and_two_right_forms_are_two_votes(grade):
    message = [{"role": "assistant", "content": r"\boxed{0.5}"}]
    values, answers = reward_of([message, r"\boxed{\dfrac{1}{2}}"], "1/2", grade)
    assert (values, answers) == ([1, 1], ["0.5", r"\frac{1}{2}"])


HOSTILE = [
    "\\boxed{" * 3000,
    "\\boxed{" + "9" * 10_000 + "}",
    "\\boxed{9^{9^{9^9}}}",
    "\x00\x01\x1b[31m\ud800",
    "\\frac{1}{0}",
    "$" * 10_000,
    "{" * 10_000,
    "\\left(\\right)" * 500,
    "\\boxed{\\int_0^{\\infty}}",
    "\u202e12\u202c",
]


@GRADERS
def test_hostile_texts_are_wrong_and_nothing_more(grade):
    values, answers = reward_of(HOSTILE, "7", grade)
    assert values == [0.0] * len(HOSTILE)
    assert len(answers) == len(HOSTILE) and all(answer is None or isinstance(answer, str) for answer in answers)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.text(max_size=60)
        | st.text("\\{}$^_frac0123456789boxedleftright ", max_size=40)
        | st.integers(0, 10_000).map(lambda n: "x" * n),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_no_text_makes_the_reward_raise(texts, whole_is_answer):
    values, answers = reward_of(texts, "12", partial(PAPER, whole_is_answer=whole_is_answer))
    assert set(values) <= {0.0, 1.0} and len(values) == len(answers) == len(texts)


# --- what is relied on in TRL ----------------------------------------------------------------------------------------


def parameters(method):
    return list(inspect.signature(method).parameters)


def test_trl_has_the_hooks_that_the_trainer_overrides_and_calls():
    assert parameters(GRPOTrainer._generate_and_score_completions) == ["self", "inputs"]
    assert parameters(GRPOTrainer._generate_single_turn) == [
        "self",
        "prompt_ids",
        "images",
        "multimodal_fields",
        "num_generations",
        "has_tool_images",
    ]
    assert parameters(GRPOTrainer._tokenize_prompts) == ["self", "prompts"]
    assert parameters(GRPOTrainer._compute_loss) == ["self", "model", "inputs"]
    assert parameters(GRPOTrainer.log) == ["self", "logs", "start_time"]
    assert parameters(GRPOTrainer._get_train_sampler) == ["self", "dataset"]
    assert parameters(GRPOTrainer._get_per_token_logps_and_entropies)[:8] == [
        "self",
        "model",
        "input_ids",
        "attention_mask",
        "logits_to_keep",
        "batch_size",
        "compute_entropy",
        "compute_aux_loss",
    ]
    for hook in (
        "_generate_and_score_completions",
        "_generate_single_turn",
        "_tokenize_prompts",
        "_compute_loss",
        "log",
        "_get_train_sampler",
    ):
        assert hook in vars(ComputeAlignedGRPOTrainer)
        assert parameters(getattr(ComputeAlignedGRPOTrainer, hook)) == parameters(getattr(GRPOTrainer, hook))
    assert {"num_samples", "generator", "seed"} <= set(vars(RepeatSampler(range(4), 2, seed=1)))


def test_trl_gives_the_batch_that_the_trainer_reads(make_trainer):
    trainer = make_trainer("grpo")
    kept = _Batches(trainer)
    trainer.train()
    batch = kept.batches[0]
    assert set(batch) == {
        "prompt_ids",
        "prompt_mask",
        "completion_ids",
        "completion_mask",
        "advantages",
        "num_items_in_batch",
        "ref_per_token_logps",
    }  # no old_per_token_logps: one update per batch
    prompts = batch["prompt_ids"].view(4, 4, -1)
    assert (prompts == prompts[:, :1]).all()  # the completions of a prompt stand together
    assert len(prompts[:, 0].unique(dim=0)) == 4
    for log in (trainer._logs["advantages"], trainer._logs["rewards"]["correct"], trainer._logs["extra"]["answer"]):
        assert len(log) == log.maxlen == 16


# Settings that nothing here uses: they belong to features that are off, or to logging.
UNUSED = {
    "chat_template_kwargs": None,
    "ds3_gather_for_generation": True,
    "entropy_coef_delta": 0.005,
    "entropy_coef_max": 1.0,
    "entropy_coef_min": 0.0,
    "entropy_target": 0.2,
    "generation_batch_size": None,
    "generation_kwargs": None,
    "log_completions_hub_repo": None,
    "log_multimodal": True,
    "log_unique_prompts": False,
    "max_tool_calling_iterations": None,
    "model_init_kwargs": None,
    "num_completions_to_print": None,
    "num_generations_eval": None,
    "pad_to_multiple_of": "auto",
    "ref_model_mixup_alpha": 0.6,
    "ref_model_sync_steps": 512,
    "reward_weights": None,
    "router_aux_loss_coef": None,
    "transformers_continuous_batching_config": None,
    "trust_remote_code": False,
    "use_transformers_paged": False,
}
OTHER_METHODS = ("vllm_", "sapo_", "vespo_")


def test_a_setting_that_an_upgrade_of_trl_adds_or_moves_is_noticed():
    inherited = {field.name for field in dataclasses.fields(TrainingArguments)}
    own = {field.name: field.default for field in dataclasses.fields(GRPOConfig) if field.name not in inherited}
    named = set(re.findall(r"^        (\w+)=", inspect.getsource(grpo_arguments), re.MULTILINE))
    unnamed = {name: own[name] for name in own if name not in named and not name.startswith(OTHER_METHODS)}
    assert unnamed == UNUSED


def test_the_arguments_say_what_decides_a_result(tmp_path):
    arguments = grpo_arguments(SETTINGS | {"micro_batch_size": 8}, tmp_path)
    expected = {
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 2,
        "steps_per_generation": 2,
        "generation_batch_size": 16,
        "num_generations": 4,
        "num_iterations": 1,
        "loss_type": "grpo",  # TRL's default: dapo
        "scale_rewards": "group",
        "disable_dropout": True,  # TRL's default: False
        "use_bias_correction_kl": False,  # TRL's default: True
        "bf16": False,  # TRL's default: True
        "gradient_checkpointing": False,  # TRL's default: True
        "mask_truncated_completions": False,
        "lr_scheduler_type": "constant",
        "report_to": [],
        "logging_steps": 1,
    }
    assert {name: getattr(arguments, name) for name in expected} == expected
