"""What a run of either trainer is made from, and where it goes."""

from dataclasses import dataclass
from pathlib import Path

from ..provenance.unfinished import work_folder
from ..settings import Settings


@dataclass(frozen=True)
class RunFiles:
    """Files and folders of one training run.

    Attributes:
        base: folder of the base model and its tokenizer.
        start: folder whose weights training starts from, and which a KL term refers to; the base model for a warm-up.
        problems: the training split.
        model: where the trained model or adapter goes.
        record: where the record of the training goes: of every sequence (supervised) or of every step (RL).
        checkpoints: folder of all runs' checkpoints; they lie outside the outputs, which Snakemake deletes before a
            rerun.
        run: its name, recipe/objective/seed.
        code: the rule's hash of the code that trains it.
    """

    base: str
    start: str
    problems: str
    model: str
    record: str
    checkpoints: str
    run: str
    code: str

    def work_folder(self, settings: Settings) -> Path:
        """Where its checkpoints lie; another run, code, setting or input has another folder."""
        inputs = [self.base, self.start, self.problems]
        return work_folder(self.checkpoints, self.run, self.code, settings.plain(), inputs)
