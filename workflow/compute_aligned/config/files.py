"""Configuration files: reading them, and refusing what is not as their models say. No default stands here."""

import re
from pathlib import Path

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.cyaml import CParser
from yaml.resolver import Resolver

from ..settings import Settings
from .presets import Preset
from .sentences import errors_of, keys_to, sentences, shown

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
        raise ConfigError(f"{file}: found {shown(content)}, wanted keys and their values")
    return content


def read_preset(file: Path) -> dict:
    """A preset alone, as its file has it, once it is found to have the keys and values that a preset may have.

    Raises:
        ConfigError: as ``read_yaml``, or a key or value is wrong.
    """
    preset = read_yaml(file)
    read_command_line_values(preset)
    check_content(preset, Preset, str(file))
    return preset


class _StrictLoader(Composer, CParser, SafeConstructor, Resolver):
    """Refuses a key that stands twice, and 010, which YAML 1.1 reads as 8, 1:30, which is 90, and 1_0.

    A ``yaml.SafeLoader`` with the parser of libyaml, which is several times as fast.
    """

    def __init__(self, stream):
        self.name = getattr(stream, "name", "text")
        CParser.__init__(self, stream)
        for part in (Composer, SafeConstructor, Resolver):
            part.__init__(self)

    def compose_scalar_node(self, anchor):
        node = super().compose_scalar_node(anchor)
        if node.tag == "tag:yaml.org,2002:int" and not re.fullmatch("[+-]?(0|[1-9][0-9]*)", node.value):
            line = node.start_mark.line + 1
            raise ConfigError(f"{self.name}: line {line}: found {shown(node.value)}, wanted a number in plain digits")
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


def read_command_line_values(preset: dict) -> None:
    """Turn strings into the numbers and booleans that a preset wants: `--config 'seeds=[1]'` arrives as ["1"]."""
    for error in errors_of(preset, Preset):
        if isinstance(error["input"], str) and error["type"].endswith(("_type", "literal_error")):
            *parents, key = keys_to(error, Preset)
            holder = preset
            for parent in parents:
                holder = holder[parent]
            holder[key] = _plain_value(error["input"])


def _plain_value(text: str):
    if re.fullmatch(r"[+-]?[0-9]+[eE][+-]?[0-9]+", text):  # YAML 1.1 reads 5e-4, without a point, as text
        return float(text)
    try:
        value = yaml.load(text, _StrictLoader)
    except (yaml.YAMLError, ValueError):
        return text
    # YAML reads nothing, and a comment alone, as null, which is a choice of its own where a key allows it.
    return text if value is None and text.strip() not in ("null", "~") else value


def check_content(content, model: type[Settings], file: str) -> None:
    """Refuse content that is not what a model describes.

    Raises:
        ConfigError: a sentence for each mistake, up to ten.
    """
    found = sentences(errors_of(content, model), model, file)
    if len(found) > MOST_SENTENCES:
        more = f"{file}: and {len(found) - MOST_SENTENCES} more; is it the file that was meant?"
        found = [*found[:MOST_SENTENCES], more]
    if found:
        raise ConfigError("\n".join(found))
