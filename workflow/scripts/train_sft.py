"""Train runs by supervised fine-tuning: a warm-up from the base model, or an objective from the warm-up."""

import torch

from compute_aligned.config.settings.training import TrainingSettings
from compute_aligned.training.loop import train_runs
from compute_aligned.training.sft_run import train_sft

if __name__ == "__main__":
    torch.set_flush_denormal(True)  # arithmetic with numbers below 1e-38 slows a CPU down, by 7 % on tiny's answers
    train_runs(snakemake, train_sft, TrainingSettings)  # noqa: F821
