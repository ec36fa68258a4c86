"""Write the tables of the references again into README.md, docs/claims.md and docs/method.md: `make reference` ends so.

The sentences around the tables stay as they are; tests hold them against the references.
"""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd

from compute_aligned.presentation.claims_table import claims_table, side_by_side
from compute_aligned.provenance.artifacts import read_artifact

REPO = Path(__file__).parents[1]
REFERENCES = REPO / "results" / "reference"
MAIN = "tiny20"  # the reference that the pages speak from
COUNTED = ["reproduced", "contradicted", "inconclusive", "not tested here"]  # verdicts, as in README's table
SIMULATED = ("| claim | reproduced, 5 seeds", "| seeds | any false", "| experiment | arm | k | problems")


def references() -> dict[str, pd.DataFrame]:
    """Claims of each reference that has any, those of preset `tiny` first.

    `small_table4` is a table of `small` that was run by itself. Its statements fill what `small` did not measure: p
    values are corrected within a table, so a table's verdicts are the same alone.
    """
    files = sorted(REFERENCES.glob("*/claims.csv"), key=lambda file: (not file.parent.name.startswith("tiny"), file))
    runs = {}
    for file in files:
        name, claims = file.parent.name, read_artifact("claims", file)
        whole, _, table = name.partition("_table")
        if not table:
            runs[name] = claims
            continue
        claims = claims.set_index("claim").reindex(runs[whole]["claim"]).reset_index()
        runs[whole] = runs[whole].where(runs[whole]["effect"].notna() | claims["effect"].isna(), claims)
    return runs


def renewed_claims_page(page: str) -> str:
    """docs/claims.md with the table of the main reference, all references side by side, and the root hash."""
    runs = references()
    page = _between(page, "claims", claims_table(runs[MAIN]))
    page = _between(page, "side by side", side_by_side(runs))
    return _with_root_hash(page)


def renewed_readme(page: str) -> str:
    """README.md with its chosen rows of the claims, the counts of verdicts, and the root hash."""
    rows = claims_table(read_artifact("claims", REFERENCES / MAIN / "claims.csv")).splitlines()
    chosen = re.findall(r"^\| (C\w+) \|", page, flags=re.MULTILINE)
    kept = [row for row in rows[2:] if row.split(" | ")[0].removeprefix("| ") in chosen]
    page = _between(page, "claims", "\n".join([*rows[:2], *kept]))
    for name, claims in references().items():
        counts = [int(claims["seeds"].max()), *((claims["verdict"] == verdict).sum() for verdict in COUNTED)]
        line = re.compile(rf"^(\| \[`results/reference/{name}`\][^|]+) \| .* \|$", flags=re.MULTILINE)
        page = line.sub(rf"\1 | {' | '.join(map(str, counts))} |", page)
    return _with_root_hash(page)


def renewed_method(page: str) -> str:
    """docs/method.md with what is simulated from the reference's variance components."""
    command = [sys.executable, REPO / "benchmarks/verdicts.py", REFERENCES / "tiny"]
    blocks = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n\n")
    for header in SIMULATED:
        (new,) = (block.rstrip() for block in blocks if block.startswith(header))
        start = page.index(header)
        page = page[:start] + new + page[page.index("\n\n", start) :]
    return page


def _between(page: str, name: str, text: str) -> str:
    marks = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end of {name} -->)", flags=re.DOTALL)
    return marks.sub(lambda found: found[1] + text + found[2], page)


def _with_root_hash(page: str) -> str:
    roots = pd.read_csv(REFERENCES / MAIN / "root_hashes.csv").set_index("file")["root_hash"]
    return re.sub(r"(all that led to them: `)\w+`", rf"\g<1>{roots['claims.csv']}`", page)


if __name__ == "__main__":
    for name, renewed in {
        "README.md": renewed_readme,
        "docs/claims.md": renewed_claims_page,
        "docs/method.md": renewed_method,
    }.items():
        (REPO / name).write_text(renewed((REPO / name).read_text()))
