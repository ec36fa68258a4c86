"""Hashes of files, folders, settings, and of the code that a script runs."""

import ast
import contextlib
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# The room that verifies, writes, records and keeps jobs apart. It refuses or lets through; what an output holds is
# decided by those who call it. So a new line in manifests, logs or sentences retrains nothing.
BOOKKEEPING = "provenance."
# The package's own `__init__` lists what it offers and computes nothing; a new version number retrains nothing.
LISTING = "__init__"
# Modules of that room that write an output themselves.
WRITERS = ("provenance.crate", "provenance.bundle")


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe(path: Path) -> dict:
    """Size in bytes and SHA-256 of a file; of a folder also those of each file in it.

    A folder's SHA-256 is that of the sorted list of its files' paths and hashes.

    Raises:
        ValueError: there is nothing at the path.
    """
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder")
    if path.is_file():
        return {"path": str(path), "size": path.stat().st_size, "sha256": sha256_file(path)}
    # Snakemake marks a finished folder with a time stamp file of its own.
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and file.name != ".snakemake_timestamp"]
    entries = [describe(file) | {"path": str(file.relative_to(path))} for file in files]
    listing = "".join(f"{entry['path']} {entry['sha256']}\n" for entry in entries)
    return {
        "path": str(path),
        "size": sum(entry["size"] for entry in entries),
        "sha256": hashlib.sha256(listing.encode()).hexdigest(),
        "files": entries,
    }


_known: dict[str, str] = {}  # path of an input of the running job -> its SHA-256


@contextlib.contextmanager
def known(entries: Iterable[dict]) -> Iterator[None]:
    """Within the block ``content_hash`` takes files and folders for what ``describe`` said of them.

    For a job's inputs: models of gigabytes need not be read a second time for each run that starts from them.
    """
    _known.update({entry["path"]: entry["sha256"] for entry in entries})
    try:
        yield
    finally:
        _known.clear()


def content_hash(path: str) -> str:
    """SHA-256 of a file or folder, as in ``describe``; that of an input of the running job is known."""
    return _known.get(path) or describe(Path(path))["sha256"]


def hash_settings(*values) -> str:
    """A short hash of plain values, for naming folders that must belong to these values alone."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def code_hash(script: Path, unused: Sequence[str] = (), used: Sequence[str] = ()) -> str:
    """Hash of the parsed source of a script and of the package modules that it imports, directly or not.

    Comments, blank lines and docstrings do not count; nor does BOOKKEEPING but its WRITERS; so a rule reruns when, and
    only when, code changed that decides what its outputs hold.

    Args:
        script: the script.
        unused: package modules, such as ``training.success_rates``, that are imported and not run by the job. What
            they alone import does not count, either.
        used: package modules that the job imports by a name that its settings give.
    """
    pending, seen = [Path(script), *(PACKAGE.joinpath(*module.split(".")).with_suffix(".py") for module in used)], {}
    while pending:
        path = pending.pop()
        module = _module(path)
        if path in seen or module == LISTING or _is_bookkeeping(module) or module in unused:
            continue
        seen[path], imported = _read_source(path, path.read_text(), PACKAGE)
        pending += imported
    source = "\0".join(seen[path] for path in sorted(seen, key=str))
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def _is_bookkeeping(module: str) -> bool:
    return module.startswith(BOOKKEEPING) and module not in WRITERS


def _module(path: Path) -> str:
    """Name of a module within the package; "" of a script."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts) if path.is_relative_to(PACKAGE) else ""


@functools.cache  # a plan asks for the same modules once a rule, and once a training job
def _read_source(path: Path, text: str, package: Path) -> tuple[str, list[Path]]:
    """A module's source without comments and docstrings, and the modules of the package that it imports."""
    tree = ast.parse(text)
    imported = _imported_modules(tree, path, package)
    return ast.unparse(_without_docstrings(tree)), imported


def _imported_modules(tree: ast.Module, path: Path, package: Path) -> list[Path]:
    names = set()
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:  # relative import: resolve against the package
                parents = path.relative_to(package.parent).with_suffix("").parts[: -node.level]
                module = ".".join([*parents, *([module] if module else [])])
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    found = set()
    for name in names:
        parts = name.split(".")
        if parts[0] != package.name:
            continue
        for end in range(1, len(parts) + 1):  # importing a module runs the packages above it too
            base = package.parent.joinpath(*parts[:end])
            found |= {file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()}
    return sorted(found)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """A module without the strings that stand alone: docstrings of modules, classes, functions and fields."""
    for node in (tree, *_statements(tree)):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [statement for statement in body if not _is_text(statement)] or [ast.Pass()]
    return tree


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements below one, and the parts that hold some; not expressions, which are most of a tree."""
    for field in ("body", "handlers", "orelse", "finalbody", "cases"):
        below = getattr(node, field, None)
        for statement in below if isinstance(below, list) else ():
            yield statement
            yield from _statements(statement)


def _is_text(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    return isinstance(statement, ast.Expr) and isinstance(value, ast.Constant) and isinstance(value.value, str)
