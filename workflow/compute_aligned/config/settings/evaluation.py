"""What a job that samples evaluation pools gets."""

from typing import Literal

from ...settings import Count, Seed
from .common import ChosenProblems, LoadedModel, SamplingSettings


class EvaluationSettings(SamplingSettings, ChosenProblems, LoadedModel):
    """The evaluation pools of one run, drawn alike for all objectives."""

    backend: Literal["transformers", "vllm"]
    """what draws them"""
    problems: Count
    """evaluation problems taken after filter and shuffle"""
    selection_seed: Seed
    """of the choice of problems, one for all seeds of a run"""
    seed: Seed
    """of the completions; of (recipe, stage, seed) and never of the objective"""
    problems_per_shard: Count
    """pools written at once; a kill loses one shard at most"""
