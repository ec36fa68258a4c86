"""Claims and verdicts as a Markdown table: `python -m compute_aligned claims results/tiny/claims.csv`.

Where manifests lie beside the file, as in a results folder or reference, its root hash stands below.
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
        here = numbers.estimate(row.effect, row.low, row.high, row.unit, "+")
        here = here if here == numbers.NONE else f"{here} {row.unit}"
        cells = [row.claim, row.statement, numbers.number(row.reported, row.unit, "+"), here, f"**{row.verdict}**"]
        lines.append(f"| {' | '.join(cells)} |")
    tested = claims.dropna(subset=["detectable", "reported"])
    able = (tested["detectable"] <= tested["reported"].abs()).sum()
    lines += [
        "",
        f"An effect as large as the paper's would be found (in 80 % of the cases) for {able} of {len(tested)} claims.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m compute_aligned claims", description=__doc__.splitlines()[0])
    parser.add_argument("claims", type=Path, help="a claims.csv, such as results/tiny/claims.csv")
    file = parser.parse_args().claims
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
