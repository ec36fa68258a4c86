"""What a job on the diagonal approximation gets; an experiment of that kind says most of it in these words."""

from typing import Annotated, Literal

from pydantic import Field

from ...settings import Count, Different, Positive, Seed, Settings

Budget = Annotated[int, Field(ge=1, le=1024)]  # as in names (objectives.py)


class Theorem3(Settings):
    """Random answer sets (paper Theorem 3); each value is drawn from its list."""

    cases: Count
    """per strategy and kind of target"""
    answers: Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1), Different]
    """numbers of answers"""
    concentrations: Annotated[list[Positive], Field(min_length=1), Different]
    """of the symmetric Dirichlet distribution of their probabilities"""
    n: Annotated[list[Budget], Field(min_length=1), Different]
    """budgets N"""
    seed: Seed
    """of the sets"""


class DiagonalPools(Settings):
    """The pools whose rho a figure shows (paper Figures 9 and 10)."""

    strategy: Literal["majority", "best_of_n"]
    """majority of the pool's answers, or its highest reward"""
    recipe: str
    """the recipe whose runs drew the pools"""
    objective: str
    """the objective of these runs"""
    paper_item: str
    """its rows in reported.csv"""


class Diagonal(Settings):
    """What an experiment of kind diagonal asks for."""

    n: Budget
    """budget N of the strategies"""
    draws: Annotated[int, Field(ge=2)]
    """draws of the other N - 1 samples, for the paper's estimate of rho beside the exact one"""
    seed: Seed
    """of these draws"""
    theorem3: Theorem3
    """random answer sets; each value is drawn from its list"""


class DiagonalSettings(Diagonal):
    """The computation of one such experiment: no title."""

    name: str
    """of the experiment"""
    figures: dict[str, DiagonalPools]
    """name of a figure -> the pools whose rho it shows"""
