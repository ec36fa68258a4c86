"""Rows of a local data file, read from the very bytes that lie there: no cache stands between the file and its hash."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

LONGEST_SHOWN = 60  # characters of a wrong line that a sentence repeats


def read_rows(path: Path) -> Iterator[tuple[str, dict]]:
    """The rows of a file.

    JSON Lines (.jsonl), these or an array of objects (.json), CSV with a line of names (.csv), or Parquet (.parquet).

    Yields:
        where the row stands, for messages (file, and line where lines count), and the row. Blank lines are skipped, as
        are a byte order mark and carriage returns at the end of a line.

    Raises:
        ValueError: no such file, another ending, another content than the ending says, or no row; the sentence names
            file, line, what was found and what was wanted.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    readers = {".jsonl": _json_rows, ".json": _json_rows, ".csv": _csv_rows, ".parquet": _parquet_rows}
    if path.suffix not in readers:
        raise ValueError(f"{path}: wanted a .jsonl, .json, .csv or .parquet file")
    empty = True
    for row in readers[path.suffix](path):
        empty = False
        yield row
    if empty:
        raise ValueError(f"{path}: found no rows, wanted at least one")


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(path).read()
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path}: found no whole Parquet file, wanted one ({' '.join(str(error).split())})") from None
    for row in table.to_pylist():
        yield str(path), row


def _json_rows(path: Path) -> Iterator[tuple[str, dict]]:
    text = _decoded(path, "JSON")
    if path.suffix == ".json" and text.lstrip().startswith("["):
        for row in _parsed(text, str(path), "an array of JSON objects"):
            yield _object(row, str(path))
        return
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines() would also cut at U+2028, inside a text
        if line.strip():
            where = f"{path}, line {number}"
            yield _object(_parsed(line, where, "a JSON object"), where)


def _csv_rows(path: Path) -> Iterator[tuple[str, dict]]:
    """Rows of texts: CSV knows no other values. Values may go over several lines, in quotation marks."""
    rows = csv.reader(io.StringIO(_decoded(path, "CSV"), newline=""), strict=True)
    names: list[str] = []
    line = 1  # on which the row begins
    try:
        for values in rows:
            where = f"{path}, line {line}"
            line = rows.line_num + 1
            if not values:
                continue
            if not names:
                names = values
                twice = [name for name in names if names.count(name) > 1]
                if twice:
                    raise ValueError(f"{where}: found column {shortened(twice[0])} twice, wanted it once")
                continue
            if len(values) != len(names):
                raise ValueError(f"{where}: found {len(values)} values, wanted {len(names)}, one of each column")
            yield where, dict(zip(names, values, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path}, line {line}: found no CSV, wanted comma-separated values ({error})") from None


def _decoded(path: Path, kind: str) -> str:
    content = path.read_bytes()
    if content.startswith(b"PAR1"):
        raise ValueError(f"{path}: found a Parquet file, wanted {kind}; its name should end in .parquet")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}, line {line}: found the byte 0x{content[error.start]:02x}, which is no UTF-8, wanted text in UTF-8"
        ) from None


def _object(row, where: str) -> tuple[str, dict]:
    if not isinstance(row, dict):
        raise ValueError(f"{where}: found {shortened(row)}, wanted a JSON object")
    return where, row


def _parsed(text: str, where: str, wanted: str):
    def columns(pairs: list[tuple]) -> dict:
        row = dict(pairs)
        if len(row) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise _ColumnTwice(f"{where}: found column {shortened(twice)} twice, wanted it once")
        return row

    try:
        return json.loads(text, object_pairs_hook=columns)
    except _ColumnTwice:
        raise
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: found {shortened(text.strip())}, wanted {wanted} ({error})") from None


class _ColumnTwice(ValueError):
    """A JSON object that names a column twice; the usual readers keep the last in silence."""


def shortened(value) -> str:
    """A value as a sentence repeats it."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
