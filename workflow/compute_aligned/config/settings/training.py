"""What a job of supervised fine-tuning gets."""

from typing import Annotated, Literal

from pydantic import Field

from ...models.adapter import Adapter
from ...settings import Count, NotNegative, Positive, Seed, Settings
from .common import ChosenProblems, SamplingSettings, Target, TrainedModel

Schedule = Literal["linear", "constant"]


class SupervisedMethod(Settings):
    """What a recipe fixes of its supervised stages."""

    average: Literal["sequence", "token"]
    """what the summed loss is divided by: the number of sequences (paper Table 2) or of supervised tokens (Table 3)"""
    schedule: Schedule
    """of the learning rate, supervised stages"""
    weight_decay: NotNegative
    """of AdamW"""
    max_grad_norm: Positive
    """gradient norm that is clipped to"""
    max_length: Annotated[int, Field(ge=2)]
    """longest training sequence in tokens; the end of a longer target is cut"""


class SuccessRateSettings(SamplingSettings):
    """How success rates are measured for the marginal objectives (ours; docs/method.md)."""

    refresh_epochs: Count
    """measured before the first epoch, then every so many epochs"""


class TrainingSettings(SupervisedMethod, Target, ChosenProblems, TrainedModel):
    """One run of supervised fine-tuning: the warm-up that a recipe's objectives share, or an objective."""

    objective: str
    """what is trained on, a name of objectives.py; of a warm-up the recipe's"""
    seed: Seed
    """of weights, data order and dropout; of (recipe, stage, seed) and never of the objective"""
    selection_seed: Seed
    """of the choice of problems, one for all seeds of a run"""
    train_problems: Count | None
    """training problems taken after filter and shuffle (paper Table 2: 5,000); None takes all"""
    epochs: Count
    """passes over them (paper Tables 2 and 3: 2 of the warm-up, 3 of each objective)"""
    learning_rate: Positive
    """peak learning rate of AdamW (paper App. H: 5e-6)"""
    batch_size: Count
    """sequences per optimiser step (paper App. H: 4)"""
    micro_batch_size: Count
    """sequences per forward pass; divides batch_size and changes memory, not the result"""
    checkpoint_steps: Count
    """optimiser steps between checkpoints, and between lines of the log"""
    adapter: Adapter | None
    """that a run from the base model begins; None trains all weights"""
    success_rate: SuccessRateSettings | None
    """for an objective that asks for success rates; None: it does not"""
