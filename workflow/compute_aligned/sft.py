"""Supervised fine-tuning on -log S(p): TRL's SFTTrainer with another loss."""

import json
from pathlib import Path

import torch
from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import SFTConfig, SFTTrainer
from trl.trainer.utils import selective_log_softmax

from .models import trainable_weights_kept
from .objectives import SFTObjective
from .tokenization import IGNORED

WEIGHT_RECORD = "weight_record.json"


class ComputeAlignedSFTTrainer(SFTTrainer):
    """SFTTrainer whose loss is -log S(p) of each sequence; nothing else of the training differs.

    p is the probability of the whole supervised completion, exp of the sum of its tokens' log-probabilities,
    never normalised by length (PAPER, Operators). ``average`` names the divisor of the summed loss, counted over
    the whole accumulated batch, so that the split into micro-batches does not change the gradient:
    ``sequence`` (number of sequences) or ``token`` (number of supervised tokens).

    The pair (log p, weight) of every sequence trained on is kept in ``weight_record``, with its optimiser step.
    """

    loss_is_scaled_for_ga = True  # compute_loss divides by the count of the whole accumulated batch

    def __init__(self, model, *args, objective: SFTObjective, average: str, **kwargs):
        with trainable_weights_kept(model):
            super().__init__(model, *args, **kwargs)
        self.objective = objective
        self.average = average
        self.weight_record: list[tuple[int, float, float]] = []
        self._logged = 0
        self.add_callback(SaveRecord(self.weight_record))

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        log_p = completion_log_p(model, inputs)
        divisor = self._count(inputs["labels"]) if num_items_in_batch is None else num_items_in_batch
        loss = self.objective.loss(log_p).sum() / divisor
        if self.model.training:
            detached = log_p.detach().double().cpu()
            weights = self.objective.weight(detached)
            step = self.state.global_step + 1
            self.weight_record += [(step, lp, w) for lp, w in zip(detached.tolist(), weights.tolist(), strict=True)]
        return (loss, {"log_p": log_p}) if return_outputs else loss

    def _get_num_items_in_batch(self, batch_samples, device):
        """What the loss is averaged over, counted over all micro-batches of a step."""
        return sum(self._count(batch["labels"]) for batch in batch_samples).to(device)

    def _count(self, labels: torch.Tensor) -> torch.Tensor:
        supervised = labels[:, 1:] != IGNORED
        return supervised.any(dim=1).sum() if self.average == "sequence" else supervised.sum()

    def log(self, logs, start_time=None):
        """Add the weights since the last log: mean, effective sample share, and mean log p."""
        recent = self.weight_record[self._logged :]
        self._logged = len(self.weight_record)
        if recent:
            _, log_p, weight = zip(*recent, strict=True)
            logs["weight_mean"] = sum(weight) / len(weight)
            logs["effective_share"] = effective_share(torch.tensor(weight, dtype=torch.float64))
            logs["log_p_mean"] = sum(log_p) / len(log_p)
        super().log(logs, start_time)

    def resume_record(self, checkpoint: Path) -> None:
        """Take up the weight record of a checkpoint."""
        self.weight_record[:] = [tuple(row) for row in json.loads((checkpoint / WEIGHT_RECORD).read_text())]
        self._logged = len(self.weight_record)


def completion_log_p(model, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Log-probability of each row's supervised tokens given what stands before them, shape (rows,), float32.

    The language-model head runs only where some row has a supervised token: with short answers after long problems that
    halves a training step on a CPU, where TRL's fused head scores every position (benchmarks/completion_log_p.py).

    Args:
        model: a causal language model.
        inputs: ``input_ids``, ``attention_mask`` and ``labels``, each of shape (rows, length).
    """
    inputs = dict(inputs)
    targets = inputs.pop("labels")[:, 1:]
    positions = (targets != IGNORED).any(dim=0).nonzero()[:, 0]
    targets = targets[:, positions]
    logits = model(**inputs, use_cache=False, logits_to_keep=positions).logits
    # In float32 whatever the model's precision: p may be a product of a thousand factors.
    log_probs = selective_log_softmax(logits.float(), targets.clamp(min=0))
    return log_probs.masked_fill(targets == IGNORED, 0).sum(dim=1)


class SaveRecord(TrainerCallback):
    """Writes a trainer's record into each checkpoint, as the last file: with it the checkpoint is whole."""

    def __init__(self, record: list | dict):
        self.record = record

    def on_save(self, args, state, control, **kwargs):
        folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        partial = folder / f"{WEIGHT_RECORD}.partial"
        partial.write_text(json.dumps(self.record))
        partial.rename(folder / WEIGHT_RECORD)


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end, or None."""
    whole = [path.parent for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*/{WEIGHT_RECORD}")]
    return max(whole, key=lambda path: int(path.name.rsplit("-", 1)[1]), default=None)


def effective_share(weights: torch.Tensor) -> float:
    """(sum w)^2 / (n sum w^2): the share of the samples that carries the gradient; 1 if all weights are equal.

    NaN if all weights are zero.
    """
    return float(weights.sum() ** 2 / (len(weights) * (weights**2).sum()))


def trainer_arguments(settings: dict, work: Path) -> SFTConfig:
    """TRL's settings of a run; every default that decides a result is named here.

    Args:
        settings: ``config.training_settings``.
        work: folder of checkpoints.
    """
    return SFTConfig(
        output_dir=str(work),
        seed=settings["seed"],
        data_seed=settings["seed"],
        num_train_epochs=settings["epochs"],
        per_device_train_batch_size=settings["micro_batch_size"],
        gradient_accumulation_steps=settings["batch_size"] // settings["micro_batch_size"],
        optim="adamw_torch",
        learning_rate=settings["learning_rate"],
        lr_scheduler_type=settings["schedule"],
        warmup_steps=0,
        weight_decay=settings["weight_decay"],
        max_grad_norm=settings["max_grad_norm"],
        bf16=settings["precision"] == "bf16",
        fp16=settings["precision"] == "fp16",
        gradient_checkpointing=settings["gradient_checkpointing"],
        max_length=None,  # examples are cut where they are encoded
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        average_tokens_across_devices=False,
        use_cpu=not torch.cuda.is_available(),
        save_strategy="steps",
        save_steps=settings["checkpoint_steps"],
        save_total_limit=2,
        logging_steps=settings["checkpoint_steps"],
        report_to="none",
        disable_tqdm=False,
        dataloader_pin_memory=False,
    )
