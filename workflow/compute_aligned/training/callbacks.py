"""What a trainer calls where it writes a checkpoint."""

import json
from collections.abc import Callable
from pathlib import Path

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from .checkpoints import RECORD, seal


class SaveRecord(TrainerCallback):
    """Writes a trainer's record into each checkpoint, and then the seal that says what a whole one holds."""

    def __init__(self, record: dict):
        self.record = record

    def on_save(self, args, state, control, **kwargs):
        folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        (folder / RECORD).write_text(json.dumps(self.record))
        seal(folder)


class BeforeSaving(TrainerCallback):
    """Calls a function before a trainer writes a checkpoint; what it raises ends the training."""

    def __init__(self, function: Callable[[], None]):
        self.function = function

    def on_step_end(self, args, state, control, **kwargs):
        if control.should_save:
            self.function()
