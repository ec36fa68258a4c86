"""Rows of a local data file, read from the very bytes that lie there: no cache stands between the file and its hash."""

import json
from collections.abc import Iterator
from pathlib import Path

LONGEST_SHOWN = 60  # characters of a wrong line that a sentence repeats


def read_rows(path: Path) -> Iterator[tuple[str, dict]]:
    """The rows of a file of JSON Lines (.jsonl), of these or of an array of objects (.json), or of Parquet (.parquet).

    Yields:
        where the row stands, for messages (file, and line where lines count), and the row. Blank lines are skipped, as
        are a byte order mark and carriage returns at the end of a line.

    Raises:
        ValueError: no such file, another ending, another content than the ending says, or no row; the sentence names
            file, line, what was found and what was wanted.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    readers = {".jsonl": _json_rows, ".json": _json_rows, ".parquet": _parquet_rows}
    if path.suffix not in readers:
        raise ValueError(f"{path}: wanted a .jsonl, .json or .parquet file")
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
    content = path.read_bytes()
    if content.startswith(b"PAR1"):
        raise ValueError(f"{path}: found a Parquet file, wanted JSON; its name should end in .parquet")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}, line {line}: found the byte 0x{content[error.start]:02x}, which is no UTF-8, wanted text in UTF-8"
        ) from None
    if path.suffix == ".json" and text.lstrip().startswith("["):
        for row in _parsed(text, str(path), "an array of JSON objects"):
            yield _object(row, str(path))
        return
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines() would also cut at U+2028, inside a text
        if line.strip():
            where = f"{path}, line {number}"
            yield _object(_parsed(line, where, "a JSON object"), where)


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
