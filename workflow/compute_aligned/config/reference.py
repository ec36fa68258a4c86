"""The config reference, generated from the models: `python -m compute_aligned config > docs/config.md`."""

from collections.abc import Iterator

from .claims import Claims
from .experiments import Experiments
from .presets import Preset
from .recipes import Recipes
from .sentences import branches, json_schema, resolved

INTRODUCTION = """# Configuration

Generated from the models in `workflow/compute_aligned/config/`; do not edit:
`python -m compute_aligned config > docs/config.md`.

A preset (`--configfile config/small.yaml`) is complete on its own and closed: an unknown or missing key is an error.
`--config 'seeds=[1]' preset=mine` changes single values; name another `preset` to keep the results apart. `<name>`
stands for a name that you choose or that another file defines: up to 100 letters, digits, `_` and `-`, the first a
letter or a digit. Numbers are finite, and whole ones have no decimal point.
"""
FILES = {
    "config/tiny.yaml, small.yaml, small_gym.yaml, paper.yaml: scale": Preset,
    "config/recipes.yaml: how the paper trains its runs": Recipes,
    "config/experiments.yaml: what is compared": Experiments,
    "config/claims.yaml: what the paper says, and what decides it": Claims,
}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def reference() -> str:
    """The whole page, as Markdown."""
    parts = [INTRODUCTION]
    for title, model in FILES.items():
        schema = json_schema(model)
        rows = [f"| `{key}` | {allowed} | {text} |" for key, allowed, text in _rows(schema, schema, "")]
        parts += [f"## {title}\n", "| key | value | meaning |", "|---|---|---|", *rows, ""]
    return "\n".join(parts)


def _rows(schema: dict, root: dict, prefix: str) -> Iterator[tuple[str, str, str]]:
    for branch in branches(schema, root):
        for key, value in branch.get("properties", {}).items():
            yield from _entry(f"{prefix}{key}", value, root)
        for inner in _named(branch):
            yield from _entry(f"{prefix}<name>", inner, root)


def _entry(key: str, schema: dict, root: dict) -> Iterator[tuple[str, str, str]]:
    text = " ".join(schema.get("description", "").split())
    schema = resolved(schema, root)
    items = resolved(schema.get("items", {}), root)
    if any("properties" in branch or _named(branch) for branch in branches(schema, root)):
        if text:
            yield key, "", text
        yield from _rows(schema, root, f"{key}.")
    elif "discriminator" in items:
        yield key, "list", text
        yield from _rows(items, root, f"{key}[].")
    else:
        yield key, _allowed(schema, root), text


def _named(schema: dict) -> list[dict]:
    """What stands under names that a user chooses."""
    inner = [schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()]
    return [entry for entry in inner if isinstance(entry, dict)]


def _allowed(schema: dict, root: dict) -> str:
    """The values of a key that has no keys below it."""
    alternatives = branches(schema, root)
    if len(alternatives) > 1:
        return " or ".join(_allowed(branch, root) for branch in alternatives)
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_allowed(resolved(schema['items'], root), root)}"
    limits = [f"{sign} {schema[name]:g}" for name, sign in BOUNDS.items() if name in schema]
    return " ".join([schema["type"], *limits])


if __name__ == "__main__":
    print(reference(), end="")
