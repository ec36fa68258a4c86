"""Where everything of a preset lies: each path spelt once. A part may be a wildcard in braces."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Paths under a results folder.

    Attributes:
        root: ``results/<preset>``.
    """

    root: str

    def data(self, task: str, split: str) -> str:
        return f"{self.root}/data/{task}/{split}.parquet"

    def base_model(self, model: str) -> str:
        return f"{self.root}/models/base/{model}"

    def model(self, recipe: str, objective: str, seed: int | str) -> str:
        return f"{self.root}/models/{recipe}/{objective}/seed{seed}"

    def of_run(self, stage: str, recipe: str, objective: str, seed: int | str) -> str:
        """The table of a run: its record (stage ``training``), its ``samples`` or their ``scores``."""
        return f"{self.root}/{stage}/{recipe}/{objective}/seed{seed}.parquet"

    def metrics(self, experiment: str, ending: str) -> str:
        return f"{self.root}/metrics/{experiment}.{ending}"

    def table(self, item: str, ending: str) -> str:
        return f"{self.root}/tables/{item}.{ending}"

    def figure(self, item: str, ending: str) -> str:
        return f"{self.root}/figures/{item}.{ending}"

    @property
    def claims(self) -> str:
        return f"{self.root}/claims.csv"

    @property
    def report(self) -> str:
        return f"{self.root}/report.html"

    @property
    def checkpoints(self) -> str:
        return f"{self.root}/checkpoints"
