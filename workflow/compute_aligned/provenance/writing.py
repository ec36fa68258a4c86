"""Writing a file or folder whole or not at all."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place once the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    remove(partial)  # a killed job may have left one
    try:
        yield partial
    except BaseException:
        remove(partial)
        raise
    if path.is_dir():  # which a renaming does not replace; another job may have made it since this one was asked for
        remove(path)
    partial.rename(path)


def remove(path: Path) -> None:
    """Remove a file or a whole folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
