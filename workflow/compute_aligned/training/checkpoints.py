"""Checkpoints that a killed training takes up again: sealed when they are whole."""

import json
from pathlib import Path

from ..provenance.hashing import describe
from ..provenance.unfinished import set_aside
from ..provenance.writing import whole

RECORD = "training_record.json"
SEAL = "whole.json"


def seal(folder: Path) -> None:
    """Write, as its last file, the size and SHA-256 of each file in a folder: with it the folder is whole."""
    entries = describe(folder)["files"]
    with whole(folder / SEAL) as partial:
        partial.write_text(json.dumps(entries))


def fault_in(folder: Path) -> str | None:
    """What keeps a sealed folder from being whole, a clause that names the file; None if nothing does."""
    path = folder / SEAL
    try:
        for entry in json.loads(path.read_text()):
            path = folder / entry["path"]
            size = path.stat().st_size
            if size != entry["size"]:
                return f"{path} has {size} bytes, {entry['size']} were written"
            if describe(path)["sha256"] != entry["sha256"]:
                return f"{path} is not what was written: its SHA-256 differs"
    except FileNotFoundError:
        return f"{path} is missing"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    except (ValueError, TypeError, KeyError):
        return f"{folder / SEAL} is cut or was changed"
    return None


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint whose files are all as they were written, or None; newer ones are set aside."""
    from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR  # sampling does without trainers: two seconds a job

    found = {path: path.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-") for path in folder.glob("*") if path.is_dir()}
    steps = {path: int(step) for path, step in found.items() if step.isdecimal() and step != path.name}
    for path in sorted(steps, key=steps.get, reverse=True):
        fault = fault_in(path)
        if fault is None:
            return path
        set_aside(path, fault)
    return None
