"""What `config/claims.yaml` may say: what the paper claims, and what decides it."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from ..settings import Count, Different, Number, Positive, Settings, TextOrList

Names = Annotated[list[str], Field(min_length=1), Different]
Share = Annotated[float, Field(gt=0, lt=1)]
Ks = Annotated[
    Annotated[Literal["all"], Tag("text")] | Annotated[list[Count], Field(min_length=1), Different, Tag("list")],
    TextOrList,
]
Direction = Literal["greater", "less", "not_greater", "not_less", "clearly_greater"]
Budgets = Annotated[dict[str, Count], Field(min_length=2)]
Range = Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=2, max_length=2)]


class Difference(Settings):
    """Two sets of objectives are compared."""

    kind: Literal["difference"]
    """of every objective from every one of `over`, at every k"""
    objectives: Names
    """of the experiment; where it compares recipes, these"""
    over: Names
    """what they are compared with"""
    k: Ks
    """test budgets, or all of the preset's"""
    direction: Direction
    """of the effect; not_greater: below the smallest effect of interest; not_less: above minus that effect;
    clearly_greater: above it"""


class SlopeInN(Settings):
    """Objectives of several budgets N are compared."""

    kind: Literal["slope_in_n"]
    """least-squares slope of the metric in log2 N, at every k"""
    objectives: Budgets
    """objective -> its budget N"""
    k: Ks
    """test budgets, or all of the preset's"""
    direction: Direction
    """of the slope, as of a difference"""


class SlopeInK(Settings):
    """A difference is followed over k."""

    kind: Literal["slope_in_k"]
    """least-squares slope of the difference in log2 k"""
    objectives: Names
    """of the experiment"""
    over: Names
    """what they are compared with"""
    k: Ks
    """test budgets, or all of the preset's"""
    direction: Direction
    """of the slope, as of a difference"""


class ShareWithin(Settings):
    """Samples of proteins are counted."""

    kind: Literal["share"]
    """difference of the shares of samples whose hydrophobic fraction lies in a range, ends included"""
    between: Range
    """the range"""
    objectives: Names
    """of the experiment"""
    over: Names
    """what they are compared with"""
    direction: Direction
    """of the difference"""
    reported: dict[str, Number] = {}
    """objective -> the paper's share, percent"""


class ShareBelow(Settings):
    """Samples of proteins are counted, and the count is held against a bound."""

    kind: Literal["share_below"]
    """the share of samples whose hydrophobic fraction lies in a range, ends included, is below a bound"""
    between: Range
    """the range"""
    objectives: Names
    """of the experiment"""
    below: Annotated[float, Field(gt=0, le=100)]
    """the bound, percent"""
    reported: dict[str, Number] = {}
    """objective -> the paper's share, percent"""


class GainsByAlignment(Settings):
    """Gains of several budgets are held against alignment."""

    kind: Literal["gains_by_alignment"]
    """the gains at k = N rise as the alignment of a training with Pass@N falls: each exceeds the one before"""
    alignment: str
    """the experiment that computes the alignment"""
    train: str
    """the strategy whose alignment falls, by its name there"""
    objectives: Budgets
    """objective -> its budget N, and the k of its gain"""
    over: Annotated[list[str], Field(min_length=1, max_length=1)]
    """what the gains are over"""


class RhoShare(Settings):
    """Pools of a figure are counted."""

    kind: Literal["rho_share"]
    """rho is at least 1 for every pool of a figure that has one"""
    figure: str
    """a figure of the experiment"""


class RhoMean(Settings):
    """Pools of a figure are averaged."""

    kind: Literal["rho_mean"]
    """the mean rho of a figure, over seeds and within each over its pools, exceeds 1 by less than the smallest
    effect"""
    figure: str
    """a figure of the experiment"""


class ProportionalDecay(Settings):
    """The assumption of Theorem 3 is put in."""

    kind: Literal["proportional_decay"]
    """under it the exact gradient is the diagonal over rho, on random answer sets"""


class Flips(Settings):
    """Directions of gradients are compared."""

    kind: Literal["flips"]
    """no random answer set turns the diagonal against the exact gradient of a softmax"""
    strategy: Literal["majority", "best_of_n"]
    """whose sets are counted"""


class MeanWeight(Settings):
    """Normalisation is checked."""

    kind: Literal["mean_weight"]
    """weights divided by their mean over a batch have mean 1"""


class CancelsWithinPrompt(Settings):
    """Normalisation within one prompt is checked."""

    kind: Literal["cancels_within_prompt"]
    """weights that a prompt's samples share, divided by their mean, leave GRPO's advantages"""


class StepSize(Settings):
    """Lengths of gradients are compared."""

    kind: Literal["step_size"]
    """the length of the gradient changes by less than the smallest effect (percent) from a strategy's smallest N to its
    largest"""


class AlignmentFalls(Settings):
    """Alignments are compared."""

    kind: Literal["alignment_falls"]
    """the alignment falls from each tested strategy to the next"""
    train: str
    """the strategy trained on"""
    test: Annotated[list[str], Field(min_length=2), Different]
    """the strategies tested with"""


class VarianceRatio(Settings):
    """Estimators are compared by their formulas."""

    kind: Literal["variance_ratio"]
    """the ratio of the variances is at most 1 at every N and p"""


class VarianceSimulated(Settings):
    """Estimators are compared by simulation."""

    kind: Literal["variance_simulated"]
    """no simulated ratio is four standard errors or more from it"""


Part = Annotated[
    Difference
    | SlopeInN
    | SlopeInK
    | ShareWithin
    | ShareBelow
    | GainsByAlignment
    | RhoShare
    | RhoMean
    | ProportionalDecay
    | Flips
    | MeanWeight
    | CancelsWithinPrompt
    | StepSize
    | AlignmentFalls
    | VarianceRatio
    | VarianceSimulated,
    Field(discriminator="kind"),
]


class SmallestEffect(Settings):
    """Below it nobody would care."""

    value: Positive
    """smallest effect of interest"""
    because: str
    """why no smaller one matters"""


class Claim(Settings):
    """A statement of the paper, and the test that decides it."""

    statement: str
    """what the paper says"""
    paper_item: str
    """where it says so"""
    experiment: str
    """whose results decide it"""
    family: str
    """claims that are corrected together"""
    smallest_effect: SmallestEffect
    """in points, reward units or what the claim's unit is"""
    parts: Annotated[list[Part], Field(min_length=1)]
    """what has to hold, all of it"""


class Learned(Settings):
    """Whether the baseline learned."""

    level: Annotated[float, Field(gt=0, lt=0.5)]
    """one-sided, of the test over seeds"""


class Plateau(Settings):
    """Whether the baseline had stopped to learn."""

    last: Annotated[float, Field(gt=0, le=0.5)]
    """the share of the steps at the end that"""
    gain: Share
    """gains less than this share of the whole gain"""


class Scale(Settings):
    """Whether the baseline was trained on enough."""

    share: Positive
    """of the paper's number of training completions"""
    plateau: Plateau
    """that does as well"""
    completions: dict[str, Count]
    """recipe of the baseline -> the paper's number of training completions, after the warm-up"""


class Headroom(Settings):
    """Whether the paper's effect fits in."""

    ranges: dict[str, Annotated[list[Number], Field(min_length=2, max_length=2)]]
    """experiment -> least and largest reward"""


class Preconditions(Settings):
    """What the baseline alone must have done (analysis/preconditions.py)."""

    learned: Learned
    """gained over its own start at one sample; without it a claim is not tested"""
    scale: Scale
    """been trained on enough; without it nothing is contradicted"""
    headroom: Headroom
    """left room for the paper's effect; without it nothing is contradicted"""


class Claims(Settings):
    """The whole file."""

    level: Share
    """of a family of claims, two-sided, after Holm's correction"""
    power: Share
    """of the smallest detectable effect"""
    underpowered: Share
    """chance of "reproduced" at the paper's effects, below which a verdict is called underpowered"""
    least_weight_variation: Positive
    """standard deviation over mean of a training weight, below which it did not act"""
    preconditions: Preconditions
    """what the baseline alone must have done"""
    claims: Annotated[dict[str, Claim], Field(min_length=1)]
    """name of a claim, or of a part of one by a letter -> what it says and what decides it"""
