"""The package's rooms: each imports from those before it and from the door, and CONTRIBUTING.md has their map."""

import ast
import re

from conftest import REPO

PACKAGE = REPO / "workflow" / "compute_aligned"
TASKS = "tasks"  # at the door, with a folder of their own
ROOMS = ["provenance", "models", "config", "sampling", "analysis", "training", "presentation", "planning"]


def modules():
    files = [file for file in PACKAGE.rglob("*.py") if file.stem not in ("__init__", "__main__")]
    return {file: file.relative_to(PACKAGE).with_suffix("").parts for file in files}


def room_of(parts):
    return parts[0] if len(parts) > 1 and parts[0] != TASKS else "door"


def imported(file, parts):
    """Modules of the package that a module imports, as parts."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            module = (*parts[: -node.level], *(node.module.split(".") if node.module else ()))
            if (PACKAGE / "/".join(module)).is_dir():
                yield from ((*module, alias.name) for alias in node.names)
            else:
                yield module


def test_no_room_imports_from_a_later_one_and_the_door_from_none():
    upwards = []
    for file, parts in modules().items():
        for other in imported(file, parts):
            here, there = room_of(parts), room_of(other)
            allowed = ["door"] if here == "door" else ["door", *ROOMS[: ROOMS.index(here) + 1]]
            if there not in allowed:
                upwards.append((".".join(parts), ".".join(other)))
    assert upwards == []


def test_the_map_names_every_room_in_order_and_every_module():
    text = (REPO / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| `([a-z]+)/` \| (.*) \|$", text, flags=re.MULTILINE)
    assert [room for room, _ in rows] == ROOMS
    for room, content in rows:
        found = {parts[1] for parts in modules().values() if parts[0] == room}
        assert set(re.findall(r"`([a-z_]+)`", content)) == found, room
