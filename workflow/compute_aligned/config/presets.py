"""What a preset (`config/tiny.yaml`, ...) may say: scale alone."""

from typing import Annotated, Literal

from pydantic import Field

from ..models.sources import Source
from ..settings import Count, Different, Name, Positive, Seed, Settings, Text, Whole
from ..tasks.sources import Task
from .settings.common import TrainedModel
from .settings.rl import RLScale


class Resources(Settings):
    """What one job of a stage may use."""

    threads: Count
    """CPU threads of a job"""
    mem_mb: Count
    """memory in MB"""
    runtime: Count
    """time limit in minutes"""


class GPUResources(Resources):
    """The same of a stage that runs models."""

    gpu: Whole
    """number of GPUs"""


class StageResources(Settings):
    """What one job may use, by stage; the other jobs take what `evaluate` may."""

    data: Resources
    """problems and base models, on the CPU"""
    train: GPUResources
    """training"""
    sample: GPUResources
    """sampling"""
    evaluate: Resources
    """grading, metrics, tables and figures, on the CPU"""


class Model(TrainedModel):
    """A base model, and how it is trained."""

    source: Source
    """where the base model comes from"""
    adapter: bool
    """train the recipe's LoRA adapter (true) or all weights (false)"""


class SuccessRateScale(Settings):
    """Scale of measuring success rates."""

    samples: Count
    """completions sampled per training problem"""
    refresh_epochs: Count
    """measured before the first epoch, then every so many epochs"""


class EvaluationScale(Settings):
    """Scale of the evaluation pools."""

    problems: Count
    """evaluation problems"""
    samples: Count
    """pool size m of each problem; at least the largest k, better twice that"""
    max_new_tokens: Count
    """longest completion in tokens"""
    rows_per_batch: Count
    """sequences decoded at once; changes speed and memory, not the pools"""
    problems_per_shard: Count
    """pools written at once; a kill loses one shard at most"""


class Overrides(Settings):
    """What one objective's runs have otherwise than the recipe's others; of its own stage, not of the warm-up."""

    learning_rate: Positive = None
    """peak learning rate of AdamW"""
    epochs: Count = None
    """epochs; of a recipe with the trainer sft"""
    batch_size: Count = None
    """sequences per optimiser step; of a recipe with the trainer sft"""
    steps: Count = None
    """optimiser steps; of a recipe with the trainer grpo"""
    micro_batch_size: Count = None
    """sequences, or completions, per forward pass"""


class RecipeScale(Settings):
    """Scale of a recipe. What it needs beside `evaluation` depends on its trainer (config/checks.py)."""

    train_problems: Count | None = None
    """training problems taken after filter and shuffle; null takes all"""
    warmup_epochs: Count = None
    """epochs of the warm-up that all objectives share"""
    epochs: Count = None
    """epochs of each objective"""
    learning_rate: Positive = None
    """peak learning rate of AdamW, both stages"""
    batch_size: Count = None
    """sequences per optimiser step"""
    micro_batch_size: Count = None
    """sequences per forward pass; divides batch_size and changes memory, not the result"""
    checkpoint_steps: Count = None
    """optimiser steps between checkpoints"""
    rl: RLScale = None
    """for a recipe with the trainer grpo"""
    success_rate: SuccessRateScale = None
    """for the marginal objectives, which need it"""
    overrides: dict[Name, Overrides] = None
    """objective -> what its runs alone have otherwise; tables and figures say so"""
    evaluation: EvaluationScale
    """pools of the runs, drawn after training"""


class ExperimentScale(Settings):
    """Scale of an experiment."""

    k: Annotated[list[Count], Field(min_length=1), Different] = None
    """test budgets; for a comparison of runs alone"""
    seeds: Annotated[list[Seed], Field(min_length=1), Different] = None
    """some of the preset's seeds, where runs are dear; experiments without it have all"""
    beyond_paper: Annotated[list[Text], Field(max_length=0)] = None
    """`[]`: without the objectives that the paper does not have, where runs are dear"""


class Preset(Settings):
    """The whole file."""

    preset: Name
    """name of the results folder, results/<preset>"""
    split: Literal["test", "validation"]
    """the split that is evaluated"""
    seeds: Annotated[list[Seed], Field(min_length=1), Different]
    """seeds of the runs; intervals over seeds need at least two"""
    seeds_in_one_job: bool
    """one job of training, sampling or grading goes through all seeds (where a run takes no longer than starting it),
    or each seed has its own job; the results are the same"""
    sampling_backend: Literal["transformers", "vllm"]
    """what draws the evaluation pools; vllm is an optional extra and needs a GPU (docs/method.md, Sampling)"""
    licences: dict[Text, Text] = None
    """of hub repositories, by their ids, as their cards state them at the revisions that the preset names; written by
    `snakemake pin`, read by the crate alone"""
    models: dict[Name, Model]
    """base models by the name that recipes give them"""
    data: dict[Name, Task]
    """problems by task"""
    recipes: dict[Name, RecipeScale]
    """the scale of each recipe"""
    experiments: Annotated[dict[Name, ExperimentScale], Field(min_length=1)]
    """the experiments to run and their test budgets k"""
    only: Annotated[list[Name], Field(min_length=1), Different] = None
    """those of the experiments that are run, and judged, this time; all without it"""
    resources: StageResources
    """what one job of a stage may use"""
