"""What a job that measures an experiment gets."""

from typing import Literal

from ...settings import Count, Settings


class MeasuringSettings(Settings):
    """An experiment that compares runs. Its arms are objectives, or recipes where several of these are compared."""

    name: str
    """of the experiment"""
    trainer: Literal["sft", "grpo"]
    """of all its runs: which kind their training records are of"""
    labels: dict[str, str]
    """arm -> its name in tables and figures"""
    beyond_paper: list[str]
    """arms that the paper does not have"""
    baseline: str
    """the arm that differences are taken from"""
    metric: Literal["pass", "maj", "bon"]
    """the metric that the paper reports"""
    ks: list[Count]
    """test budgets k"""
    gain: bool
    """whether the metric at the largest k minus that at the smallest is shown, too (paper Table 7)"""
    reported_from: str
    """the experiment that its rows in reported.csv are under"""
    reported_as: dict[str, str]
    """arm -> its model in reported.csv, where that is not its label"""
    paper_item: str
    """the table or figure that its rows in reported.csv are from"""
