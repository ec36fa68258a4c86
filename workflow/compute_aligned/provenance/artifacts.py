"""Reading and writing artifacts whose columns are a schema."""

import functools
from pathlib import Path

import pandas as pd
import yaml

from .writing import whole

SCHEMAS = Path(__file__).parents[2] / "schemas" / "artifacts.yaml"


def write_artifact(frame: pd.DataFrame, kind: str, path: str | Path) -> None:
    """Write a table as Parquet or CSV (by ending) after checking it against the schema of its kind."""
    _check(frame, kind, path)
    with whole(path) as partial:
        if Path(path).suffix == ".csv":
            frame.to_csv(partial, index=False)
        else:
            frame.to_parquet(partial, index=False)


def read_artifact(kind: str, path: str | Path) -> pd.DataFrame:
    """Read a table and check it against the schema of its kind.

    Raises:
        ValueError: there is no such file, it is no such table, or its content is not of the schema.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; wanted a {kind!r} artifact")
    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pandas and pyarrow name no file
        raise ValueError(f"{path}: wanted a {kind!r} artifact, found none: {' '.join(str(error).split())}") from None
    _check(frame, kind, path)
    return frame


def _check(frame: pd.DataFrame, kind: str, path: str | Path) -> None:
    columns = _schemas()[kind]["columns"]
    if list(frame.columns) != list(columns):
        raise ValueError(f"{path}: columns of a {kind!r} artifact are {list(columns)}, found {list(frame.columns)}")
    for name, column in columns.items():
        values = frame[name]
        if not column.get("optional", False) and values.isna().any():
            row = int(values.isna().to_numpy().argmax())
            raise ValueError(f"{path}: row {row} has no {name!r}")
        present = values.dropna()
        if not present.map(TYPES[column["type"]]).all():
            wrong = present[~present.map(TYPES[column["type"]])].iloc[0]
            raise ValueError(f"{path}: column {name!r} holds {wrong!r}, wanted {column['type']}")
        if "values" in column and not present.isin(column["values"]).all():
            wrong = present[~present.isin(column["values"])].iloc[0]
            raise ValueError(f"{path}: column {name!r} holds {wrong!r}, wanted one of {column['values']}")


@functools.cache
def _schemas() -> dict:
    return yaml.safe_load(SCHEMAS.read_text())


TYPES = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: not isinstance(value, str) and float(value).is_integer(),
    "number": lambda value: not isinstance(value, str),
    "boolean": lambda value: value in (True, False),
}
