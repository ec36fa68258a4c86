"""What a job of reinforcement learning gets."""

from typing import Annotated, Literal

from pydantic import Field

from ...settings import Count, NotNegative, Positive, Settings, Whole
from ...tasks.questions import Questions
from .common import Drawing, Optimiser, TrainedRun


class RLMethod(Optimiser):
    """What a recipe fixes of reinforcement learning (paper Sec. 3.2, Apps. B, H to J)."""

    group_size: Annotated[int, Field(ge=2)]
    """completions per prompt"""
    loss: Literal["sequence", "token_mean"]
    """the sum of a completion's log-probabilities, or their mean, times the advantage"""
    beta: NotNegative
    """weight of the KL term, whose reference is where the run starts"""
    weight_clip: Positive | None
    """largest weight, before normalisation; null: none"""
    normalize_weights: bool
    """divide the weights by their mean over the batch"""
    advantage_clip: Positive | None
    """largest size of an advantage, before the weight; null: none"""
    all_wrong_penalty: NotNegative
    """subtracted from each advantage of a group without a right completion"""
    reward_window: Count | None
    """past rewards among which Best-of-N ranks a reward; null: it ranks within the prompt"""


class RLScale(Settings):
    """What a preset fixes of reinforcement learning."""

    problems: Count
    """prompts"""
    steps: Count
    """optimiser steps"""
    prompts_per_step: Count
    """prompts per optimiser step (paper: 4)"""
    learning_rate: Positive
    """of AdamW"""
    micro_batch_size: Count
    """completions per forward pass; divides prompts_per_step x group_size and changes memory, not the result"""
    max_new_tokens: Count
    """longest completion in tokens"""
    checkpoint_steps: Count
    """optimiser steps between checkpoints"""


class RLSettings(RLScale, RLMethod, Drawing, TrainedRun):
    """One run of reinforcement learning, from the warm-up or the base model."""

    reward: Literal["answer", "hydrophobicity", "inversion"]
    """what makes a completion good: the right answer, or one of the two rewards of protein sequences"""
    questions: Questions = None
    """of a task whose own scorer says which answers are right"""
    skipped_problems: Whole
    """problems of the shuffled order that come before the first prompt: the warm-up's, where prompts are fresh"""
