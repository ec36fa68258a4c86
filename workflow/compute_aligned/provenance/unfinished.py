"""Work that a killed job takes up again: the folder of one run, and what in it is not whole."""

from collections.abc import Sequence
from pathlib import Path

from .hashing import content_hash, hash_settings


def work_folder(checkpoints: str, run: str, code: str, settings: dict, inputs: Sequence[str]) -> Path:
    """Where a job keeps what it has of a run; another run, code, setting or input has another folder.

    Args:
        checkpoints: folder of all such folders.
        run: recipe/objective/seed.
        code: the rule's hash of the code that it runs.
        settings: of the run, plain values.
        inputs: paths of the files and folders that the run is made from; their content counts.
    """
    hashes = [content_hash(path) for path in inputs]
    return Path(checkpoints) / hash_settings(run, code, settings, hashes) / run.replace("/", "_")


def set_aside(path: Path, fault: str) -> None:
    """Rename what is not whole, so that nothing takes it up, and say so in the log."""
    # The name begins otherwise: the trainer counts every folder checkpoint-* among those that it keeps.
    n = 1 + len(list(path.parent.glob(f"broken-*-{path.name}")))
    broken = path.rename(path.with_name(f"broken-{n}-{path.name}"))
    print(f"{path} is not whole and set aside as {broken.name}: {fault}", flush=True)
