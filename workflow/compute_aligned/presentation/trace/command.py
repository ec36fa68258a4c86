"""Walk back from a number, a verdict or a file to samples, weights, data, settings and code; verify whole folders.

`python -m compute_aligned audit results/tiny` verifies every artifact and what it was made from;
`... audit results/tiny/figures/fig1.png` says what made a file;
`... audit results/tiny/tables/table2.csv --arm pass_n16 --k 16` walks back from one number of a table or figure;
`... audit results/tiny/tables/table2.csv --arm pass_n16 --problem test-7` shows how a problem was answered and graded;
`... audit results/tiny/claims.csv --claim C03` walks back from one verdict;
`... audit results/tiny-bundle.zip` does the same of a bundle, and `.../tiny-bundle.zip/claims.csv` of a file in it.

The exit code is 0 if nothing is wrong, 1 if something is, 2 if there is no answer: nothing was verified.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ...provenance.audit import (
    Finding,
    Findings,
    Folder,
    NoAnswer,
    holds_manifests,
    open_folder,
    owner,
    verify_folder,
    working_folder,
)
from ...provenance.bundle import unpack
from ...provenance.manifests import UnverifiedArtifact, verify
from .jobs import tell
from .numbers import (
    NUMBERS,
    ROUNDING,
    find_number,
    follow_arm,
    numbers_of,
    recomputed,
    told_metrics,
    told_number,
    told_recomputed,
)
from .problem import told_problem
from .verdicts import judged_again, plain, told_judged, verdict_of_claim


def answer(path: Path, root: Path, asked: argparse.Namespace) -> tuple[list[str], dict, Findings]:
    """What there is to say of a results folder, reference or bundle, or of a path in it, and what is wrong with it.

    Returns:
        lines of text; the same as plain values, as far as a program may want them; what was found.
    """
    folder = open_folder(root)
    number = [name for name in ("arm", "k", "experiment", "problem") if getattr(asked, name) is not None]
    if path == root:
        if number or asked.claim:
            raise NoAnswer(f"{path}: --{(number or ['claim'])[0]} is for a file, not for a whole folder")
        return [], {}, verify_folder(folder, asked.fast)
    name = owner(folder, path)
    job = folder.manifests[name]
    if number and asked.claim:
        raise NoAnswer(f"--claim and --{number[0]} ask different questions; wanted one of them")
    if number or asked.claim:
        verify(folder.file(name), folder.manifests, name)  # before anything in it is believed
    if asked.claim:
        row, heading, wanted = verdict_of_claim(path, asked.claim, job)
        lines, jobs, found = tell(folder, name, heading, wanted)
        if found.false:
            return [], {}, found
        again = judged_again(folder, job, asked.claim, row)
        lines.insert(1, told_judged(again, row.get("unit")))
        if not again["equal"]:
            found.doubtful.append(Finding("altered", f"{path}: not what the code here finds of {asked.claim}"))
        verdict = {key: plain(value) for key, value in row.items()}
        return lines, {"verdict": verdict, "again": again, "jobs": jobs}, found
    if number:
        return _answer_number(folder, path, name, job, asked)
    lines, jobs, found = tell(folder, name, f"{path}: made by a job of rule {job['rule']}")
    return lines, {"jobs": jobs}, found


def _answer_number(
    folder: Folder, path: Path, name: str, job: dict, asked: argparse.Namespace
) -> tuple[list[str], dict, Findings]:
    if asked.arm is None or (asked.k is None and asked.problem is None):
        raise NoAnswer(
            f"{path}: which of its numbers? Wanted --arm with --k or --problem, such as --arm pass_n16 --k 16"
        )
    rows = numbers_of(folder, path, job)
    k = asked.k if asked.k is not None else int(rows["k"].iloc[0])
    number = find_number(path, rows, asked.arm, k, asked.experiment)
    lines, jobs, found = tell(
        folder, name, told_number(path, number), follow_arm(asked.arm, number["experiment"]), in_full=True
    )
    if found.false:
        return [], {}, found
    if asked.problem is not None:
        lines, completions = told_problem(folder, asked.arm, number["experiment"], asked.problem)
        return lines, {"problem": asked.problem, "completions": completions, "jobs": jobs}, found
    again = recomputed(folder, number)
    if any(abs(apart) > ROUNDING for apart in again.get("apart", {}).values()):
        found.doubtful.append(Finding("altered", f"{path}: not the number that the code here measures"))
    lines[1:1] = [told_recomputed(again, number["metric"]), *told_metrics(folder, number)]
    told = {key: plain(number[key]) for key in ("experiment", "arm", "metric", "k", *NUMBERS)}
    return lines, {"number": told, "again": json.loads(json.dumps(again, default=plain)), "jobs": jobs}, found


@contextlib.contextmanager
def laid_open(path: Path) -> Iterator[Path]:
    """The path, or where a bundle's content was unpacked for a while, if it is a bundle or lies in one."""
    archive = next((above for above in (path, *path.parents) if above.is_file() and zipfile.is_zipfile(above)), None)
    if archive is None:
        yield path
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield unpack(archive, Path(os.path.realpath(scratch))) / path.relative_to(archive)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compute_aligned audit", description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="a results folder, a reference, a bundle, or a file of one")
    parser.add_argument("--arm", help="of a table's CSV or a figure: such as pass_n16")
    parser.add_argument("--k", type=int, help="of a table's CSV or a figure: test budget")
    parser.add_argument("--experiment", help="of a table's CSV: which of its experiments, where it shows several")
    parser.add_argument("--problem", help="of an arm: the problem whose completions and grades to show")
    parser.add_argument("--claim", help="of claims.csv: claim, such as C03")
    parser.add_argument("--json", action="store_true", help="plain values for a program")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--full", action="store_true", help="read every file of a folder; this is what is done anyway")
    how.add_argument("--fast", action="store_true", help="believe files of the recorded size, unchanged since, unread")
    asked = parser.parse_args()
    start = Path.cwd()
    try:
        with laid_open(Path(os.path.abspath(asked.path))) as path:
            if not path.exists():
                raise NoAnswer(f"{asked.path}: no such file or folder")
            root = next((above for above in (path, *path.parents) if holds_manifests(above)), None)
            if root is None:
                inside = sorted(str(asked.path / file.name) for file in path.glob("*") if holds_manifests(file))
                hint = f"; wanted one of {', '.join(inside)}" if inside else ""
                raise NoAnswer(
                    f"{asked.path}: no manifests; it is no results folder, no reference, and no part of one{hint}"
                )
            # Paths in manifests start where Snakemake ran: from there they are the same wherever audit is called.
            here = working_folder(root)
            os.chdir(here)
            lines, values, found = answer(path.relative_to(here), root.relative_to(here), asked)
            os.chdir(start)
        if asked.json:
            told = {"verified": found.verified, "findings": [one._asdict() for one in found.complaints]}
            print(json.dumps({**values, **told, "notes": found.notes}, indent=1))
        else:
            print("\n".join([*lines, *found.lines()]))
        return 1 if found.complaints else 0
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        os.chdir(start)
        print(f"audit: {error}", file=sys.stderr)
        return 1 if isinstance(error, UnverifiedArtifact) else 2


if __name__ == "__main__":
    sys.exit(main())
