"""What both trainers tell transformers' Trainer; each default that decides a result is named here or with a trainer."""

from pathlib import Path

import torch

from ..config.settings.common import TrainedRun
from ..models.loading import adamw


def shared_arguments(settings: TrainedRun, work: Path) -> dict:
    """Arguments of ``SFTConfig`` and ``GRPOConfig`` alike.

    Args:
        settings: of the run.
        work: folder of checkpoints.
    """
    return {
        "output_dir": str(work),
        "seed": settings.seed,
        "data_seed": settings.seed,
        "per_device_train_batch_size": settings.micro_batch_size,
        # the optimiser
        "optim": adamw(settings.precision),
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": 0,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "bf16": settings.precision == "bf16",
        "fp16": settings.precision == "fp16",
        "gradient_checkpointing": settings.gradient_checkpointing,
        "use_cpu": not torch.cuda.is_available(),
        # the records
        "save_strategy": "steps",
        "save_steps": settings.checkpoint_steps,
        "save_total_limit": 2,
        "logging_nan_inf_filter": False,  # else a loss that is NaN is logged as the mean of the others
        "report_to": "none",
        "disable_tqdm": False,
        "remove_unused_columns": False,
        "dataloader_pin_memory": False,
    }
