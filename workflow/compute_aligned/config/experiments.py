"""What `config/experiments.yaml` may say: what is compared."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from ..settings import Different, Name, Settings, TextOrList
from .settings.closed_forms import ClosedForms, Strategies
from .settings.diagonal import Diagonal, DiagonalPools

Table = Annotated[str, Field(pattern="^([a-z_]+_)?table[0-9]*$")]
Names = Annotated[list[str], Field(min_length=1), Different]
OneOrSeveral = Annotated[
    Annotated[str, Tag("text")] | Annotated[list[str], Field(min_length=2), Different, Tag("list")],
    TextOrList,
]
Drawn = Literal[
    "difference", "values", "tokens", "hydrophobicity", "inversion", "training", "matrix", "pass_rates", "alignment"
]
Probability = Annotated[float, Field(gt=0, le=1)]


class Asked(Settings):
    """What every experiment says first."""

    kind: str
    """which of them it is"""
    title: str
    """first words of its captions"""
    question: str
    """what the experiment asks"""


class Comparison(Asked):
    """Trained runs are compared."""

    kind: Literal["comparison"]
    """trained runs are compared"""
    recipe: OneOrSeveral
    """the recipe whose runs it compares, or several, compared under one objective"""
    objectives: Names
    """the paper's"""
    labels: dict[str, str] = {}
    """objective or recipe -> its name in tables and figures, in place of the registry's"""
    reported_from: str = None
    """experiment of its rows in reported.csv, in place of its own name"""
    beyond_paper: Names = []
    """objectives that the paper does not have; below a rule in the table, not in the figures"""
    reported_as: dict[str, str] = {}
    """objective -> its model in reported.csv, where that is not its label"""
    baseline: str
    """the objective, or of several recipes the recipe, that differences are taken from"""
    metric: Literal["pass", "maj", "bon"]
    """the metric that the paper reports"""
    alignment: str = None
    """closed-form experiment whose alignment coefficients stand beside the gain over the baseline; objectives are then
    ce and pass_n<N>"""
    gain: Literal[True] = None
    """a column more: the metric at the largest k minus that at the smallest"""
    table: Table = None
    """its name"""
    figures: dict[Name, Drawn]
    """name of a figure -> how it is drawn"""
    paper_item: str
    """its rows in reported.csv"""


class Values(Settings):
    """Numbers that the table prints."""

    strategies: Strategies
    """names such as pass_n16, majority_n16_k4, best_of_n16"""
    p: Annotated[list[Probability], Field(min_length=1), Different]
    """chances that one sample is right"""


class WeightsFigure(Settings):
    """A curve per strategy."""

    draw: Literal["weights"]
    """a curve per strategy over p"""
    title: str
    """what it shows"""
    form: Literal["sft", "rl"]
    """w(p) = p S'(p) / S(p), or S'(p)"""
    strategies: Strategies
    """names such as pass_n16, majority_n16_k4, best_of_n16"""
    scale: Literal["linear", "log"]
    """of the weight's axis"""


class WasteFigure(Settings):
    """A panel per strategy."""

    draw: Literal["waste"]
    """a panel per strategy: where its SFT weight is negligible and that of `train` is not"""
    title: str
    """what it shows"""
    train: str
    """the strategy trained on"""
    strategies: Strategies
    """names such as pass_n16, majority_n16_k4, best_of_n16"""


class ClosedForm(ClosedForms, Asked):
    """Strategies are compared by their formulas."""

    kind: Literal["closed_form"]
    """computed from the strategies alone; nothing is trained"""
    values: Values
    """numbers that the table prints"""
    table: Table
    """its name"""
    figures: dict[Name, Annotated[WeightsFigure | WasteFigure, Field(discriminator="draw")]]
    """name of a figure -> what it shows"""


class DiagonalFigure(DiagonalPools):
    """A figure of rho."""

    title: str
    """what it shows"""


class DiagonalDiagnostic(Diagonal, Asked):
    """The diagonal approximation of the gradient is held against the exact one."""

    kind: Literal["diagonal"]
    """the diagonal approximation on pools of trained runs and on random answer sets"""
    figures: Annotated[dict[Name, DiagonalFigure], Field(min_length=1)]
    """name of a figure -> the pools whose rho it shows"""


class Experiments(Settings):
    """The whole file."""

    experiments: dict[Name, Annotated[Comparison | ClosedForm | DiagonalDiagnostic, Field(discriminator="kind")]]
    """experiments by name"""
