"""The whole configuration of a run, read and checked."""

import csv
from pathlib import Path

from .checks import check_budgets, check_claim, check_names, check_preconditions, check_scale
from .files import check_schema, read_command_line_values, read_yaml


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
    check_schema(preset, "preset", preset_file)
    for name in ("recipes", "experiments", "claims"):
        file = folder / f"{name}.yaml"
        content = read_yaml(file)
        check_schema(content, name, str(file))
        settings[name] = content if name == "claims" else content[name]
    check_names(settings, preset_file, folder)
    check_scale(settings, preset_file, folder)
    check_budgets(settings, preset_file)
    with open(folder / "reported.csv") as file:
        reported = {(row["experiment"], int(row["k"])) for row in csv.DictReader(file) if row["k"]}
    where = f"{folder / 'claims.yaml'}: preconditions"
    check_preconditions(settings["claims"]["preconditions"], settings, where)
    for name, claim in settings["claims"]["claims"].items():
        check_claim(claim, settings, reported, preset_file, f"{folder / 'claims.yaml'}: claims.{name}")
    return settings
