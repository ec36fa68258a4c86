"""What `config/recipes.yaml` may say: how the paper trains its runs."""

from typing import Annotated, Literal

from pydantic import Field

from ..models.adapter import Adapter
from ..settings import Different, Name, Settings
from .settings.common import ChosenProblems, Drawing, Target
from .settings.rl import RLMethod
from .settings.training import SupervisedMethod


class RecipeRL(RLMethod):
    """Reinforcement learning of a recipe."""

    prompts_from: Literal["fresh", "warmup"]
    """the problems that follow the warm-up's in the shuffled order, or the warm-up's own first ones"""
    sampling: Drawing
    """how completions are drawn in training"""


class RecipeRoles(Settings):
    """What a recipe is about."""

    trainer: Literal["sft", "grpo"]
    """how the objectives are trained, after a warm-up that is always supervised"""
    task: str
    """key of the preset's data"""
    model: str
    """key of the preset's models"""
    stream: str = None
    """name that the random seeds derive from, in place of the recipe's own, so that two recipes share them"""
    reward: Literal["answer", "hydrophobicity", "inversion"]
    """what makes a completion good: the right answer, or one of the two rewards of protein sequences"""
    warmup: str | None
    """objective of the shared warm-up; null: there is none of its own"""
    warmup_recipe: str = None
    """recipe whose warm-up the objectives start from, where the recipe has none of its own; without it they start from
    the base model"""
    objectives: Annotated[list[str], Field(min_length=1), Different]
    """objectives that have a run"""


class Recipe(SupervisedMethod, Target, ChosenProblems, RecipeRoles):
    """How the runs of one name are trained and sampled."""

    adapter: Adapter
    """LoRA, where the preset trains adapters"""
    rl: RecipeRL = None
    """reinforcement learning, for the trainer grpo"""
    sampling: Drawing
    """how completions are drawn in evaluation"""
    success_rate: Drawing = None
    """how completions are drawn in training, for the success rate that the marginal objectives ask for"""


class Recipes(Settings):
    """The whole file."""

    recipes: dict[Name, Recipe]
    """recipes by name"""
