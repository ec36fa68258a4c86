"""What a job of supervised fine-tuning gets."""

from typing import Annotated, Literal

from pydantic import Field

from ...settings import Count
from ...tasks.questions import Questions
from .common import Optimiser, SamplingSettings, TrainedRun


class SupervisedMethod(Optimiser):
    """What a recipe fixes of its supervised stages."""

    average: Literal["sequence", "token"]
    """what the summed loss is divided by: the number of sequences (paper Table 2) or of supervised tokens (Table 3)"""
    max_length: Annotated[int, Field(ge=2)]
    """longest training sequence in tokens; the end of a longer target is cut"""


class SuccessRateSettings(SamplingSettings):
    """How success rates are measured for the marginal objectives (ours; docs/method.md)."""

    refresh_epochs: Count
    """measured before the first epoch, then every so many epochs"""


class TrainingSettings(SupervisedMethod, TrainedRun):
    """One run of supervised fine-tuning: the warm-up that a recipe's objectives share, or an objective."""

    train_problems: Count | None
    """training problems taken after filter and shuffle (paper Table 2: 5,000); None takes all"""
    epochs: Count
    """passes over them (paper Tables 2 and 3: 2 of the warm-up, 3 of each objective)"""
    batch_size: Count
    """sequences per optimiser step (paper App. H: 4)"""
    success_rate: SuccessRateSettings | None
    """for an objective that asks for success rates; None: it does not"""
    questions: Questions = None
    """of a task whose own scorer says which answers are right, where success rates are measured"""
