"""A run that trains nothing ends with one sentence and exit code 1, and with no model."""

import dataclasses
import types
from contextlib import nullcontext

import pytest
import torch
from conftest import ADAPTER, RL, TRAINING
from transformers import AutoModelForCausalLM

from compute_aligned.models.loading import load_model
from compute_aligned.provenance.job import job
from compute_aligned.training import callbacks
from compute_aligned.training import grpo_run as train_grpo
from compute_aligned.training import sft_run as train_sft
from compute_aligned.training import trained as checks
from compute_aligned.training.callbacks import CountSkippedSteps
from compute_aligned.training.run_files import RunFiles


@pytest.fixture
def run(base, trained, problems, tmp_path):
    """Run a training script's function in a job; gives the exit code and what the terminal said."""

    def run(module, capfd, start=trained, **changes):
        start = start or base  # None: the base model, which training gives an adapter
        train, settings = (module.train_sft, TRAINING) if module is train_sft else (module.train_grpo, RL)
        (tmp_path / "logs").mkdir(exist_ok=True)
        names = types.SimpleNamespace(items=dict().items)
        snakemake = types.SimpleNamespace(
            log=[str(tmp_path / "logs" / "log")], rule="train", input=[], output=[], threads=1, params=names
        )
        snakemake.wildcards = type("Wildcards", (list,), {"items": lambda self: []})()
        code = 0
        try:
            with job(snakemake) as facts:
                facts |= train(
                    RunFiles(
                        base=str(base),
                        start=str(start),
                        problems=str(problems),
                        checkpoints=str(tmp_path / "checkpoints"),
                        model=str(tmp_path / "model"),
                        record=str(tmp_path / "record.parquet"),
                        run="recipe/objective/seed1",
                        code="the code",
                    ),
                    settings=settings.model_copy(update=changes),  # not checked: a learning rate of 0
                    threads=1,
                )
                run.facts = facts
        except SystemExit as exit:
            code = exit.code
        return code, capfd.readouterr().err

    return run


def assert_refused(result, tmp_path, sentence):
    code, said = result
    assert code == 1 and not (tmp_path / "model").exists() and not (tmp_path / "record.parquet").exists()
    (told,) = [line for line in said.splitlines() if line.startswith("train: ")]
    assert sentence in told and "(traceback: " in said


SCRIPTS = pytest.mark.parametrize("module", [train_sft, train_grpo], ids=["sft", "grpo"])


@pytest.fixture
def spoiled(trained, tmp_path):
    """A copy of the trained model whose weights are changed by a function."""

    def spoil(change):
        model = AutoModelForCausalLM.from_pretrained(trained)
        with torch.no_grad():
            change(model)
        model.save_pretrained(tmp_path / "spoiled")
        return tmp_path / "spoiled"

    return spoil


@SCRIPTS
def test_a_model_that_holds_nan_is_refused_before_it_is_trained(run, spoiled, module, capfd, tmp_path):
    start = spoiled(lambda model: model.model.norm.weight[3].fill_(torch.nan))
    sentence = "the weight model.norm.weight of the model holds values that are NaN or infinite"
    assert_refused(run(module, capfd, start=start), tmp_path, sentence)


def test_log_p_that_is_nan_stops_supervised_training_at_its_first_step(run, spoiled, capfd, tmp_path):
    start = spoiled(lambda model: model.model.norm.weight.fill_(3e38))  # finite; the logits are not
    sentence = "training stopped at step 1: log p of a sequence is nan; wanted a finite number"
    assert_refused(run(train_sft, capfd, start=start), tmp_path, sentence)


@SCRIPTS
def test_a_gradient_that_is_nan_stops_the_training_at_the_first_log(run, module, capfd, tmp_path, monkeypatch):
    """The loss is a number, its gradient is not, as with the root of 0."""

    def spoil(model):
        weight = next(p for p in model.parameters() if p.requires_grad)
        weight.register_hook(lambda gradient: gradient * torch.nan)
        return checks.fingerprint(model)

    monkeypatch.setattr(module, "fingerprint", spoil)
    # In supervised training the log p after the first update shows it before the first log does.
    what = "step 2: log p of a sequence is nan" if module is train_sft else "step 1: grad_norm is nan"
    assert_refused(run(module, capfd), tmp_path, f"training stopped at {what}; wanted a finite number")


@SCRIPTS
def test_a_learning_rate_of_0_trains_nothing(run, module, capfd, tmp_path):
    result = run(module, capfd, learning_rate=0.0)
    assert_refused(result, tmp_path, "trained weights are as they were")
    assert "nothing was trained: after 3 optimiser steps all" in result[1]


@SCRIPTS
def test_a_frozen_adapter_is_refused(run, module, capfd, tmp_path, monkeypatch):
    def frozen(model, adapter, seed):
        model = inner(model, adapter, seed)
        return model.requires_grad_(False)

    inner = module.add_adapter
    monkeypatch.setattr(module, "add_adapter", frozen)
    start = {} if module is train_grpo else {"start": None}
    result = run(module, capfd, adapter=ADAPTER, **start)
    assert_refused(result, tmp_path, "no weight of the model, or of its adapter, is to be trained: all are frozen")


def trainer_of(model, steps_taken):
    scheduler = types.SimpleNamespace(state_dict=lambda: {"last_epoch": steps_taken})
    return types.SimpleNamespace(model=model, lr_scheduler=scheduler)


def test_a_run_whose_steps_loss_scaling_all_skipped_is_refused(base):
    model = load_model(base, base, "fp32", None, trainable=True)
    start = checks.fingerprint(model)
    with pytest.raises(ValueError, match="loss scaling skipped every optimiser step"):
        checks.refuse_if_untrained(trainer_of(model, 0), start)


@pytest.mark.parametrize(
    ("step", "skipped", "steps", "stops"),
    [(16, 16, 40, False), (17, 17, 40, True), (500, 50, 500, False), (500, 51, 500, True), (51, 51, 500, True)],
)
def test_a_run_stops_where_loss_scaling_skips_more_than_its_scale_needs_and_a_tenth(step, skipped, steps, stops):
    scheduler = types.SimpleNamespace(state_dict=lambda: {"last_epoch": step - skipped})
    state = types.SimpleNamespace(global_step=step, max_steps=steps)
    with pytest.raises(ValueError, match=f"skipped {skipped} of a run of {steps}") if stops else nullcontext():
        CountSkippedSteps().on_step_end(None, state, None, lr_scheduler=scheduler)


@SCRIPTS
def test_the_trainings_count_the_steps_that_were_skipped(run, module, capfd, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(callbacks, "refuse_skipped_steps", lambda *numbers: seen.append(numbers))
    run(module, capfd, **({} if module is train_grpo else {"start": None}))
    assert seen and all(step == taken <= steps for step, taken, steps in seen)


def test_one_weight_that_moved_by_one_bit_is_training(base):
    model = load_model(base, base, "fp32", None, trainable=True)
    start = checks.fingerprint(model)
    with pytest.raises(ValueError, match="nothing was trained: after 7 optimiser steps all"):
        checks.refuse_if_untrained(trainer_of(model, 7), start)
    weight = model.model.norm.weight.data
    weight[0] = torch.nextafter(weight[0], torch.tensor(9.0))
    checks.refuse_if_untrained(trainer_of(model, 7), start)
    weight[0] = torch.inf
    with pytest.raises(ValueError, match="holds values that are NaN or infinite"):
        checks.refuse_if_untrained(trainer_of(model, 7), start)


def test_loss_scaling_may_try_scales_that_are_too_large():
    @dataclasses.dataclass
    class Arguments:
        fp16: bool

    logs = {"loss": 1.0, "grad_norm": float("inf")}
    checks.refuse_values_that_are_no_numbers(1, checks.checked_logs(logs, Arguments(True)))
    with pytest.raises(ValueError, match="step 1: grad_norm is inf"):
        checks.refuse_values_that_are_no_numbers(1, checks.checked_logs(logs, Arguments(False)))


def test_a_run_without_signal_may_stand_still_and_says_so(run, capfd, monkeypatch):
    """No group's rewards ever differ and nothing decays: the honest result is the start."""
    monkeypatch.setattr(train_grpo, "reward_of", lambda settings: lambda completions, **kw: [1.0] * len(completions))
    quiet = {"weight_decay": 0.0, "all_wrong_penalty": 0, "beta": 0.1}
    assert run(train_grpo, capfd, **quiet)[0] == 0
    assert run.facts["no_signal"] is True


def test_a_run_with_signal_says_so(run, capfd):
    assert run(train_grpo, capfd)[0] == 0
    assert run.facts["no_signal"] is False
