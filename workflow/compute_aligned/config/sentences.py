"""What is wrong with a configuration's content: a sentence for each mistake that its model finds."""

import difflib
import functools
from collections.abc import Iterable

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ..settings import LARGEST_NUMBER, Settings

LONGEST_SHOWN = 200  # characters of a wrong value that a sentence repeats
UNKNOWN = ("extra_forbidden", "invalid_key")  # pydantic's names of errors
OF_KEYS = (*UNKNOWN, "missing", "union_tag_not_found")


def errors_of(content, model: type[Settings]) -> list[ErrorDetails]:
    """What a model finds wrong with content, in the order of the keys; of a mapping's keys first the unknown ones."""
    try:
        model.model_validate(content)
    except ValidationError as error:
        found = error.errors(include_url=False)
        return sorted(found, key=lambda one: ([*map(str, keys_to(one, model))], one["type"] not in UNKNOWN))
    return []


def sentences(errors: Iterable[ErrorDetails], model: type[Settings], file: str) -> list[str]:
    """A sentence for each error: file, key, what was found, what is wanted or allowed.

    Of the keys of one mapping a single sentence speaks: an unknown key often is the missing one, misspelt.
    """
    found: dict[tuple, str] = {}
    for error in errors:
        keys, schema = _place(error, model)
        about = (*keys, OF_KEYS) if error["type"] in OF_KEYS else (*error["loc"], error["type"])
        found.setdefault(about, f"{file}: {'.'.join(map(str, keys)) or 'top level'}: {_complaint(error, schema)}")
    return list(found.values())


def keys_to(error: ErrorDetails, model: type[Settings]) -> list:
    """The keys that lead to the value that an error is about; to the mapping, if it is about a mapping's keys."""
    return _place(error, model)[0]


def shown(value) -> str:
    """A value as a sentence repeats it."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


@functools.cache
def json_schema(model: type[Settings]) -> dict:
    """What a model allows, as a JSON schema."""
    return model.model_json_schema()


def resolved(schema: dict, root: dict) -> dict:
    """A schema, or the one among the root's definitions that it refers to; its own words go before those."""
    if "$ref" not in schema:
        return schema
    own = {key: value for key, value in schema.items() if key != "$ref"}
    return root["$defs"][schema["$ref"].rsplit("/", 1)[1]] | own


def branches(schema: dict, root: dict) -> list[dict]:
    """The alternatives that a schema allows; itself, if it names none."""
    named = [*schema.get("oneOf", []), *schema.get("anyOf", [])]
    return [resolved(branch, root) for branch in named] or [schema]


def _place(error: ErrorDetails, model: type[Settings]) -> tuple[list, dict]:
    """The keys that lead to an error's value, and what is allowed there."""
    root, loc = json_schema(model), error["loc"]
    if error["type"] in (*UNKNOWN, "missing"):
        loc = loc[:-1]
    elif loc[-1:] == ("[key]",):
        loc = loc[:-2]
    keys, schema = [], root
    for part in loc:
        if "discriminator" in schema:  # pydantic names the branch that was chosen, which is no key
            schema = resolved({"$ref": schema["discriminator"]["mapping"][part]}, root)
        elif "oneOf" in schema:  # so here, where the form of the value chose (TextOrList)
            schema = {"anyOf": schema["oneOf"]}
        else:
            keys.append(part)
            schema = next(filter(None, (_inside(branch, part, root) for branch in branches(schema, root))), {})
    return keys, schema


def _inside(schema: dict, key, root: dict) -> dict:
    """What is allowed under a key or at a place of a mapping or list."""
    if key in schema.get("properties", {}):
        return resolved(schema["properties"][key], root)
    inner = [schema.get("items"), schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()]
    return next((resolved(entry, root) for entry in inner if isinstance(entry, dict)), {})


def _complaint(error: ErrorDetails, schema: dict) -> str:
    kind, found, given = error["type"], error["input"], error.get("ctx", {})
    if kind in UNKNOWN:
        key, allowed = error["loc"][-1], list(schema["properties"])
        nearest = difflib.get_close_matches(str(key), allowed, n=1)
        hint = f"; the nearest is {nearest[0]}" if nearest else ""
        return f"unknown key {key!r}; allowed are {', '.join(allowed)}{hint}"
    if kind in ("missing", "union_tag_not_found"):
        key = error["loc"][-1] if kind == "missing" else given["discriminator"].strip("'")
        return f"the key {key!r} is missing; found {', '.join(map(str, found)) or 'none'}"
    if kind == "missing_beside":
        return f"the key {given['missing']!r} is missing beside {given['beside']!r}"
    return f"found {shown(found)}, wanted {_wanted(error, schema)}"


def _wanted(error: ErrorDetails, schema: dict) -> str:
    kind, found, given = error["type"], error["input"], error.get("ctx", {})
    if kind.endswith("_type") or kind in ("finite_number", "too_large", "literal_error"):
        number = isinstance(found, int | float) and not isinstance(found, bool)
        beyond = ", finite and at most 2^53" if number and not abs(found) <= LARGEST_NUMBER else ""
        return f"{_allowed(schema)}{beyond}"
    if kind == "union_tag_invalid":
        return f"{given['discriminator'].strip(chr(39))} one of {given['expected_tags'].replace(chr(39), '')}"
    return {
        "greater_than_equal": "at least {ge}",
        "less_than_equal": "at most {le}",
        "greater_than": "more than {gt}",
        "less_than": "less than {lt}",
        "multiple_of": "a multiple of {multiple_of}",
        "too_short": "at least {min_length} entries",
        "too_long": "at most {max_length} entries",
        "string_too_short": "a text that is not empty",
        "string_pattern_mismatch": "a name like {pattern}",
        "not_unique": "entries that differ",
        "unfit": "{wanted}",
    }.get(kind, error["msg"]).format_map({name: _plain(value) for name, value in given.items()})


def _plain(value):
    """A bound as one would write it: 1 rather than 1.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _allowed(schema: dict) -> str:
    """The values that a schema enumerates, or their type, or both."""
    entries = schema.get("anyOf", [schema])
    choices = [value for entry in entries for value in entry.get("enum", [entry["const"]] if "const" in entry else [])]
    types = [entry.get("type", "object") for entry in entries if not {"enum", "const"} & set(entry)]
    if choices and types == ["null"]:
        choices, types = [None, *choices], []
    texts = [
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value) for value in choices
    ]
    named = [f"one of {', '.join(texts)}" if len(texts) > 1 else texts[0]] if texts else []
    return " or ".join([*named, *([f"a value of type {' or '.join(types)}"] if types else [])])
