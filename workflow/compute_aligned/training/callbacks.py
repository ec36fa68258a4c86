"""What a trainer calls where it writes a checkpoint, where a step ends, and where it is told to end."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from .checkpoints import RECORD, seal
from .trained import refuse_skipped_steps


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


class CountSkippedSteps(TrainerCallback):
    """Ends a training of which loss scaling skips too many steps (``refuse_skipped_steps``)."""

    def on_step_end(self, args, state, control, lr_scheduler=None, **kwargs):
        # The schedule goes on where loss scaling did not skip the step, also over checkpoints.
        refuse_skipped_steps(state.global_step, lr_scheduler.state_dict()["last_epoch"], state.max_steps)


class EndWhenTold(TrainerCallback):
    """As a context: SIGTERM, which Slurm sends before it kills a job, ends training after the step at hand.

    A checkpoint of that step is written first.

    Attributes:
        told: whether the signal came.
    """

    def __init__(self):
        self.told = False

    def __enter__(self) -> "EndWhenTold":
        self._before = signal.signal(signal.SIGTERM, self._hear)
        return self

    def __exit__(self, *error) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _hear(self, *signal_and_frame) -> None:
        self.told = True

    def on_step_end(self, args, state, control, **kwargs):
        if self.told:
            control.should_save = control.should_training_stop = True
