"""Where the time of a run went, a line per rule: ``python -m compute_aligned timing results/tiny``."""

import argparse
import csv
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RuleTime:
    """The time of a rule's jobs.

    Attributes:
        rule: the rule, by its folder of benchmark files.
        jobs: number of jobs.
        seconds: wall time of all jobs together; jobs that ran side by side count each.
        cpu_seconds: CPU time of all jobs together; of a job too short to be measured, none.
        longest: wall time of the longest job in seconds.
    """

    rule: str
    jobs: int
    seconds: float
    cpu_seconds: float
    longest: float


def rule_times(results: Path) -> list[RuleTime]:
    """The times of a run's rules from Snakemake's benchmark files, the longest first; of a job run twice, the last.

    Args:
        results: a results folder.

    Raises:
        ValueError: there is no such folder, no benchmark file in it, or one that is none.
    """
    if not results.is_dir():
        raise ValueError(f"{results}: no such folder; wanted a results folder, such as results/tiny")
    folder = results / "benchmarks"
    jobs: dict[str, list[tuple[float, float]]] = {}
    for file in sorted(folder.rglob("*.tsv")):
        rule = file.relative_to(folder).parts[0].removesuffix(".tsv")
        jobs.setdefault(rule, []).append(_job_time(file))
    if not jobs:
        raise ValueError(f"{folder}: no benchmark file (.tsv); wanted the results folder of a run")
    times = [
        RuleTime(rule, len(rows), sum(s for s, _ in rows), sum(cpu for _, cpu in rows), max(s for s, _ in rows))
        for rule, rows in jobs.items()
    ]
    return sorted(times, key=lambda time: (-time.seconds, time.rule))


def _job_time(file: Path) -> tuple[float, float]:
    """Wall and CPU seconds of a job."""
    try:
        (row,) = csv.DictReader(file.read_text().splitlines(), delimiter="\t")
        seconds, cpu_seconds = (0.0 if row[name] in ("NA", "-") else float(row[name]) for name in ("s", "cpu_time"))
    except (ValueError, KeyError, TypeError):
        seconds = cpu_seconds = math.nan
    if not (math.isfinite(seconds) and math.isfinite(cpu_seconds)):
        raise ValueError(f"{file}: not a benchmark file; wanted columns s and cpu_time, tabs between them, and one row")
    return seconds, cpu_seconds


def timing_table(times: Sequence[RuleTime]) -> str:
    """The times as plain text, a line per rule and one for all, shares of the wall time of all jobs."""
    total = RuleTime(
        "all",
        sum(time.jobs for time in times),
        sum(time.seconds for time in times),
        sum(time.cpu_seconds for time in times),
        max(time.longest for time in times),
    )
    width = max(len(time.rule) for time in (*times, total))
    lines = [f"{'rule':{width}} {'jobs':>5} {'seconds':>9} {'CPU':>9} {'longest':>9} {'share':>7}"]
    for time in (*times, total):
        share = time.seconds / total.seconds if total.seconds else 0.0
        lines.append(
            f"{time.rule:{width}} {time.jobs:5d} {time.seconds:9.1f} {time.cpu_seconds:9.1f} {time.longest:9.1f} "
            f"{share:7.1%}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m compute_aligned timing", description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="a results folder, such as results/tiny")
    print(timing_table(rule_times(parser.parse_args().results)))


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        print(f"timing: {error}", file=sys.stderr)
        sys.exit(2)
