"""Supervised fine-tuning on -log S(p): TRL's SFTTrainer with another loss."""

import json
from pathlib import Path

import torch
from trl import SFTConfig, SFTTrainer
from trl.trainer.utils import selective_log_softmax

from ..analysis.effective_share import effective_share
from ..config.settings.training import TrainingSettings
from ..models.loading import trainable_weights_kept
from ..models.prefix import after_common_prefix
from ..models.tokenization import IGNORED
from ..objectives import GoldCompletions, SFTObjective, sft_objective
from .arguments import shared_arguments
from .callbacks import SaveRecord
from .checkpoints import RECORD
from .success_rates import SuccessRates
from .trained import checked_logs, refuse_values_that_are_no_numbers

# Of every sequence trained on: optimiser step, log-probability, factor on the gradient of cross-entropy (NaN if the
# objective has none), success rate of its problem (NaN unless the objective asks for it).
RECORD_COLUMNS = ["step", "log_p", "weight", "success_rate"]

AVERAGES = ("sequence", "token")


class ComputeAlignedSFTTrainer(SFTTrainer):
    """SFTTrainer with another loss: that of an objective; nothing else of the training differs.

    p is the probability of the whole supervised completion, exp of the sum of its tokens' log-probabilities,
    never normalised by length (paper Sec. 3.1). ``average`` names the divisor of the summed loss, counted over
    the whole accumulated batch, so that the split into micro-batches does not change the gradient:
    ``sequence`` (number of sequences) or ``token`` (number of supervised tokens).

    What every sequence trained on had is kept in ``record``, a row of ``RECORD_COLUMNS`` each.

    Args:
        model: as SFTTrainer takes it, a name or a model.
        objective: what is trained on, or its name, such as ``pass_n16`` (objectives.SFT_OBJECTIVES).
        average: ``sequence`` or ``token``.
        success_rates: of the training examples, for an objective that asks for them (``pass_n16_marginal``).
        args, train_dataset, ...: as SFTTrainer takes them. The completion is what has labels: of columns ``prompt``
            and ``completion`` TRL makes them.

    Raises:
        ValueError: an unknown objective or average, an objective that asks for success rates without them, packing,
            padding-free batches, or several processes: p would be that of several examples together, or the loss
            divided by another number.
    """

    loss_is_scaled_for_ga = True  # compute_loss divides by the count of the whole accumulated batch

    def __init__(
        self,
        model,
        args: SFTConfig | None = None,
        *,
        objective: SFTObjective | str,
        average: str = "sequence",
        success_rates: SuccessRates | None = None,
        **kwargs,
    ):
        objective = sft_objective(objective) if isinstance(objective, str) else objective
        if average not in AVERAGES:
            raise ValueError(f"unknown average {average!r}; wanted one of {', '.join(AVERAGES)}")
        if objective.needs_success_rate and success_rates is None:
            raise ValueError(f"{objective.label} weighs by a problem's success rate; found success_rates=None")
        if args is not None and (args.packing or args.padding_free):
            raise ValueError(
                f"found packing={args.packing} and padding_free={args.padding_free}, wanted both False: examples in "
                "one row would have one probability together"
            )
        with trainable_weights_kept(model):
            super().__init__(model, args, **kwargs)
        if self.accelerator.num_processes != 1:
            raise ValueError(f"found {self.accelerator.num_processes} processes, wanted one")
        self.objective = objective
        self.average = average
        self.success_rates = success_rates
        self.record: list[tuple[int, float, float, float]] = []
        self._logged = 0
        rates = None if success_rates is None else success_rates.state
        self.add_callback(SaveRecord({"rows": self.record, "success_rates": rates}))
        if success_rates is not None:
            collate = self.data_collator
            self.data_collator = lambda rows: collate(rows) | {"example": torch.tensor([r["example"] for r in rows])}

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        inputs = dict(inputs)
        examples = inputs.pop("example", None)
        rates = None
        if self.success_rates is not None:
            with self.accelerator.autocast():
                rates = self.success_rates.at(self.model, self.state.global_step)[examples.cpu()].to(examples.device)
        gold = gold_completions(model, inputs, rates)
        divisor = self._count(inputs["labels"]) if num_items_in_batch is None else num_items_in_batch
        loss = self.objective.loss(gold).sum() / divisor
        if self.model.training:
            self._keep(gold)
        return (loss, {"log_p": gold.log_p}) if return_outputs else loss

    def _keep(self, gold: GoldCompletions) -> None:
        log_p = gold.log_p.detach().double()
        rates = torch.full_like(log_p, torch.nan) if gold.success_rate is None else gold.success_rate
        step = self.state.global_step + 1
        refuse_values_that_are_no_numbers(step, {"log p of a sequence": float(log_p.sum())})
        columns = [column.tolist() for column in (log_p, self.objective.weight(gold), rates)]
        self.record += [(step, *row) for row in zip(*columns, strict=True)]

    def _get_num_items_in_batch(self, batch_samples, device):
        """What the loss is averaged over, counted over all micro-batches of a step."""
        if any("labels" not in batch for batch in batch_samples):
            found = ", ".join(sorted(batch_samples[0]))
            raise ValueError(f"a batch has {found}; wanted labels, too, as TRL's own collator gives")
        return sum(self._count(batch["labels"]) for batch in batch_samples).to(device)

    def _count(self, labels: torch.Tensor) -> torch.Tensor:
        supervised = labels[:, 1:] != IGNORED
        return supervised.any(dim=1).sum() if self.average == "sequence" else supervised.sum()

    def log(self, logs, start_time=None):
        """Add the weights since the last log, if there are any: mean, effective sample share; and mean log p."""
        recent = self.record[self._logged :]
        self._logged = len(self.record)
        if recent:
            _, log_p, weight, _ = (torch.tensor(column, dtype=torch.float64) for column in zip(*recent, strict=True))
            logs["log_p_mean"] = float(log_p.mean())
            if not weight.isnan().any():
                logs["weight_mean"] = float(weight.mean())
                logs["effective_share"] = effective_share(weight.numpy())
        refuse_values_that_are_no_numbers(self.state.global_step, checked_logs(logs, self.args))
        super().log(logs, start_time)

    def resume_record(self, checkpoint: Path) -> None:
        """Take up the record of a checkpoint, and the success rates it was trained with."""
        saved = json.loads((checkpoint / RECORD).read_text())
        self.record[:] = [tuple(row) for row in saved["rows"]]
        self._logged = len(self.record)
        if self.success_rates is not None:
            self.success_rates.state |= saved["success_rates"]


def gold_completions(
    model, inputs: dict[str, torch.Tensor], success_rate: torch.Tensor | None = None
) -> GoldCompletions:
    """What the model makes of each row's supervised tokens, given what stands before them; everything in float32.

    The language-model head runs only where some row has a supervised token: with short answers after long problems that
    halves a training step on a CPU, where TRL's fused head scores every position (benchmarks/gold_completions.py).

    Args:
        model: a causal language model.
        inputs: ``input_ids``, ``attention_mask`` and ``labels``, each of shape (rows, length).
        success_rate: of each row's problem, shape (rows,).
    """
    labels = inputs["labels"]
    targets = labels[:, 1:]
    positions = (targets != IGNORED).any(dim=0).nonzero()[:, 0]
    targets = targets[:, positions]
    supervised = targets != IGNORED
    targets = targets.clamp(min=0)
    # In float32 whatever the model's precision: p may be a product of a thousand factors.
    inputs, cut = after_common_prefix(model, inputs["input_ids"], inputs["attention_mask"], labels)
    logits = model(**inputs, use_cache=False, logits_to_keep=positions - cut).logits.float()
    log_p = selective_log_softmax(logits, targets).masked_fill(~supervised, 0).sum(dim=1)
    return GoldCompletions(log_p, logits, targets, supervised, success_rate)


def trainer_arguments(settings: TrainingSettings, work: Path) -> SFTConfig:
    """TRL's settings of a run; every default that decides a result is named here.

    Args:
        settings: of the run.
        work: folder of checkpoints.
    """
    return SFTConfig(
        **shared_arguments(settings, work),
        num_train_epochs=settings.epochs,
        gradient_accumulation_steps=settings.batch_size // settings.micro_batch_size,
        max_length=None,  # examples are cut where they are encoded
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        average_tokens_across_devices=False,
        logging_steps=settings.checkpoint_steps,
    )
