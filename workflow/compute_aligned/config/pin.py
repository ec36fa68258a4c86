"""Pin the hub repositories of presets: `python -m compute_aligned pin config/paper.yaml`, or `snakemake pin`.

A branch or tag behind `revision:` is replaced by the commit that it stands for now, and the licence that the
repository's card states there is noted under `licences:`, at the end of the file. Every other byte stays.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..models.hub import commit_of
from ..provenance.writing import whole
from .files import read_yaml


@dataclass(frozen=True)
class Revision:
    """One `revision:` of a preset.

    Attributes:
        repository: its id on the hub.
        kind: ``model`` or ``dataset``.
        value: commit hash, branch or tag.
        start: place of the value's first character in the file.
        end: place after its last.
    """

    repository: str
    kind: str
    value: str
    start: int
    end: int


def revisions(text: str) -> list[Revision]:
    """The revisions of hub repositories that a preset names: of models beside `id`, of data sets beside `hub`."""
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    return sorted(set(_revisions(document)), key=lambda revision: revision.start)


def _revisions(node: yaml.Node | None) -> Iterator[Revision]:
    if isinstance(node, yaml.MappingNode):
        entries = {key.value: value for key, value in node.value}
        for key, kind in (("id", "model"), ("hub", "dataset")):
            if key in entries and "revision" in entries:
                value = entries["revision"]
                yield Revision(entries[key].value, kind, value.value, value.start_mark.index, value.end_mark.index)
        for value in entries.values():
            yield from _revisions(value)


def pin(file: Path) -> list[str]:
    """Write the commits into a preset, all of them or none.

    Returns:
        a sentence for each repository.

    Raises:
        ValueError: the file is no configuration, or the hub cannot be reached, or has no such repository or revision;
            the file is as it was.
    """
    read_yaml(file)  # says what is wrong with a file that is no configuration
    text = file.read_bytes().decode()
    found = revisions(text)
    sentences = [] if found else [f"{file}: no hub repository to pin"]
    pieces, done, licences = [], 0, {}
    for revision in found:
        where = f"{file}: {revision.kind} {revision.repository}"
        if re.fullmatch("[0-9a-f]{40}", revision.value):
            sentences.append(f"{where}: already pinned at {revision.value}")
            continue
        try:
            commit = commit_of(revision.repository, revision.value, revision.kind)
            licence = licence_of(revision.repository, commit, revision.kind)
        except ValueError as error:
            raise ValueError(f"{error}; nothing was pinned, run this where the hub can be reached") from error
        pieces += [text[done : revision.start], commit]
        done = revision.end
        licences[revision.repository] = licence
        told = "no licence" if licence is None else f"the licence {licence}"
        sentences.append(f"{where}: {revision.value} is now {commit}, whose card states {told}")
    pinned = "".join([*pieces, text[done:]])
    if pieces:
        pinned = with_licences(pinned, licences)
    if pinned != text:
        with whole(file) as partial:
            partial.write_bytes(pinned.encode())
    return sentences


def licence_of(repository: str, commit: str, kind: str) -> str | None:
    """The licence that a repository's card states at a commit; None where it states none.

    Args:
        repository: its id on the hub.
        commit: which version of the card.
        kind: ``model`` or ``dataset``.

    Raises:
        ValueError: the hub cannot be reached.
    """
    from huggingface_hub import HfApi

    try:
        card = HfApi().repo_info(repository, revision=commit, repo_type=kind).card_data or {}
    except Exception as error:  # as in ``commit_of``
        raise ValueError(f"{repository} at {commit}: the hub gave no card ({type(error).__name__})") from error
    stated = card.get("license_name") or card.get("license")
    return ", ".join(stated) if isinstance(stated, list) else stated


BLOCK = re.compile(r"^licences:.*\n?(?:(?:[ \t].*)?\n)*", flags=re.MULTILINE)


def with_licences(text: str, licences: dict[str, str | None]) -> str:
    """A preset with these licences at its end, those that it has already among them; None takes one out."""
    known = (yaml.safe_load(text).get("licences") or {}) | licences
    known = {repository: licence for repository, licence in known.items() if licence is not None}
    if not known:
        return BLOCK.sub("", text)
    end = "\r\n" if "\r\n" in text else "\n"
    lines = ["licences:  # as the cards of the repositories state them at the revisions above"]
    lines += [f"  {line}" for line in yaml.safe_dump(known, allow_unicode=True, width=1000).splitlines()]
    return BLOCK.sub("", text).rstrip() + end + end + end.join(lines) + end


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m compute_aligned pin", description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="+", type=Path, help="presets, such as config/paper.yaml")
    for preset in parser.parse_args().presets:
        print("\n".join(pin(preset)))


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"pin: {error}")
