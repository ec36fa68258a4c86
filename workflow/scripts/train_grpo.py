"""Train runs by reinforcement learning: GRPO with an objective's advantages, from the warm-up or the base model."""

from compute_aligned.config.settings.rl import RLSettings
from compute_aligned.training.grpo_run import train_grpo
from compute_aligned.training.loop import train_runs

if __name__ == "__main__":
    train_runs(snakemake, train_grpo, RLSettings)  # noqa: F821
