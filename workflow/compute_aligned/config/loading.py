"""The whole configuration of a run, read and checked."""

import csv
from pathlib import Path

from .checks import Files, check_settings, refuse_unless_named
from .claims import Claims
from .experiments import Experiments
from .files import check_content, read_command_line_values, read_yaml
from .presets import Preset
from .problems import check_sizes
from .recipes import Recipes

BESIDE_THE_PRESET = {"recipes": Recipes, "experiments": Experiments, "claims": Claims}


def load_settings(preset: dict, preset_file: str, folder: Path) -> dict:
    """The whole checked configuration: the preset with ``recipes.yaml``, ``experiments.yaml`` and ``claims.yaml``.

    Args:
        preset: the preset's content, as Snakemake gives it.
        preset_file: its file name or names, for error messages.
        folder: folder of these files and of ``reported.csv``.

    Returns:
        ``{"preset": ..., "recipes": ..., "experiments": ..., "claims": ...}``, plain values; claims are the whole
        file, with the level and power of their tests.

    Raises:
        ConfigError: anything that could not be run.
    """
    settings = {"preset": preset}
    read_command_line_values(preset)
    check_content(preset, Preset, preset_file)
    for name, model in BESIDE_THE_PRESET.items():
        file = folder / f"{name}.yaml"
        content = read_yaml(file)
        check_content(content, model, str(file))
        settings[name] = content if name == "claims" else content[name]
    if "only" in preset:
        refuse_unless_named(preset["only"], preset["experiments"], f"{preset_file}: only")
        preset["experiments"] = {name: v for name, v in preset["experiments"].items() if name in preset["only"]}
    with open(folder / "reported.csv") as file:
        reported = {(row["experiment"], int(row["k"])) for row in csv.DictReader(file) if row["k"]}
    check_settings(settings, Files(preset_file, folder), reported)
    check_sizes(settings, preset_file)
    return settings
