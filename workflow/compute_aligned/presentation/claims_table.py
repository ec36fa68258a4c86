"""Claims and verdicts as a Markdown table: `python -m compute_aligned claims results/tiny/claims.csv`.

Where manifests lie beside the file, as in a results folder or reference, its root hash stands below. Several files are
put side by side: `python -m compute_aligned claims results/reference/*/claims.csv`.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from ..provenance.artifacts import read_artifact
from ..provenance.audit import holds_manifests, open_folder
from ..provenance.manifests import root_hashes
from . import numbers


def claims_table(claims: pd.DataFrame) -> str:
    """One row per claim: statement, the paper's effect, the measured one with its 95 % interval, and the verdict.

    Below it: of the claims that rest on differences, how many have a detectable effect at or below the paper's.

    Args:
        claims: a ``claims`` artifact.
    """
    lines = ["| | claim | paper | here [95 % interval] | verdict |", "|---|---|---|---|---|"]
    for row in claims.itertuples():
        reported = numbers.number(row.reported, row.unit, "+")
        cells = [row.claim, row.statement, reported, _measured(row), f"**{row.verdict}**"]
        lines.append(f"| {' | '.join(cells)} |")
    tested = claims.dropna(subset=["detectable", "reported"])
    able = (tested["detectable"] <= tested["reported"].abs()).sum()
    lines += [
        "",
        f"An effect as large as the paper's would be found (in 80 % of the cases) for {able} of {len(tested)} claims.",
    ]
    return "\n".join(lines)


def side_by_side(runs: dict[str, pd.DataFrame]) -> str:
    """One row per claim: statement, the paper's effect, and per run the measured one with its interval and the verdict.

    A claim that a run does not hold, or of which it measured nothing, has a dash there.

    Args:
        runs: name of a run -> its ``claims`` artifact.
    """
    header = [f"{name}, {_seeds(claims)}" for name, claims in runs.items()]
    lines = [f"| | claim | paper | {' | '.join(header)} |", "|---" * (3 + len(runs)) + "|"]
    together = pd.concat(runs.values()).drop_duplicates("claim").sort_values("claim")
    by_claim = [{row.claim: row for row in claims.itertuples()} for claims in runs.values()]
    for row in together.itertuples():
        cells = [row.claim, row.statement, numbers.number(row.reported, row.unit, "+")]
        for rows in by_claim:
            found = rows.get(row.claim)
            measured = numbers.NONE if found is None else _measured(found)
            cells.append(measured if measured == numbers.NONE else f"{measured}<br>**{found.verdict}**")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _measured(row) -> str:
    here = numbers.estimate(row.effect, row.low, row.high, row.unit, "+")
    return here if here == numbers.NONE else f"{here} {row.unit}"


def _seeds(claims: pd.DataFrame) -> str:
    most = int(claims["seeds"].max())
    return f"{most} seed{'s' if most > 1 else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m compute_aligned claims", description=__doc__.splitlines()[0])
    parser.add_argument(
        "claims", type=Path, nargs="+", help="a claims.csv, such as results/tiny/claims.csv; several: side by side"
    )
    files = parser.parse_args().claims
    if len(files) > 1:
        folders = [file.resolve().parent.name for file in files]
        names = folders if len(set(folders)) == len(files) else map(str, files)
        print(side_by_side({name: read_artifact("claims", file) for name, file in zip(names, files, strict=True)}))
        return
    (file,) = files
    print(claims_table(read_artifact("claims", file)))
    if holds_manifests(file.parent):
        folder = open_folder(file.parent)
        name = folder.name(file)
        if name in folder.manifests:
            root = root_hashes([name], folder.manifests)[name]
            print(f"\nRoot hash of these verdicts and all that led to them: `{root}`")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"claims: {error}")
