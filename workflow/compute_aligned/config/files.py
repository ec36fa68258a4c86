"""Configuration files: reading, the schema, and a sentence for what is wrong. No default stands here."""

import re
from pathlib import Path

import jsonschema
import yaml

SCHEMAS = Path(__file__).parents[2] / "schemas"
# Keys whose value says which branch of an alternative is meant.
DISCRIMINATORS = ("kind", "loader", "draw", "model_type")
LARGEST_NUMBER = 2**53  # up to it a float tells whole numbers apart, and no size or count of a run comes near it
LONGEST_SHOWN = 200  # characters of a wrong value that a sentence repeats
MOST_SENTENCES = 10  # about one file


class ConfigError(ValueError):
    """A configuration that cannot be run; the message names file, key, what was found and what is allowed."""


def read_yaml(file: Path) -> dict:
    """The content of a configuration file, a mapping.

    Raises:
        ConfigError: there is no such file, or it is no YAML in UTF-8, or what YAML's usual readers take in silence: a
            key that stands twice, of which they keep the last, and a number that they read as another than it looks.
    """
    try:
        with open(file, encoding="utf-8") as stream:
            content = yaml.load(stream, _StrictLoader)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; wanted a configuration file, such as config/tiny.yaml") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: found bytes that are no UTF-8 ({error.reason}), wanted YAML in UTF-8") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: found {_shown(content)}, wanted keys and their values")
    return content


def read_preset(file: Path) -> dict:
    """A preset alone, as its file has it, once it is found to have the keys and values of its schema.

    Raises:
        ConfigError: as ``read_yaml``, or a key or value is wrong.
    """
    preset = read_yaml(file)
    read_command_line_values(preset)
    check_schema(preset, "preset", str(file))
    return preset


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice, and 010, which YAML 1.1 reads as 8, 1:30, which is 90, and 1_0."""

    def compose_scalar_node(self, anchor):
        node = super().compose_scalar_node(anchor)
        if node.tag == "tag:yaml.org,2002:int" and not re.fullmatch("[+-]?(0|[1-9][0-9]*)", node.value):
            line = node.start_mark.line + 1
            raise ConfigError(f"{self.name}: line {line}: found {_shown(node.value)}, wanted a number in plain digits")
        return node

    def compose_mapping_node(self, anchor):
        node = super().compose_mapping_node(anchor)
        lines = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{self.name}: line {line}: found a list or a mapping as a key, wanted a name")
            if key.value in lines:
                raise ConfigError(
                    f"{self.name}: {key.value}: the key stands twice, in lines {lines[key.value]} and {line}"
                )
            lines[key.value] = line
        return node


def _is_number(value) -> bool:
    """Whether a value is a finite number: nan and infinity fail the comparison."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER


def _pattern(validator, pattern: str, instance, schema: dict):
    """A pattern fits the whole text: `$` alone would let a newline follow."""
    if isinstance(instance, str) and not re.fullmatch(pattern, instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


# JSON Schema takes 2.0 for an integer and has no word on nan and infinity.
_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    {"pattern": _pattern},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) and _is_number(value),
            "number": lambda _, value: _is_number(value),
        }
    ),
)


def _validator(schema: str) -> jsonschema.Draft202012Validator:
    return _Validator(yaml.safe_load((SCHEMAS / f"{schema}.yaml").read_text()))


def read_command_line_values(preset: dict) -> None:
    """Turn strings into the numbers and booleans that the schema wants: `--config 'seeds=[1]'` arrives as ["1"]."""
    pending = list(_validator("preset").iter_errors(preset))
    while pending:
        error = pending.pop()
        pending += error.context  # the complaints of each branch of an alternative (oneOf)
        if error.validator in ("type", "enum") and isinstance(error.instance, str):
            *parents, key = error.absolute_path
            holder = preset
            for parent in parents:
                holder = holder[parent]
            holder[key] = _plain_value(error.instance)


def _plain_value(text: str):
    if re.fullmatch(r"[+-]?[0-9]+[eE][+-]?[0-9]+", text):  # YAML 1.1 reads 5e-4, without a point, as text
        return float(text)
    try:
        value = yaml.load(text, _StrictLoader)
    except (yaml.YAMLError, ValueError):
        return text
    # YAML reads nothing, and a comment alone, as null, which is a choice of its own where a key allows it.
    return text if value is None and text.strip() not in ("null", "~") else value


def check_schema(content: dict, schema: str, file: str) -> None:
    validator = _validator(schema)
    errors = sorted(validator.iter_errors(content), key=lambda error: list(map(str, error.absolute_path)))
    if errors:
        sentences = [_sentence(_innermost(error), file) for error in errors[:MOST_SENTENCES]]
        if len(errors) > MOST_SENTENCES:
            sentences.append(f"{file}: and {len(errors) - MOST_SENTENCES} more; is it the file that was meant?")
        raise ConfigError("\n".join(sentences))


def _innermost(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """Of an alternative (oneOf), the complaint of the branch whose kind, loader or draw fits."""
    while error.context:
        branches: dict[int, list] = {}
        for inner in error.context:
            branches.setdefault(inner.schema_path[0], []).append(inner)
        meant = [b for b in branches.values() if not any(inner.validator == "const" for inner in b)]
        if not meant:
            return error
        error = meant[0][0]
    return error


def _sentence(error: jsonschema.ValidationError, file: str) -> str:
    key = ".".join(map(str, error.absolute_path)) or "top level"
    found, schema = error.instance, error.schema
    if error.validator == "additionalProperties":
        unknown = sorted(set(found) - set(schema["properties"]), key=str)
        return f"{file}: {key}: unknown key {unknown[0]!r}; allowed are {', '.join(schema['properties'])}"
    if error.validator == "required":
        missing = [name for name in schema["required"] if name not in found]
        return f"{file}: {key}: the key {missing[0]!r} is missing; found {', '.join(map(str, found)) or 'none'}"
    if error.validator in ("oneOf", "anyOf"):
        branches = [branch.get("properties", {}) for branch in error.validator_value]
        kinds = [(n, p[n]["const"]) for p in branches for n in DISCRIMINATORS if "const" in p.get(n, {})]
        wanted = (
            f"{kinds[0][0]} one of {', '.join(value for _, value in kinds)}"
            if kinds
            else " or ".join("+".join(branch["required"]) for branch in error.validator_value)
        )
        return f"{file}: {key}: found {_shown(found)}, wanted {wanted}"
    if error.validator == "dependentRequired":
        name, missing = next((n, m) for n, wanted in error.validator_value.items() for m in wanted if n in found)
        return f"{file}: {key}: the key {missing!r} is missing beside {name!r}"
    kinds = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    numeric = isinstance(found, int | float) and not _is_number(found) and not isinstance(found, bool)
    beyond = ", finite and at most 2^53" if numeric else ""
    wanted = {
        "enum": lambda: "one of " + ", ".join("null" if v is None else str(v) for v in schema["enum"]),
        "type": lambda: f"a value of type {' or '.join(kinds)}{beyond}",
        "minimum": lambda: f"at least {schema['minimum']}",
        "maximum": lambda: f"at most {schema['maximum']}",
        "exclusiveMinimum": lambda: f"more than {schema['exclusiveMinimum']}",
        "exclusiveMaximum": lambda: f"less than {schema['exclusiveMaximum']}",
        "multipleOf": lambda: f"a multiple of {schema['multipleOf']}",
        "minItems": lambda: f"at least {schema['minItems']} entries",
        "maxItems": lambda: f"at most {schema['maxItems']} entries",
        "minLength": lambda: "a text that is not empty",
        "minProperties": lambda: f"at least {schema['minProperties']} entries",
        "uniqueItems": lambda: "entries that differ",
        "pattern": lambda: f"a name like {schema['pattern']}",
        "const": lambda: repr(schema["const"]),
    }.get(error.validator, lambda: error.message)()
    return f"{file}: {key}: found {_shown(found)}, wanted {wanted}"


def _shown(value) -> str:
    """A value as a sentence repeats it."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
