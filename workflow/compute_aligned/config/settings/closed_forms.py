"""What a job that computes closed forms gets; an experiment of that kind says most of it in these words."""

from typing import Annotated

from pydantic import Field

from ...settings import Count, Different, Name, Positive, Seed, Settings

Strategies = Annotated[list[str], Field(min_length=1), Different]
Share = Annotated[float, Field(gt=0, lt=1)]


class Alignment(Settings):
    """Every pair of strategies, one to train on and one to test with (paper App. G)."""

    strategies: Strategies
    """names such as pass_n16, majority_n16_k4, best_of_n16"""
    negligible: Share
    """a weight below this counts as none"""


class Variance(Settings):
    """CAT's gradient estimator against the pivotal one (the paper's appendix on Rao-Blackwell)."""

    n: Annotated[list[Annotated[int, Field(ge=2, le=1024)]], Field(min_length=1), Different]
    """budgets N"""
    p: Annotated[list[Share], Field(min_length=1), Different]
    """chances that one sample is right"""
    draws: Annotated[int, Field(ge=20, multiple_of=20)]
    """groups of N samples that are simulated, in 20 batches"""
    seed: Seed
    """of the simulation"""


class Beta(Settings):
    """A distribution of p over prompts."""

    a: Positive
    """its first parameter"""
    b: Positive
    """its second parameter; the mean of p is a / (a + b)"""


class WithinPrompt(Settings):
    """Weights of one prompt's samples divided by their own mean (paper App. B)."""

    strategies: Strategies
    """RL objectives that need no log p, such as majority_n8_raw, best_of_n8"""
    groups: Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1), Different]
    """samples per prompt"""


class Normalisation(Settings):
    """RL weights divided by their mean over a batch, or within one prompt (paper App. B)."""

    strategies: Strategies
    """names such as pass_n16, majority_n16_k4, best_of_n16"""
    prompts: Annotated[dict[Name, Beta], Field(min_length=1)]
    """name of a distribution of p over prompts -> Beta(a, b)"""
    batches: Annotated[list[Count], Field(min_length=1), Different]
    """prompts per batch"""
    draws: Annotated[int, Field(ge=2)]
    """batches that are simulated"""
    seed: Seed
    """of the simulation"""
    within_prompt: WithinPrompt
    """weights of one prompt's samples divided by their own mean"""


class ClosedForms(Settings):
    """What an experiment of kind closed_form asks for."""

    points: Annotated[int, Field(ge=2)]
    """weights are drawn at p = 1/points, 2/points, ..., 1"""
    alignment: Alignment
    """every pair of strategies, one to train on and one to test with"""
    variance: Variance
    """CAT's gradient estimator against the pivotal one"""
    normalisation: Normalisation
    """RL weights divided by their mean over a batch, or within one prompt"""
    paper_item: str
    """its rows in reported.csv"""


class ClosedFormSettings(ClosedForms):
    """The computation of one such experiment: no title, and each strategy once."""

    name: str
    """of the experiment"""
    strategies: list[str]
    """all whose weights its table and figures show, sorted"""
    p: list[float]
    """chances of one sample at which the table prints weights"""
