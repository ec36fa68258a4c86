"""The trainer's loss against TRL's own, against plain arithmetic on full logits, and against itself cut otherwise."""

import contextlib
import importlib.metadata
import inspect
import json
import math
import os
import shutil
import signal
from pathlib import Path

import mpmath
import pandas as pd
import pytest
import torch
from conftest import ADAPTER, REPO, SAMPLING, TRAINING
from safetensors.torch import load_file
from torch.nn.functional import log_softmax
from transformers import Trainer, TrainerCallback
from trl import SFTTrainer

from compute_aligned.models.loading import add_adapter, load_model
from compute_aligned.models.tokenization import encode_prompt
from compute_aligned.objectives import sft_objective
from compute_aligned.provenance import artifacts
from compute_aligned.sampling.transformers_backend import sample_pools, uniforms
from compute_aligned.training import loop
from compute_aligned.training import sft_run as script
from compute_aligned.training.callbacks import SaveRecord
from compute_aligned.training.checkpoints import last_whole_checkpoint, seal
from compute_aligned.training.run_files import RunFiles
from compute_aligned.training.sft import RECORD_COLUMNS, ComputeAlignedSFTTrainer, gold_completions, trainer_arguments
from compute_aligned.training.success_rates import SuccessRates, success_rates

OBJECTIVES = ["ce", "pass_n16", "majority_n8_k3"]
AVERAGES = ["sequence", "token"]


@pytest.fixture
def make_trainer(base, trained, problems, tokenizer, tmp_path):
    """A trainer of the briefly trained model on the tests' problems; keywords change the settings."""

    def make(cls=ComputeAlignedSFTTrainer, **changes):
        settings = TRAINING | changes
        model = load_model(base, trained, "fp32", settings.quantization, trainable=True)
        if settings.adapter is not None:
            model = add_adapter(model, settings.adapter, settings.seed)
        ours = {"objective": sft_objective(settings.objective), "average": settings.average}
        return cls(
            model=model,
            args=trainer_arguments(settings, tmp_path / "work"),
            train_dataset=script.encode_problems(
                script.training_problems(str(problems), settings), tokenizer, settings
            ),
            processing_class=tokenizer,
            **(ours if cls is ComputeAlignedSFTTrainer else {}),
        )

    return make


def batch_of(trainer, rows):
    return trainer.data_collator([trainer.train_dataset[row] for row in rows])


def loss_and_gradients(trainer, batch, **keywords):
    trainer.model.train()
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, dict(batch), **keywords)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}
    return loss.item(), gradients


def log_probabilities(model, batch):
    """log p of each sequence in float64, from the full logits of a plain forward pass."""
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    labels = batch["labels"][:, 1:]
    per_token = log_softmax(logits[:, :-1].double(), dim=-1).gather(2, labels.clamp(min=0)[:, :, None])[:, :, 0]
    return (per_token * (labels != -100)).sum(dim=1)


BUDGETS = {"ce": (1, 1), "pass_n16": (16, 1), "majority_n8_k3": (8, 3)}  # N and the votes that it takes


def minus_log_success(objective, log_p):
    """-log S(p) in 60 digits, from the definition of each strategy."""
    with mpmath.workdps(60):
        p = mpmath.exp(log_p)
        n, k = BUDGETS[objective]
        success = sum(mpmath.binomial(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
        return float(-mpmath.log(success))


def slope_of_log_success(objective, log_p):
    """d log S / d log p in 60 digits: the definition of S, differentiated term by term."""
    with mpmath.workdps(60):
        p = mpmath.exp(log_p)
        q = 1 - p
        n, k = BUDGETS[objective]
        choose = {i: mpmath.binomial(n, i) for i in range(k, n + 1)}
        rising = sum(c * i * p**i * q ** (n - i) for i, c in choose.items())
        falling = sum(c * (n - i) * p ** (i + 1) * q ** (n - i - 1) for i, c in choose.items() if i < n)
        return float((rising - falling) / sum(c * p**i * q ** (n - i) for i, c in choose.items()))


def assert_same(one, other, tolerance=1e-6):
    """Equal but for rounding: to within the tolerance times the largest entry, or times 1 if all are smaller."""
    assert one.keys() == other.keys()
    largest = max(1.0, *(float(tensor.abs().max()) for tensor in other.values()))
    for name in one:
        assert float((one[name] - other[name]).abs().max()) <= tolerance * largest, name


# --- the loss --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["answer", "solution"])
def test_cross_entropy_averaged_over_tokens_is_trls_own_loss(make_trainer, target):
    ours = make_trainer(objective="ce", average="token", target=target)
    trl = make_trainer(cls=SFTTrainer, target=target)
    loss, gradients = loss_and_gradients(ours, batch_of(ours, range(8)))
    trl_loss, trl_gradients = loss_and_gradients(trl, batch_of(trl, range(8)))
    assert loss == pytest.approx(trl_loss, rel=1e-6)
    assert_same(gradients, trl_gradients)


def test_cross_entropy_of_one_sequence_is_trls_loss_times_its_number_of_supervised_tokens(make_trainer):
    ours = make_trainer(objective="ce", average="sequence", target="solution")
    trl = make_trainer(cls=SFTTrainer, target="solution")
    batch = batch_of(ours, [4])  # a worked solution
    n_tokens = int((batch["labels"] != -100).sum())
    loss, gradients = loss_and_gradients(ours, batch)
    trl_loss, trl_gradients = loss_and_gradients(trl, batch)
    assert n_tokens > 10
    assert loss == pytest.approx(n_tokens * trl_loss, rel=1e-6)
    assert_same(gradients, {name: n_tokens * g for name, g in trl_gradients.items()})


@pytest.mark.parametrize("target", ["answer", "solution"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_loss_is_minus_log_success_summed_and_divided_by_sequences_or_tokens(make_trainer, objective, target):
    for average in AVERAGES:
        trainer = make_trainer(objective=objective, average=average, target=target)
        batch = batch_of(trainer, range(7))
        log_p = log_probabilities(trainer.model.eval(), batch)
        divisor = 7 if average == "sequence" else int((batch["labels"] != -100).sum())
        expected = sum(minus_log_success(objective, float(lp)) for lp in log_p) / divisor
        loss, _ = loss_and_gradients(trainer, batch)
        assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_each_sequence_pulls_with_its_weight_times_the_gradient_of_cross_entropy(make_trainer, objective):
    trainer, cross_entropy = make_trainer(objective=objective), make_trainer(objective="ce")
    weights = []
    for row in range(6):
        batch = batch_of(trainer, [row])
        _, gradients = loss_and_gradients(trainer, batch)
        _, plain = loss_and_gradients(cross_entropy, batch)
        _, outputs = trainer.compute_loss(trainer.model, dict(batch), return_outputs=True)
        log_p = outputs["log_p"].detach().double()  # its rounding is large against that of the gradient, so apart
        assert log_p.tolist() == pytest.approx(log_probabilities(trainer.model, batch).tolist(), rel=1e-6, abs=1e-6)
        weight = slope_of_log_success(objective, float(log_p[0]))
        assert_same(gradients, {name: weight * g for name, g in plain.items()})
        weights.append(weight)
    if objective != "ce":
        assert max(weights) > 1.5 * min(weights)  # otherwise the test would not tell weights from a constant


def test_padding_changes_nothing_wherever_it_stands(make_trainer):
    trainer = make_trainer(objective="pass_n16", average="token", target="solution")
    rows = [trainer.train_dataset[row] for row in range(6)]
    longest = max(len(row["input_ids"]) for row in rows)
    pad = trainer.processing_class.pad_token_id
    losses, gradients, log_p = [], [], []
    for side, width in [("right", longest), ("left", longest), ("right", longest + 9), ("left", longest + 9)]:

        def padded(values, filler, side=side, width=width):
            gap = [filler] * (width - len(values))
            return [*gap, *values] if side == "left" else [*values, *gap]

        batch = {
            "input_ids": torch.tensor([padded(row["input_ids"], pad) for row in rows]),
            "attention_mask": torch.tensor([padded([1] * len(row["input_ids"]), 0) for row in rows]),
            "labels": torch.tensor([padded(row["labels"], -100) for row in rows]),
        }
        trainer.record.clear()
        loss, gradient = loss_and_gradients(trainer, batch)
        losses.append(loss)
        gradients.append(gradient)
        log_p.append([row[1] for row in trainer.record])
    assert losses == pytest.approx([losses[0]] * 4, rel=1e-5)
    for other in range(1, 4):
        assert log_p[other] == pytest.approx(log_p[0], rel=1e-5)
        assert_same(gradients[other], gradients[0], tolerance=1e-5)


@pytest.mark.parametrize("target", ["answer", "solution"])
def test_log_p_from_the_head_at_supervised_positions_is_that_of_the_full_logits_and_of_trls_fused_head(
    make_trainer, target
):
    trainer = make_trainer(target=target)
    batch = batch_of(trainer, range(7))
    log_p = gold_completions(trainer.model, batch).log_p
    assert "labels" in batch  # the batch is left as it was
    assert log_p.shape == (7,) and log_p.dtype == torch.float32
    torch.testing.assert_close(log_p.double(), log_probabilities(trainer.model, batch), rtol=1e-5, atol=1e-5)
    fused = trainer.model(**batch, use_cache=False, fused_lm_head=True).log_probs
    assert fused.shape == (7, batch["labels"].shape[1] - 1)
    assert (fused[batch["labels"][:, 1:] == -100] == 0).all()
    torch.testing.assert_close(log_p, fused.sum(dim=1), rtol=1e-5, atol=1e-5)


# --- accumulation ----------------------------------------------------------------------------------------------------


class _KeepGradients(TrainerCallback):
    def __init__(self):
        self.steps = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.steps.append({n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad})


@pytest.mark.parametrize("adapter", [None, ADAPTER], ids=["all weights", "LoRA"])
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_split_into_micro_batches_changes_no_gradient_and_no_weight(make_trainer, objective, average, adapter):
    # 20 problems: two steps of 8 sequences and one of 4, whose accumulation window is short.
    reference = None
    for size in (8, 4, 2, 1):
        trainer = make_trainer(
            objective=objective, average=average, adapter=adapter, micro_batch_size=size, max_grad_norm=1e6
        )
        trainer.model.double()  # so that Adam has no rounding errors to blow up
        kept = _KeepGradients()
        trainer.add_callback(kept)
        trainer.train()
        assert trainer.state.global_step == 3
        weights = {name: p.detach() for name, p in trainer.model.named_parameters()}
        if reference is None:
            reference = kept.steps, weights
            assert all(max(g.abs().max() for g in step.values()) > 1e-2 for step in kept.steps)
            continue
        for step, expected in zip(kept.steps, reference[0], strict=True):
            assert_same(step, expected)
        assert_same(weights, reference[1])


@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_an_adapter_moves_at_the_papers_learning_rate(make_trainer, base, trained, quantization):
    """TRL would round the adapter of a quantised model to bfloat16, where most steps of 5e-6 are lost."""
    trainer = make_trainer(adapter=ADAPTER, quantization=quantization, learning_rate=5e-6)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters() if p.requires_grad}
    trainer.train()
    after = {name: p.detach() for name, p in trainer.model.named_parameters() if p.requires_grad}
    assert {weight.dtype for weight in after.values()} == {torch.float32}
    moved = torch.cat([(after[name] != before[name]).flatten() for name in after])
    assert moved.float().mean() > 0.95


# --- what is recorded ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("micro_batch_size", [8, 2])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_sequence_and_step_leaves_log_p_and_weight(make_trainer, objective, micro_batch_size):
    trainer = make_trainer(objective=objective, epochs=2, micro_batch_size=micro_batch_size)
    batch = batch_of(trainer, range(20))
    before = log_probabilities(trainer.model.eval(), batch)
    trainer.train()
    record = pd.DataFrame(trainer.record, columns=RECORD_COLUMNS)
    assert record.groupby("step").size().to_dict() == {1: 8, 2: 8, 3: 4, 4: 8, 5: 8, 6: 4}
    assert (record["log_p"] <= 0).all()
    weights = [slope_of_log_success(objective, log_p) for log_p in record["log_p"]]
    assert record["weight"].tolist() == pytest.approx(weights, rel=1e-11)
    first = record.loc[record["step"] == 1, "log_p"]
    distance = (before[None, :] - torch.tensor(first.to_numpy())[:, None]).abs().amin(dim=1)
    assert distance.max() < 1e-4  # the first step saw eight of these sequences, with the untouched weights

    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert [entry["step"] for entry in logs] == [2, 4, 6]
    for entry in logs:
        rows = record[record["step"].isin([entry["step"] - 1, entry["step"]])]
        assert entry["weight_mean"] == pytest.approx(rows["weight"].mean())
        assert entry["log_p_mean"] == pytest.approx(rows["log_p"].mean())
        share = rows["weight"].sum() ** 2 / (len(rows) * (rows["weight"] ** 2).sum())
        assert entry["effective_share"] == pytest.approx(share)


# --- kill and resume -------------------------------------------------------------------------------------------------


class Killed(Exception):
    """Stands for the signal that ends a job."""


class _KillAfterStep(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise Killed


@pytest.fixture
def run(base, trained, problems, tmp_path):
    """Train through the script; three epochs of three steps, a checkpoint every second step."""

    def run(name, start=None, code="c0de", **changes):
        facts = script.train_sft(
            RunFiles(
                base=str(base),
                start=str(start or trained),
                problems=str(problems),
                checkpoints=str(tmp_path / "checkpoints"),
                model=str(tmp_path / name),
                record=str(tmp_path / f"{name}.parquet"),
                run="recipe/pass_n16/seed1",
                code=code,
            ),
            settings=TRAINING | {"objective": "pass_n16", "epochs": 3} | changes,
            threads=1,
        )
        shutil.rmtree(Path(facts.pop("checkpoints")).parent)  # as the job does when all its runs are finished
        return facts, tmp_path / name, pd.read_parquet(tmp_path / f"{name}.parquet")

    return run


def kill_after_step(monkeypatch, step):
    class Trainer(ComputeAlignedSFTTrainer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.add_callback(_KillAfterStep(step))

    monkeypatch.setattr(script, "ComputeAlignedSFTTrainer", Trainer)


def kill_before_the_record_of_step(monkeypatch, step):
    write = SaveRecord.on_save

    def on_save(self, args, state, control, **kwargs):
        if state.global_step == step:
            raise Killed
        write(self, args, state, control, **kwargs)

    monkeypatch.setattr(SaveRecord, "on_save", on_save)


def kill_while_the_model_is_saved(monkeypatch, step):
    @contextlib.contextmanager
    def whole(path):
        with artifacts.whole(path) as partial:
            yield partial
            raise Killed

    monkeypatch.setattr(loop, "whole", whole)


ROUGH_ADAPTER = ADAPTER | {"dropout": 0.2}  # dropout: the random state has to be taken up too


@pytest.mark.parametrize(
    ("kill", "step", "resumed_from", "adapter"),
    [
        (kill_after_step, 1, None, None),
        (kill_after_step, 5, "checkpoint-4", None),
        (kill_after_step, 5, "checkpoint-4", ROUGH_ADAPTER),
        (kill_before_the_record_of_step, 6, "checkpoint-4", None),
        (kill_while_the_model_is_saved, None, "checkpoint-9", None),
    ],
    ids=["before any checkpoint", "between checkpoints", "LoRA", "checkpoint half written", "after the last step"],
)
def test_a_killed_run_ends_with_the_weights_of_one_never_killed(
    run, base, tmp_path, monkeypatch, kill, step, resumed_from, adapter
):
    settings = {"adapter": adapter, "micro_batch_size": 4, "start": base if adapter else None}
    facts, whole, record = run("whole", **settings)
    assert facts["resumed_from"] is None and facts["n_steps"] == 9
    with monkeypatch.context() as patch:
        kill(patch, step)
        # what save_model does inside the trainer for each checkpoint goes by another name, _save
        with pytest.raises(Killed):
            run("killed", **settings)
    assert not (tmp_path / "killed").exists()  # no half model under the name of a whole one
    facts, killed, killed_record = run("killed", **settings)
    assert facts["resumed_from"] == resumed_from
    assert facts["n_steps"] == 9
    pd.testing.assert_frame_equal(killed_record, record, check_exact=True)
    file = "adapter_model.safetensors" if adapter else "model.safetensors"
    expected, weights = load_file(whole / file), load_file(killed / file)
    assert expected.keys() == weights.keys()
    assert all(torch.equal(expected[name], weights[name]) for name in expected)
    assert not any((tmp_path / "checkpoints").iterdir())


def test_an_adapters_files_do_not_depend_on_the_order_of_a_set(run, base):
    modules = [f"{name}_proj" for name in ("v", "o", "down", "q", "up", "k", "gate")]
    _, folder, _ = run("whole", adapter=ADAPTER | {"target_modules": modules}, micro_batch_size=4, start=base)
    assert json.loads((folder / "adapter_config.json").read_text())["target_modules"] == sorted(modules)


def test_a_run_told_to_end_writes_a_checkpoint_and_goes_on_from_it(run, monkeypatch):
    """As Slurm tells it at a time limit or before a preemption; a checkpoint is due every second step."""
    _, whole, record = run("whole")

    class Told(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step == 4:  # in the fifth step
                os.kill(os.getpid(), signal.SIGTERM)

    class Trainer(ComputeAlignedSFTTrainer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.add_callback(Told())

    handler = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(script, "ComputeAlignedSFTTrainer", Trainer)
        with pytest.raises(
            ValueError, match=r"told to end \(SIGTERM\) at step 5 of 9, of which a checkpoint was written"
        ):
            run("told")
    assert signal.getsignal(signal.SIGTERM) == handler
    facts, told, told_record = run("told")
    assert (facts["resumed_from"], facts["n_steps"]) == ("checkpoint-5", 9)
    pd.testing.assert_frame_equal(told_record, record, check_exact=True)
    expected, weights = load_file(whole / "model.safetensors"), load_file(told / "model.safetensors")
    assert all(torch.equal(expected[name], weights[name]) for name in expected)


def test_checkpoints_of_other_settings_are_not_taken_up(run, monkeypatch):
    with monkeypatch.context() as patch:
        kill_after_step(patch, 5)
        with pytest.raises(Killed):
            run("killed")
    facts, _, _ = run("other", learning_rate=1e-4)
    assert facts["resumed_from"] is None
    facts, _, _ = run("other_start", learning_rate=3e-3, objective="ce")
    assert facts["resumed_from"] is None


def test_the_last_whole_checkpoint_is_the_newest_one_that_was_written_to_its_end(tmp_path):
    assert last_whole_checkpoint(tmp_path / "missing") is None
    for step in (2, 10, 12):
        (tmp_path / f"checkpoint-{step}").mkdir()
    assert last_whole_checkpoint(tmp_path) is None
    for step in (2, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
        seal(tmp_path / f"checkpoint-{step}")
    assert last_whole_checkpoint(tmp_path).name == "checkpoint-10"


# --- success rates ---------------------------------------------------------------------------------------------------

MARGINAL = {
    "objective": "pass_n16_marginal",
    "success_rate": {
        "n_samples": 6,
        "refresh_epochs": 2,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "max_new_tokens": 5,
        "rows_per_batch": 30,
    },
}


def test_success_rates_are_those_of_samples_graded_apart(base, trained, problems, tokenizer):
    settings = TRAINING | MARGINAL
    chosen = script.training_problems(str(problems), settings)
    model = load_model(base, trained, "fp32", None, trainable=True).train()
    rates = success_rates(chosen, tokenizer, settings).at(model, 0)
    assert model.training
    expected = []
    for problem in chosen:  # one prompt at a time, a comparison of plain strings
        draws = uniforms(settings.seed, f"step 0|{problem.problem_id}", 6, 5)
        sampling = SAMPLING | {"n_samples": 6, "max_new_tokens": 5, "rows_per_batch": 6}
        ((_, pool),) = sample_pools(
            model.eval(), tokenizer, [encode_prompt(tokenizer, problem.prompt)], [draws], sampling
        )
        expected.append(sum(tokenizer.decode(c.tokens) == problem.answer for c in pool) / 6)
    assert rates.tolist() == pytest.approx(expected)
    assert 0 < sum(expected) < len(expected)


def test_success_rates_are_measured_before_the_first_step_and_at_the_stated_steps():
    measured = []

    def measure(model, step):
        measured.append(step)
        return [step / 100, 1.0]

    rates = SuccessRates(measure, refresh_steps=3)
    found = [rates.at(None, step).tolist() for step in range(8)]
    assert measured == [0, 3, 6]
    assert found == [[0.0, 1.0]] * 3 + [[0.03, 1.0]] * 3 + [[0.06, 1.0]] * 2
    resumed = SuccessRates(measure, refresh_steps=3)
    resumed.state |= rates.state
    assert resumed.at(None, 8).tolist() == [0.06, 1.0] and measured == [0, 3, 6]
    assert resumed.at(None, 9).tolist() == [0.09, 1.0] and measured[-1] == 9


def test_each_sequence_gets_the_rate_of_its_own_problem(run, problems, base, trained, tokenizer):
    _, _, record = run("marginal", **MARGINAL)
    settings = TRAINING | MARGINAL
    chosen = script.training_problems(str(problems), settings)
    model = load_model(base, trained, "fp32", None, trainable=True)
    rates = success_rates(chosen, tokenizer, settings).at(model, 0)
    first_epochs = record[record["step"] <= 3]  # 20 problems in three steps, each once
    assert sorted(first_epochs["success_rate"]) == pytest.approx(sorted(rates.tolist()))
    weights = [slope_of_log_success("pass_n16", math.log(rate)) if rate else 1.0 for rate in record["success_rate"]]
    assert record["weight"].tolist() == pytest.approx(weights)
    # Which rate goes with which sequence: the model's own probability of the completion tells them apart.
    encoded = script.encode_problems(chosen, tokenizer, settings)
    by_log_p = {}
    for row, rate in zip(encoded, rates.tolist(), strict=True):
        ids, labels = (torch.tensor([row[name]]) for name in ("input_ids", "labels"))
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
        by_log_p[float(log_probabilities(model.eval(), batch)[0])] = rate
    for _, row in record[record["step"] == 1].iterrows():
        nearest = min(by_log_p, key=lambda log_p: abs(log_p - row["log_p"]))
        assert row["success_rate"] == pytest.approx(by_log_p[nearest])


@pytest.mark.parametrize(
    ("objective", "step", "resumed_from"),
    [
        (MARGINAL, 5, "checkpoint-4"),  # between refreshes, which are at steps 0 and 6
        (MARGINAL, 7, "checkpoint-6"),  # exactly at one
        ({"objective": "token_margin"}, 5, "checkpoint-4"),
    ],
    ids=["marginal", "marginal, at a refresh", "token margin"],
)
def test_a_killed_run_takes_up_success_rates_and_the_draw_of_rivals(run, monkeypatch, objective, step, resumed_from):
    _, whole, record = run("whole", **objective)
    with monkeypatch.context() as patch:
        kill_after_step(patch, step)
        with pytest.raises(Killed):
            run("killed", **objective)
    facts, killed, killed_record = run("killed", **objective)
    assert facts["resumed_from"] == resumed_from
    pd.testing.assert_frame_equal(killed_record, record, check_exact=True)
    expected, weights = load_file(whole / "model.safetensors"), load_file(killed / "model.safetensors")
    assert all(torch.equal(expected[name], weights[name]) for name in expected)


# --- what is relied on in the libraries ------------------------------------------------------------------------------


def test_the_installed_packages_are_the_pinned_ones():
    lines = (REPO / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    pins = {name: pinned[name] for name in ("torch", "transformers", "trl", "peft", "datasets", "accelerate")}
    installed = {name: importlib.metadata.version(name).split("+")[0] for name in pins}
    assert installed == pins


def test_trl_and_transformers_have_the_hooks_that_the_trainer_overrides():
    def parameters(method):
        return list(inspect.signature(method).parameters)

    assert parameters(SFTTrainer.compute_loss) == [
        "self",
        "model",
        "inputs",
        "return_outputs",
        "num_items_in_batch",
    ]
    assert parameters(SFTTrainer._get_num_items_in_batch) == ["self", "batch_samples", "device"]
    assert parameters(SFTTrainer.log) == ["self", "logs", "start_time"]
    assert SFTTrainer.loss_is_scaled_for_ga is None  # None: transformers guesses; we say that it is scaled
    assert ComputeAlignedSFTTrainer.loss_is_scaled_for_ga is True
    assert "loss_is_scaled_for_ga" in inspect.getsource(Trainer.training_step)
    assert "_get_num_items_in_batch" in inspect.getsource(Trainer.get_batch_samples)
    for hook in ("compute_loss", "_get_num_items_in_batch", "log"):
        assert parameters(getattr(ComputeAlignedSFTTrainer, hook)) == parameters(getattr(SFTTrainer, hook))


def test_a_model_gives_logits_at_the_asked_positions_alone(make_trainer):
    trainer = make_trainer(adapter=ADAPTER)
    ids = batch_of(trainer, range(3))["input_ids"]
    positions = torch.tensor([1, 4, 5])
    with torch.no_grad():
        some = trainer.model(input_ids=ids, use_cache=False, logits_to_keep=positions).logits
        full = trainer.model(input_ids=ids, use_cache=False).logits
    assert some.shape == (3, 3, full.shape[2])
    torch.testing.assert_close(some, full[:, positions])
