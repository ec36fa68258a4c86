"""Verdicts on claims: found, and judged again from what is kept of what they rest on."""

import tempfile
from collections.abc import Callable, Iterator
from math import nan
from pathlib import Path

import numpy as np
import pandas as pd

from ...analysis.claims import decide, examine
from ...analysis.evidence import judge_claims, results
from ...provenance.audit import Folder, NoAnswer

NOT_AGAIN = {"verdict": None, "effect": None, "p": None, "equal": True, "why": None}


def verdict_of_claim(file: Path, claim: str, manifest: dict) -> tuple[pd.Series, str, Callable[[str], bool]]:
    """A verdict: its row, in words, and what to follow from it.

    Args:
        file: ``claims.csv``.
        claim: the claim, such as C03.
        manifest: of the job that judged.

    Raises:
        NoAnswer: there is no such claim, or it is another file.
    """
    if file.name != "claims.csv":
        raise NoAnswer(f"{file}: --claim is for claims.csv; without it audit says what made a file")
    claims = pd.read_csv(file).set_index("claim")
    if claim not in claims.index:
        raise NoAnswer(f"{file}: no claim {claim!r}; claims are {', '.join(claims.index)}")
    row = claims.loc[claim]
    read = {entry["path"] for entry in manifest["inputs"]}
    files, judged = (manifest["params"].get(name) for name in ("files", "claims"))
    about = set()
    if isinstance(files, dict) and isinstance(judged, dict):
        parts = judged.get("claims", {}).get(claim, {}).get("parts", [])  # one may read another experiment's alignment
        for experiment in [row["experiment"], *(part["alignment"] for part in parts if "alignment" in part)]:
            about |= set(_texts(files.get(experiment)))
    return row, f"{claim}: {row['verdict']}. {row['reason']}", lambda name: name not in read or name in about


def judged_again(folder: Folder, job: dict, claim: str, row: pd.Series) -> dict:
    """A verdict judged once more by the code at hand, from all that it was judged from.

    Where training records and scores are missing, as in a reference, effect and p value are computed from each
    problem's value. A verdict that also rests on these, or on the other claims of its family, is then not judged.

    Returns:
        verdict, effect, p (before correction), each None where it was not found again, and whether they are equal; why:
        what was missing.
    """
    params = job["params"]
    try:
        files = _lying(params["files"], folder)
        if not _all_there(files):
            return _effect_again(params["claims"], files, claim, row)
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "claims.csv"
            judge_claims(params["claims"], files, params["baselines"], params["preset"], str(file))
            again = pd.read_csv(file).set_index("claim").loc[claim]
    except (KeyError, ValueError) as error:
        return NOT_AGAIN | {"why": f"an older version judged it, from other settings or columns ({error})"}
    same = again["verdict"] == row["verdict"] and _same(again["effect"], row["effect"])
    return NOT_AGAIN | {"verdict": again["verdict"], "effect": plain(again["effect"]), "equal": bool(same)}


def _effect_again(settings: dict, files: dict, claim: str, row: pd.Series) -> dict:
    entry = settings["claims"][claim]
    needed = {entry["experiment"], *(part["alignment"] for part in entry["parts"] if "alignment" in part)}
    here = {
        experiment: {name: paths for name, paths in files[experiment].items() if _all_there(paths)}
        for experiment in needed & files.keys()
    }
    if any("between" in part for part in entry["parts"]) and "proteins" not in here[entry["experiment"]]:
        return NOT_AGAIN | {"why": "it is about shares of samples, whose scores are not kept here"}
    finding = examine(entry, {experiment: results(paths) for experiment, paths in here.items()}, settings)
    if not finding.compared:
        return NOT_AGAIN | {"why": finding.obstacle}
    effect = min((one.effect for one in finding.compared), key=lambda value: abs(value - row["effect"]))
    same = _same(effect, row["effect"]) and _same(finding.p, row["p"])
    if finding.exact:  # nothing is corrected, and no baseline was trained
        verdict, _, _ = decide(finding, nan, nan, entry, settings["level"])
        return NOT_AGAIN | {"verdict": verdict, "effect": effect, "equal": same and verdict == row["verdict"]}
    why = "that takes training records and scores that are not kept here"
    return NOT_AGAIN | {"effect": effect, "p": plain(finding.p), "equal": same, "why": why}


def told_judged(again: dict, unit: str) -> str:
    """Whether a verdict found once more is what stands there, in words."""
    equal = "equal" if again["equal"] else "NOT EQUAL to what stands there"
    if again["verdict"] is not None:
        return f"judged again from the metrics: {again['verdict']}, {equal}"
    if again["effect"] is None:
        return f"not judged again: {again['why']}"
    p = "" if again["p"] is None else f", p {again['p']:.3g} before correction"
    found = f"effect {again['effect']:+.4f} {unit}{p}, {equal}"
    return f"computed again from the metrics kept here: {found}; the verdict was not judged again: {again['why']}"


def _all_there(paths: object) -> bool:
    return all(Path(file).is_file() for file in _texts(paths))


def _texts(value: object) -> Iterator[str]:
    """All strings in nested lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _texts(entry)


def _lying(value: object, folder: Folder) -> object:
    """Nested lists and mappings of paths as manifests name them, with where the files lie in their place."""
    if isinstance(value, dict):
        return {key: _lying(part, folder) for key, part in value.items()}
    return [_lying(part, folder) for part in value] if isinstance(value, list) else str(folder.file(value))


def _same(one: float, other: float) -> bool:
    return bool(np.isclose(float(one), float(other), rtol=1e-9, atol=1e-12, equal_nan=True))


def plain(value: object) -> object:
    """A cell as JSON takes it."""
    if value is None or (not isinstance(value, list | dict | str) and pd.isna(value)):
        return None
    return value.item() if hasattr(value, "item") else value
