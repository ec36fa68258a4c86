"""How a preset is called from the command line, and whether there is room to run it."""

import json
import os
import shlex
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path


def values_of(values: Mapping) -> list[str]:
    """What was given after ``--config``, as it takes it."""
    return [f"{key}={json.dumps(value)}" for key, value in values.items()]


def command_of(configfiles: Iterable[str | Path], values: Mapping) -> str:
    """How a preset is run from the command line, with the values given there.

    Args:
        configfiles: of ``--configfile``.
        values: of ``--config``.
    """
    files = [os.path.relpath(file) for file in configfiles]
    settings = list(map(shlex.quote, values_of(values)))
    # --cores last: the options before it would take a target for one of their values.
    return " ".join(["snakemake --configfile", *files, *(["--config", *settings] if settings else []), "--cores 2"])


def stop_unless_writable(folder: str | Path) -> None:
    """One sentence, and the end, where Snakemake would print a traceback: no right, no space, a file of that name."""
    nearest = next(path for path in (Path(folder), *Path(folder).parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest) as file:
            file.write(bytes(4096))
    except OSError as error:
        print(f"{nearest.absolute()} cannot be written ({error.strerror}), nothing was done", file=sys.stderr)
        sys.exit(1)
