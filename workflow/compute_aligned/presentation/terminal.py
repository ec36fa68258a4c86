"""What a run has produced, in a few lines for the terminal: `python -m compute_aligned summary config/tiny.yaml`."""

import argparse
import sys
from pathlib import Path

import pandas as pd

from ..config.files import read_preset
from ..provenance.artifacts import read_artifact
from ..provenance.manifests import load_manifests
from ..units import DIFFERENCE_UNITS
from .numbers import VERDICT_MARKS, estimate, is_missing
from .rows import long_rows
from .wording import at_budget, baseline_label, what_was_run


def describe_results(preset: dict, results: Path) -> str:
    """Per experiment that compares runs: what was run, and each objective's difference from the baseline; all files.

    Args:
        preset: the preset's content.
        results: its results folder.
    """
    lines = []
    for experiment, scale in preset["experiments"].items():
        if "k" not in scale:  # compares no runs: what it says is in its table and figures
            continue
        summary = read_artifact("summary", results / "metrics" / f"{experiment}.summary.csv")
        lines += [f"{experiment}: {what_was_run(summary, preset['preset'], preset['split'])}"]
        baseline = baseline_label(summary)
        rows = long_rows(summary)
        for label, group in rows[rows["arm"] != rows["baseline"]].groupby("label", sort=False):
            row = group.iloc[-1]  # the largest test budget
            unit, (low, high) = DIFFERENCE_UNITS[row["metric"]], row[["difference_low", "difference_high"]]
            lines.append(
                f"  {label:12} {at_budget(row['metric'], row['k'])} minus {baseline}: "
                f"{estimate(row['difference'], low, high, unit, '+')} {unit}" + " (no interval)" * is_missing(low)
            )
    made = sorted(map(Path, load_manifests(results)))
    files = [file for kind in ("tables", "figures") for file in made if file.parent == results / kind and file.exists()]
    return "\n".join([*lines, "", "Written:", *(f"  {file}" for file in files)])


def describe_claims(claims: pd.DataFrame, report: Path) -> str:
    """How many of the paper's claims came out how, a line for each, and where to read why.

    Args:
        claims: a ``claims`` artifact.
        report: path of the report.
    """
    counts = claims["verdict"].value_counts()
    lines = [f"Claims: {'; '.join(f'{counts.get(verdict, 0)} {verdict}' for verdict in VERDICT_MARKS)}"]
    width = max(map(len, VERDICT_MARKS))
    lines += [f"  {row.claim:4} {row.verdict:{width}} {row.statement}" for row in claims.itertuples()]
    return "\n".join([*lines, "", f"Report: {report}"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m compute_aligned summary", description=__doc__.splitlines()[0])
    parser.add_argument("preset", type=Path, help="a preset that was run, such as config/tiny.yaml")
    file = parser.parse_args().preset
    preset = read_preset(file)
    folder = Path("results") / preset["preset"]
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; wanted the results of {file}, run from here")
    print(describe_results(preset, folder))
    print(f"\n{describe_claims(read_artifact('claims', folder / 'claims.csv'), folder / 'report.html')}")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"summary: {error}")
