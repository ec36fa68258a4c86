"""Whether a run was trained at all: values that are no numbers, steps that were not taken, weights that stood still."""

import hashlib
import math
from collections.abc import Mapping

import torch
from transformers import Trainer, TrainingArguments

SKIPS_TO_SCALE_1 = 16  # of loss scaling, which begins at 2**16 and halves at an overflow
MOST_SKIPPED = 0.1  # of a run's steps


def refuse_values_that_are_no_numbers(step: int, values: Mapping[str, float | None]) -> None:
    """Stop a training at the first value that is NaN or infinite: every later step would be lost, too.

    Args:
        step: the optimiser step that the values belong to, for the message.
        values: by name; None stands for a value that the run does not have.

    Raises:
        ValueError: one is NaN or infinite.
    """
    for name, value in values.items():
        if value is not None and not math.isfinite(value):
            raise ValueError(f"training stopped at step {step}: {name} is {value}; wanted a finite number")


def checked_logs(logs: Mapping[str, float], arguments: TrainingArguments) -> dict[str, float | None]:
    """The values of a trainer's log that have to be finite: the loss and, without loss scaling, the gradient's norm.

    Loss scaling tries scales that are too large, skips those steps and goes on.
    """
    names = ("loss",) if arguments.fp16 else ("loss", "grad_norm")
    return {name: logs.get(name) for name in names}


def refuse_skipped_steps(step: int, taken: int, steps: int) -> None:
    """Stop a training of which loss scaling skips more steps than it takes to find its scale.

    Args:
        step: optimiser steps so far, with those that were skipped.
        taken: those that were taken.
        steps: of the whole run.

    Raises:
        ValueError: more were skipped than bring the scale down to 1, and more than ``MOST_SKIPPED`` of the run.
    """
    skipped = step - taken
    if skipped > max(SKIPS_TO_SCALE_1, MOST_SKIPPED * steps):
        raise ValueError(
            f"training stopped at step {step}: loss scaling skipped {skipped} of a run of {steps} steps; wanted at "
            f"most {MOST_SKIPPED:.0%}, or the {SKIPS_TO_SCALE_1} that bring the scale down to 1; bf16 needs none"
        )


def fingerprint(model: torch.nn.Module) -> dict[str, str]:
    """A hash of each weight that is trained, by its name, to be compared after training.

    Hashes, as a copy would take as much memory as the weights.

    Raises:
        ValueError: no weight is trained, or one is NaN or infinite.
    """
    trained = {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
    if not trained:
        raise ValueError("no weight of the model, or of its adapter, is to be trained: all are frozen")
    return _hashes(trained)


def refuse_if_untrained(trainer: Trainer, start: Mapping[str, str], no_signal: bool = False) -> None:
    """Refuse a run whose training did nothing, or ended in values that are no numbers.

    Args:
        trainer: after its training.
        start: ``fingerprint`` of the model that training started from.
        no_signal: no reward of the run gave a direction, so that weights that stand still are its honest result.

    Raises:
        ValueError: a weight is NaN or infinite, every step was skipped, or all weights are as they were.
    """
    weights = dict(trainer.model.named_parameters())
    # The schedule goes on where loss scaling did not skip the step, also over checkpoints.
    steps_taken = trainer.lr_scheduler.state_dict()["last_epoch"]
    end = _hashes({name: weights[name].detach() for name in start})
    if steps_taken == 0:
        raise ValueError("nothing was trained: loss scaling skipped every optimiser step; precision bf16 needs none")
    if end == dict(start) and not no_signal:
        raise ValueError(
            f"nothing was trained: after {steps_taken} optimiser steps all {len(end)} trained weights are as they were"
        )


def _hashes(weights: Mapping[str, torch.Tensor]) -> dict[str, str]:
    hashes = {}
    for name, weight in weights.items():
        if not torch.isfinite(weight).all():
            raise ValueError(f"the weight {name} of the model holds values that are NaN or infinite")
        data = weight.cpu().contiguous().flatten().view(torch.uint8).numpy()
        hashes[name] = hashlib.sha256(data).hexdigest()
    return hashes
