"""The config reference, generated from the schemas: `python -m compute_aligned config > docs/config.md`."""

from collections.abc import Iterator

import yaml

from .files import SCHEMAS

INTRODUCTION = """# Configuration

Generated from `workflow/schemas/` by `python -m compute_aligned config > docs/config.md`; do not edit.

A preset (`--configfile config/small.yaml`) is complete on its own and closed: an unknown or missing key is an error.
`--config 'seeds=[1]' preset=mine` changes single values; name another `preset` to keep the results apart. `<name>`
stands for a name that you choose or that another file defines: up to 100 letters, digits, `_` and `-`, the first a
letter or a digit. Numbers are finite, and whole ones have no decimal point.
"""
FILES = {
    "preset": "config/tiny.yaml, small.yaml, paper.yaml: scale",
    "recipes": "config/recipes.yaml: how the paper trains its runs",
    "experiments": "config/experiments.yaml: what is compared",
    "claims": "config/claims.yaml: what the paper says, and what decides it",
}


def reference() -> str:
    """The whole page, as Markdown."""
    parts = [INTRODUCTION]
    for name, title in FILES.items():
        schema = yaml.safe_load((SCHEMAS / f"{name}.yaml").read_text())
        rows = [f"| `{key}` | {allowed} | {text} |" for key, allowed, text in _rows(schema, schema, "")]
        parts += [f"## {title}\n", "| key | value | meaning |", "|---|---|---|", *rows, ""]
    return "\n".join(parts)


def _rows(schema: dict, root: dict, prefix: str) -> Iterator[tuple[str, str, str]]:
    branches = [branch for branch in schema.get("oneOf", []) if "properties" in branch]
    for branch in [schema, *branches]:
        for key, value in branch.get("properties", {}).items():
            yield from _entry(f"{prefix}{key}", value, root)
    inner = schema.get("additionalProperties")
    if isinstance(inner, dict):
        yield from _entry(f"{prefix}<name>", inner, root)


def _entry(key: str, schema: dict, root: dict) -> Iterator[tuple[str, str, str]]:
    description = schema.get("description", "")
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        description = description or schema.get("description", "")
    if "properties" in schema or "oneOf" in schema or isinstance(schema.get("additionalProperties"), dict):
        if description:
            yield key, "", description
        yield from _rows(schema, root, f"{key}.")
    elif "oneOf" in schema.get("items", {}):
        yield key, "list", description
        yield from _rows(schema["items"], root, f"{key}[].")
    else:
        yield key, _allowed(schema, root), description


def _allowed(schema: dict, root: dict) -> str:
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{'null' if value is None else value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        items = schema["items"]
        items = root["$defs"][items["$ref"].rsplit("/", 1)[1]] if "$ref" in items else items
        return f"list of {_allowed(items, root)}"
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[name]}" for name, sign in bounds.items() if name in schema]
    kinds = schema.get("type", "any")
    return " ".join([kinds if isinstance(kinds, str) else " or ".join(kinds), *limits])


if __name__ == "__main__":
    print(reference(), end="")
