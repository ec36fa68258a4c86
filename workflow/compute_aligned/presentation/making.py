"""A figure or table from its artifacts, by the function that the registry names for it."""

import importlib
from collections.abc import Mapping

import pandas as pd

from ..provenance.artifacts import read_artifact


def make_item(function: str, inputs: Mapping[str, str | list[str]], told: dict):
    """What a function of this room makes of some artifacts.

    Args:
        function: module and function, such as ``figures.curves.difference``.
        inputs: kind of artifact -> its file; or files, of which the function gets a list.
        told: its other arguments.
    """
    module, _, name = function.rpartition(".")
    artifacts = {kind: _read(kind, paths) for kind, paths in inputs.items()}
    return getattr(importlib.import_module(f"{__package__}.{module}"), name)(**artifacts, **told)


def _read(kind: str, paths: str | list[str]) -> pd.DataFrame | list[pd.DataFrame]:
    return read_artifact(kind, paths) if isinstance(paths, str) else [read_artifact(kind, path) for path in paths]
