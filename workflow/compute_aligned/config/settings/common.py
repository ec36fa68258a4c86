"""What training and sampling share: how a model is loaded, which problems are chosen, how completions are drawn."""

from typing import Annotated, Literal

from pydantic import Field

from ...models.adapter import Adapter
from ...settings import Count, Different, NotNegative, Positive, Seed, Settings, Whole

Level = Annotated[int, Field(ge=1, le=5)]


class Drawing(Settings):
    """How completions are drawn (paper Apps. H to J)."""

    temperature: Positive
    """divisor of the logits"""
    top_p: Annotated[float, Field(gt=0, le=1)]
    """nucleus mass; 1 keeps the whole vocabulary"""
    top_k: Whole
    """number of most probable tokens kept; 0 keeps the whole vocabulary"""


class SamplingSettings(Drawing):
    """Size of the pools of some prompts, and how their completions are drawn."""

    n_samples: Count
    """completions of each prompt: the pool size m"""
    max_new_tokens: Count
    """longest completion in tokens, end token included"""
    rows_per_batch: Count
    """sequences decoded at once; changes speed and memory, not the pools"""


class LoadedModel(Settings):
    """How a base model is loaded and computed with (paper App. H: 4-bit NF4, fp16)."""

    quantization: Literal["nf4"] | None
    """of the base model while an adapter is trained or sampled"""
    precision: Literal["fp32", "bf16", "fp16"]
    """of training (autocast) and sampling"""


class TrainedModel(LoadedModel):
    """How a model is trained."""

    gradient_checkpointing: bool
    """less memory for one more forward pass"""


class ChosenProblems(Settings):
    """Which problems a run is about."""

    levels: Annotated[list[Level], Field(min_length=1), Different]
    """levels of training and evaluation problems"""
    longest_prompt: Count
    """in tokens; training leaves out problems with a longer one, evaluation none; both count them"""


class Target(Settings):
    """What a right text is."""

    target: Literal["answer", "solution"]
    """the supervised text: the answer alone, or the worked solution (paper Sec. 3.1)"""


class Optimiser(Settings):
    """What a recipe fixes of AdamW (paper Apps. H to J)."""

    schedule: Literal["linear", "constant"]
    """of the learning rate, from its peak: down to 0, or not at all"""
    weight_decay: NotNegative
    """of AdamW"""
    max_grad_norm: Positive
    """gradient norm that is clipped to"""


class TrainedRun(Target, ChosenProblems, TrainedModel, Optimiser):
    """What a run of either trainer has."""

    objective: str
    """what is trained on, a name of objectives.py or advantages.py; of a warm-up the recipe's"""
    seed: Seed
    """of weights, data order and random numbers; of (recipe, stage, seed) and never of the objective"""
    selection_seed: Seed
    """of the choice of problems, one for all seeds of a run"""
    adapter: Adapter | None
    """that a run from the base model begins; None: it trains the adapter that it starts from further, or all weights"""
    learning_rate: Positive
    """peak learning rate of AdamW (paper Apps. H to J: 5e-6 for the 7B model, 1e-6 in reinforcement learning)"""
    micro_batch_size: Count
    """sequences per forward pass; divides a step's batch and changes memory, not the result"""
    checkpoint_steps: Count
    """optimiser steps between checkpoints"""
