"""Whether base models that are read from this machine lie where a preset says."""

from collections.abc import Iterable
from pathlib import Path

from ..models.sources import Folder, Gguf, read_source
from .files import ConfigError

# What loading needs of a folder in the transformers format -> how its files are called, whatever the model.
PARTS = {
    "config.json": ["config.json"],
    "tokenizer": ["tokenizer*", "vocab*", "*.model"],
    "weights": ["*.safetensors", "*.bin"],
}
WANTED = "config.json, a tokenizer and weights (.safetensors or .bin), as transformers saves them"


def check_local_models(settings: dict, preset_file: str, models: Iterable[str]) -> None:
    """Whether the folders are there that base models will be read from, and hold what loading needs.

    Before the first job. A package that carries a model is left to its job, whose environment may be another.

    Args:
        settings: ``loading.load_settings``.
        preset_file: what sentences call the preset.
        models: names of those that a run has yet to make.

    Raises:
        ConfigError: a folder is not there, or lacks a file.
    """
    for name in models:
        source = read_source(settings["preset"]["models"][name]["source"])
        if not isinstance(source, Folder | Gguf) or source.path is None:
            continue
        folder = Path(source.path)
        missing = _missing(source, folder)
        if missing:
            found = f"which holds no {' and no '.join(missing)}" if folder.is_dir() else "which is no folder here"
            wanted = WANTED if isinstance(source, Folder) else source.file
            raise ConfigError(
                f"{preset_file}: models.{name}.source.path: found {source.path}, {found}; wanted a folder with {wanted}"
            )


def _missing(source: Folder | Gguf, folder: Path) -> list[str]:
    if isinstance(source, Gguf):
        return [] if (folder / source.file).is_file() else [source.file]
    return [part for part, names in PARTS.items() if not any(path for name in names for path in folder.glob(name))]
