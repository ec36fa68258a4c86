"""Checkpoints of a training run, and the record that makes one whole."""

import json
from pathlib import Path

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

RECORD = "training_record.json"


class SaveRecord(TrainerCallback):
    """Writes a trainer's record into each checkpoint, as the last file: with it the checkpoint is whole."""

    def __init__(self, record: dict):
        self.record = record

    def on_save(self, args, state, control, **kwargs):
        folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        partial = folder / f"{RECORD}.partial"
        partial.write_text(json.dumps(self.record))
        partial.rename(folder / RECORD)


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end, or None."""
    whole = [path.parent for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*/{RECORD}")]
    return max(whole, key=lambda path: int(path.name.rsplit("-", 1)[1]), default=None)
